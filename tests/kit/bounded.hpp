// How many images a test whose recovery takes milliseconds may look at: what fits into the run of
// all tests, or CINNABAR_KIT_IMAGES for each crash point. And what is expected of the report.
#pragma once

#include <gtest/gtest.h>

#include <cinnabar/crash.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace kit_test {

#ifdef __SANITIZE_ADDRESS__
inline constexpr uint64_t kImages = 15;
inline constexpr uint64_t kImagesOfPools = 8;  // each of them opened, checked and appended to
#else
inline constexpr uint64_t kImages = 40;
inline constexpr uint64_t kImagesOfPools = 15;
#endif

inline cinnabar::crash::Options bounded(uint64_t images_else = kImages) {
    cinnabar::crash::Options options;
    const char* images = std::getenv("CINNABAR_KIT_IMAGES");
    options.images_per_crash_point_max =
        images != nullptr ? std::strtoull(images, nullptr, 10) : images_else;
    if (images == nullptr) options.recovery_crashes_max = 1;
    options.random_images = 20;
    return options;
}

inline void expect_clean(const cinnabar::crash::Report& report) {
    EXPECT_TRUE(report.clean()) << report.text();
    EXPECT_GT(report.images_distinct, 5 * report.crash_points) << report.text();
    EXPECT_GT(report.recovery_images, 5 * report.recovery_crash_points) << report.text();
    EXPECT_GT(report.recovery_crash_points, report.recoveries_crashed) << report.text();
    std::printf("%s", report.json().c_str());
}

inline void expect_found(const cinnabar::crash::Report& report, const std::string& words) {
    ASSERT_FALSE(report.clean()) << words;
    EXPECT_NE(report.violations[0].what.find(words), std::string::npos) << report.text();
}

}  // namespace kit_test
