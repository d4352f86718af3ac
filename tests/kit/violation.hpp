// A run of a test, within limits, and what is to be found first in it.
#pragma once

#include <gtest/gtest.h>

#include <cinnabar/crash.hpp>
#include <string>
#include <utility>

namespace kit_test {

inline const cinnabar::crash::Options kFew{.recovery_memory_bytes_max = 64 << 20,
                                           .violations_max = 3};

inline cinnabar::crash::Report report_of(const cinnabar::crash::Test& test,
                                         cinnabar::crash::Region& region,
                                         const cinnabar::crash::Options& options = kFew) {
    auto report = cinnabar::crash::run(region, test, options);
    EXPECT_TRUE(report.has_value()) << report.error().message;
    return std::move(*report);
}

inline void expect_violation(const cinnabar::crash::Report& report,
                             cinnabar::crash::ViolationKind kind, const std::string& words) {
    ASSERT_FALSE(report.clean()) << report.text();
    EXPECT_EQ(report.violations[0].kind, kind) << report.text();
    EXPECT_NE(report.violations[0].what.find(words), std::string::npos) << report.text();
}

}  // namespace kit_test
