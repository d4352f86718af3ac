// How a budget of images is spent on the levels of a crash point: each has its share.
#include <gtest/gtest.h>

#include <algorithm>
#include <cinnabar/crash.hpp>
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

TEST(Budget, EachLevelHasItsShare) {
    const Tried few = tried(91, 1000);
    EXPECT_EQ(few.first, 1u);
    EXPECT_EQ(few.single_lines, 30u);
    EXPECT_EQ(few.pairs, 30u);
    EXPECT_EQ(few.drawn, 30u);
}

TEST(Budget, WhatALevelDoesNotNeedTheOthersHave) {
    const Tried few = tried(91, 10);
    EXPECT_EQ(few.drawn, 10u);
    EXPECT_EQ(few.single_lines, 40u);
    EXPECT_EQ(few.pairs, 40u);
}

TEST(Budget, OfOneImageNothingSurvives) {
    const Tried one = tried(1, 10);
    EXPECT_EQ(one.first, 1u);
    EXPECT_EQ(one.single_lines + one.pairs + one.drawn, 0u);
}

TEST(Budget, WhereItIsEnoughEverythingIsTried) {
    const Tried all = tried(1'000'000, 1000),
                enough = tried(all.single_lines + all.pairs + 1001, 1000);
    EXPECT_EQ(all.drawn, 1000u);
    EXPECT_EQ(enough.single_lines, all.single_lines);
    EXPECT_EQ(enough.pairs, all.pairs);
    EXPECT_EQ(enough.drawn, all.drawn);
}

}  // namespace
}  // namespace kit_test
