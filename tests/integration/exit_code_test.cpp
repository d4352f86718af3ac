// The exit code of every error code, written down a second time: scripts rely on the numbers.
#include "exit_code.hpp"

#include <gtest/gtest.h>

#include <map>

namespace cinnabar::tool {
namespace {

constexpr int kErrcLast = static_cast<int>(Errc::gap);

TEST(ExitCode, OfEveryErrorCode) {
    const std::map<Errc, int> expected = {
        {Errc::invalid_argument, 1},
        {Errc::not_found, 2},
        {Errc::already_exists, 7},
        {Errc::permission, 2},
        {Errc::io, 2},
        {Errc::disk_full, 2},
        {Errc::cannot_map, 2},
        {Errc::locked, 5},
        {Errc::not_a_pool, 2},
        {Errc::wrong_layout, 2},
        {Errc::truncated, 3},
        {Errc::unsupported_version, 6},
        {Errc::corrupt, 3},
        {Errc::full, 7},
        {Errc::record_too_large, 7},
        {Errc::read_only, 7},
        {Errc::never_appended, 2},
        {Errc::below_low_water, 2},
        {Errc::wrong_thread, 7},
        {Errc::forked, 7},
        {Errc::failed, 2},
        {Errc::timed_out, 7},
        {Errc::pinned, 7},
        {Errc::gap, 4},
    };
    EXPECT_EQ(expected.size(), static_cast<size_t>(kErrcLast));
    for (const auto& [code, number] : expected)
        EXPECT_EQ(static_cast<int>(exit_code_of(code)), number) << name_of(code);
}

// Codes are numbered from 1 without a gap: the table above holds them all.
TEST(ExitCode, TheTableHoldsEveryCode) {
    const std::string_view unknown = name_of(static_cast<Errc>(kErrcLast + 1));
    for (int code = 1; code <= kErrcLast; ++code)
        EXPECT_NE(name_of(static_cast<Errc>(code)), unknown) << code;
}

}  // namespace
}  // namespace cinnabar::tool
