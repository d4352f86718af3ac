// Quartiles, by examples computed by hand.
#include "force/statistics.hpp"

#include <gtest/gtest.h>

namespace cinnabar::bench {
namespace {

void expect(const Quartiles& q, double q1, double median, double q3) {
    EXPECT_DOUBLE_EQ(q.q1, q1);
    EXPECT_DOUBLE_EQ(q.median, median);
    EXPECT_DOUBLE_EQ(q.q3, q3);
}

TEST(Quartiles, OfNothingAreZero) {
    expect(quartiles({}), 0, 0, 0);
}

TEST(Quartiles, OfOneValueAreThatValue) {
    const double one[] = {7};
    expect(quartiles(one), 7, 7, 7);
}

TEST(Quartiles, OfAnOddNumberInAnyOrder) {
    const double five[] = {9, 1, 5, 7, 3};
    expect(quartiles(five), 3, 5, 7);
}

TEST(Quartiles, OfAnEvenNumberLieBetween) {
    const double four[] = {4, 3, 2, 1};
    expect(quartiles(four), 1.75, 2.5, 3.25);
}

TEST(RatioQuartiles, AreOfEachRoundsOwnRatio) {
    // A machine that slows down threefold: the ratio stays 2 in every round.
    const double engine[] = {200, 400, 600};
    const double floor[] = {100, 200, 300};
    expect(ratio_quartiles(engine, floor), 2, 2, 2);
}

TEST(RatioQuartiles, TakeTheRoundsThatBothHave) {
    const double engine[] = {10, 20, 30, 40};
    const double floor[] = {10, 10, 10};
    expect(ratio_quartiles(engine, floor), 1.5, 2, 2.5);
}

TEST(RatioQuartiles, LeaveOutARoundWithoutReference) {
    const double engine[] = {10, 20};
    const double floor[] = {0, 10};
    expect(ratio_quartiles(engine, floor), 2, 2, 2);
}

}  // namespace
}  // namespace cinnabar::bench
