// What a timed force is charged for.
#include "force/clock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace cinnabar::bench {
namespace {

constexpr size_t kTimes = 2001;

double median(std::array<double, kTimes>& values) {
    std::nth_element(values.begin(), values.begin() + kTimes / 2, values.end());
    return values[kTimes / 2];
}

// A force as the floor does it: lines stored past the caches, and a fence.
void force(std::vector<long long>& area, size_t& at) {
    constexpr size_t kStores = 1024 / sizeof(long long);
    if (at + kStores > area.size()) at = 0;
    for (size_t i = 0; i < kStores; ++i) _mm_stream_si64(&area[at + i], 1);
    at += kStores;
    _mm_sfence();
}

// What a force left under way would be waited for by whatever comes behind it.
TEST(Clock, ATimedForceLeavesNothingUnderWay) {
    const Clock clock = Clock::calibrated();
    std::vector<long long> area(1u << 17);
    size_t at = 0;
    const auto wait_ns = [&] {
        const uint64_t from = clock.begin();
        _mm_mfence();
        return clock.ns_of(clock.end() - from);
    };
    double idle = 1e9, behind = 1e9;  // the least of some medians: other work only adds
    for (int i = 0; i < 10; ++i) {
        std::array<double, kTimes> times;
        for (double& ns : times) ns = wait_ns();
        idle = std::min(idle, median(times));
        for (double& ns : times) {
            const uint64_t from = clock.begin();
            force(area, at);
            (void)(clock.end() - from);
            ns = wait_ns();
        }
        behind = std::min(behind, median(times));
    }
    EXPECT_LE(behind, idle + 3 * clock.step_ns() + 5);
}

TEST(Clock, ReadingsDifferByMultiplesOfItsStep) {
    const Clock clock = Clock::calibrated();
    const double step = clock.step_ns();
    EXPECT_GT(step, 0);
    EXPECT_LT(step, 100);
    EXPECT_GE(clock.timer_ns(), step);
}

}  // namespace
}  // namespace cinnabar::bench
