// The benchmark's clock.
#include "force/clock.hpp"

#include <cpuid.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>

namespace cinnabar::bench {

namespace {

constexpr uint64_t kCalibration_ns = 10'000'000;

// The counter runs at one rate in every power state.
bool counter_is_invariant() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(0x80000007, &a, &b, &c, &d) == 0 || (d & (1u << 8)) == 0) return false;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (d & (1u << 27)) != 0;  // rdtscp
}

}  // namespace

Clock Clock::calibrated() {
    Clock clock;
    if (!counter_is_invariant()) return clock;
    const uint64_t ns0 = monotonic_ns();
    const uint64_t ticks0 = __rdtsc();
    uint64_t ns1 = ns0;
    while (ns1 - ns0 < kCalibration_ns) ns1 = monotonic_ns();
    const uint64_t ticks1 = __rdtsc();
    clock.cycles_ = true;
    clock.ns_per_tick_ = static_cast<double>(ns1 - ns0) / static_cast<double>(ticks1 - ticks0);
    return clock;
}

double Clock::timer_ns() const {
    std::array<uint64_t, 1001> ticks;
    for (uint64_t& t : ticks) {
        const uint64_t started = begin();
        t = end() - started;
    }
    std::nth_element(ticks.begin(), ticks.begin() + ticks.size() / 2, ticks.end());
    return ns_of(ticks[ticks.size() / 2]);
}

double Clock::step_ns() const {
    std::map<uint64_t, unsigned> seen;  // of times that differ a little
    for (unsigned i = 0; i < 8192; ++i) {
        const uint64_t started = begin();
        for (unsigned k = i % 16; k > 0; --k) _mm_pause();
        ++seen[end() - started];
    }
    uint64_t step = 0;
    for (const auto& [ticks, times] : seen) {
        if (times >= 16) step = std::gcd(step, ticks);  // one odd reading is no finer step
    }
    return ns_of(step);
}

}  // namespace cinnabar::bench
