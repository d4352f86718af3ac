// How a budget of images is spent on the levels of a crash point: each has its share.
#include <gtest/gtest.h>

#include <algorithm>
#include <cinnabar/crash.hpp>
#include <cstring>
#include <string>
#include <string_view>

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

constexpr size_t kLines = 30;

// How many images of each level were tried. A line is eight words of a copy, of which at the levels
// that have an order none, one, seven or all are there; one or seven of more than one line in pairs
// alone.
struct Tried {
    uint64_t first = 0;  // nothing survives
    uint64_t single_lines = 0;
    uint64_t pairs = 0;
    uint64_t drawn = 0;

    void count(std::string_view words) {
        size_t torn = 0;
        bool is_drawn = false;
        for (size_t at = 0; at < words.size(); at += 8) {
            const auto there = std::ranges::count(words.substr(at, 8), 'x');
            torn += there != 0 && there != 8 ? 1 : 0;
            is_drawn = is_drawn || (there >= 2 && there <= 6);
        }
        if (words.find('x') == std::string::npos)
            ++first;
        else
            ++(is_drawn ? drawn : torn > 1 ? pairs : single_lines);
    }
};

Tried tried(uint64_t images_max, uint64_t random_images) {
    crash::Region region = crash::Region::create(4096, cinnabar::Domain::cache_line).value();
    Tried all;
    const crash::Test test{.workload =
                               [&](crash::History&) {
                                   const std::string text(64, 'x');
                                   for (size_t line = 0; line < kLines; ++line)
                                       region.copy(region.bytes().data() + 64 * line, text.data(),
                                                   text.size());
                                   region.persist(region.bytes().data(), 64 * kLines);
                               },
                           // Each word that is there.
                           .recover =
                               [](std::span<std::byte> image) {
                                   std::string words;
                                   for (size_t word = 0; word < 8 * kLines; ++word)
                                       words += image[8 * word] != std::byte{0} ? 'x' : '-';
                                   return words;
                               },
                           .check =
                               [&](std::string_view digest, const crash::History&) {
                                   all.count(digest);
                                   return std::string();
                               }};
    const crash::Report report =
        crash::run(region, test,
                   {.images_per_crash_point_max = images_max, .random_images = random_images})
            .value();
    EXPECT_EQ(report.crash_points, 1u) << report.text();
    EXPECT_LE(report.images_distinct, images_max);
    return all;
}

// Boundaries and single lines are counted together, and an image of both is tried once.
TEST(Budget, EachLevelHasItsShare) {
    const Tried few = tried(81, 1000);
    EXPECT_EQ(few.first, 1u);
    EXPECT_LE(few.single_lines, 40u);
    EXPECT_GE(few.single_lines, 36u);
    EXPECT_EQ(few.pairs, 20u);
    EXPECT_EQ(few.drawn, 20u);
}

TEST(Budget, WhatALevelDoesNotNeedTheOthersHave) {
    const Tried few = tried(101, 10);
    EXPECT_EQ(few.first, 1u);
    EXPECT_LE(few.single_lines, 60u);
    EXPECT_GE(few.single_lines, 55u);
    EXPECT_EQ(few.pairs, 30u);
    EXPECT_EQ(few.drawn, 10u);
}

TEST(Budget, OfOneImageNothingSurvives) {
    const Tried one = tried(1, 10);
    EXPECT_EQ(one.first, 1u);
    EXPECT_EQ(one.single_lines + one.pairs + one.drawn, 0u);
}

TEST(Budget, WhereItIsEnoughEverythingIsTried) {
    const Tried all = tried(1'000'000, 1000);
    const uint64_t there_are = all.first + all.single_lines + all.pairs + all.drawn;
    const Tried enough = tried(there_are + there_are / 5, 1000);
    EXPECT_EQ(all.drawn, 1000u);
    EXPECT_EQ(enough.single_lines, all.single_lines);
    EXPECT_EQ(enough.pairs, all.pairs);
    EXPECT_EQ(enough.drawn, all.drawn);
}

// Of 16 384 lines that are made durable at once, and a mark before them.
TEST(Budget, AMiBAtOnceIsLookedAt) {
    constexpr size_t bytes = 1 << 20;
    crash::Region region =
        crash::Region::create(bytes + 4096, cinnabar::Domain::cache_line).value();
    std::byte* content = region.bytes().data() + 4096;
    const crash::Test test{
        .workload =
            [&](crash::History&) {
                *region.bytes().data() = std::byte{1};
                std::memset(content, 7, bytes);
                region.persist(region.bytes().data(), region.bytes().size());
            },
        .recover =
            [](std::span<std::byte> image) {
                const bool is_whole =
                    std::ranges::count(image.subspan(4096), std::byte{7}) == bytes;
                return image[0] == std::byte{0} || is_whole ? std::string() : "a hole";
            },
        .check = [](std::string_view digest,
                    const crash::History&) { return std::string(digest); }};
    const crash::Report report =
        crash::run(region, test, {.images_per_crash_point_max = 50, .fixes_max = 0}).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_EQ(report.violations[0].what, "a hole");
    EXPECT_TRUE(report.violations[0].survived.starts_with("offset 0, ")) << report.text();
}

}  // namespace
}  // namespace kit_test
