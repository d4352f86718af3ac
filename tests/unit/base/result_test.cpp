// Errors as values: codes with names and numbers that stay, and what an error carries.
#include "cinnabar/result.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/check.hpp"

namespace cinnabar {
namespace {

TEST(ResultTest, EveryCodeHasANameOfItsOwn) {
    std::set<std::string_view> names;
    for (int32_t number = 1; number <= static_cast<int32_t>(Errc::gap); ++number) {
        const std::string_view name = name_of(static_cast<Errc>(number));
        EXPECT_NE(name, "unknown") << number;
        EXPECT_TRUE(names.insert(name).second) << name;
    }
    EXPECT_EQ(name_of(static_cast<Errc>(0)), "unknown");
    EXPECT_EQ(name_of(static_cast<Errc>(static_cast<int32_t>(Errc::gap) + 1)), "unknown");
}

// Released numbers keep their meaning for ever.
TEST(ResultTest, NumbersStay) {
    const std::string_view expected[] = {"invalid_argument",
                                         "not_found",
                                         "already_exists",
                                         "permission",
                                         "io",
                                         "disk_full",
                                         "cannot_map",
                                         "locked",
                                         "not_a_pool",
                                         "wrong_layout",
                                         "truncated",
                                         "unsupported_version",
                                         "corrupt",
                                         "full",
                                         "record_too_large",
                                         "read_only",
                                         "never_appended",
                                         "below_low_water",
                                         "wrong_thread",
                                         "forked",
                                         "failed",
                                         "timed_out",
                                         "pinned",
                                         "gap"};
    int32_t number = 0;
    for (const std::string_view name : expected)
        EXPECT_EQ(name_of(static_cast<Errc>(++number)), name);
}

TEST(ResultTest, DomainsHaveNames) {
    EXPECT_EQ(name_of(Domain::byte), "byte");
    EXPECT_EQ(name_of(Domain::cache_line), "cache_line");
    EXPECT_EQ(name_of(Domain::page), "page");
}

TEST(ResultTest, FailCarriesWhatItIsGiven) {
    const Result<int> simple = fail(Errc::full, "no room");
    ASSERT_FALSE(simple);
    EXPECT_EQ(simple.error().code, Errc::full);
    EXPECT_EQ(simple.error().message, "no room");
    EXPECT_FALSE(simple.error().lsn);
    EXPECT_FALSE(simple.error().range);

    const Result<void> whole = fail(Error{Errc::corrupt, "bad", Lsn{64}, ByteRange{4096, 128}});
    ASSERT_FALSE(whole);
    EXPECT_EQ(whole.error().lsn->value, 64u);
    EXPECT_EQ(*whole.error().range, (ByteRange{4096, 128}));
}

TEST(SizeText, IsInTheLargestUnitThatDividesIt) {
    EXPECT_EQ(size_text(0), "0 B");
    EXPECT_EQ(size_text(1023), "1023 B");
    EXPECT_EQ(size_text(1024), "1 KiB");
    EXPECT_EQ(size_text((uint64_t{1} << 20) + 1024), "1025 KiB");
    EXPECT_EQ(size_text(uint64_t{3} << 40), "3 TiB");
    EXPECT_EQ(size_text(uint64_t{1} << 50), "1024 TiB");
}

TEST(CheckDeathTest, AFailedCheckPrintsItsPlaceAndValuesAndAborts) {
    const uint64_t answer = 42;
    EXPECT_DEATH(CNB_CHECK(answer == 41, {"answer", answer}, {"other", 7}),
                 "answer == 41 .*result_test.cpp.*\n.*answer = 42 .0x2a.\n.*other = 7");
    CNB_CHECK(answer == 42, {"answer", answer});
    CNB_CHECK(true);
}

}  // namespace
}  // namespace cinnabar
