#include "medium/busy_wait.hpp"

#include <chrono>
#include <cmath>

namespace cinnabar::medium {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kMeasuredFor{5};

struct Instant {
    Clock::time_point time;
    uint64_t ticks;
};

// Both counters at one moment: the closest pair of a few, since the thread may be interrupted
// between the two readings.
Instant now() {
    Instant best = {};
    uint64_t best_gap = UINT64_MAX;
    for (int i = 0; i < 8; ++i) {
        const uint64_t before = __rdtsc();
        const Clock::time_point time = Clock::now();
        const uint64_t gap = __rdtsc() - before;
        if (gap >= best_gap) continue;
        best_gap = gap;
        best = {time, before + gap / 2};
    }
    return best;
}

double measure_ticks_per_ns() {
    const Instant start = now();
    while (Clock::now() - start.time < kMeasuredFor) _mm_pause();
    const Instant end = now();
    const std::chrono::duration<double, std::nano> passed = end.time - start.time;
    return static_cast<double>(end.ticks - start.ticks) / passed.count();
}

}  // namespace

uint64_t ticks_of_ns(uint64_t ns) {
    static const double ticks_per_ns = measure_ticks_per_ns();
    return static_cast<uint64_t>(std::ceil(static_cast<double>(ns) * ticks_per_ns));
}

}  // namespace cinnabar::medium
