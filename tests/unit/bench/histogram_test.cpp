// The histogram against exact sorting.
#include "force/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "seed.hpp"

namespace cinnabar::bench {
namespace {

TEST(Histogram, EmptyReadsZero) {
    EXPECT_EQ(Histogram().percentile(0.5), 0u);
}

TEST(Histogram, SmallValuesAreExact) {
    Histogram h;
    for (uint64_t v = 0; v < 64; ++v) h.add(v);
    EXPECT_EQ(h.samples(), 64u);
    EXPECT_EQ(h.percentile(0.0), 0u);
    EXPECT_EQ(h.percentile(0.5), 31u);
    EXPECT_EQ(h.percentile(1.0), 63u);
}

TEST(Histogram, BucketsFollowEachOtherWithoutGapOrOverlap) {
    for (size_t b = 0; b + 1 < Histogram::kBuckets; ++b) {
        const uint64_t last = Histogram::last_value_of(b);
        EXPECT_EQ(Histogram::bucket_of(last), b);
        EXPECT_EQ(Histogram::bucket_of(last + 1), b + 1);
    }
    EXPECT_EQ(Histogram::last_value_of(Histogram::kBuckets - 1), Histogram::kLargest);
}

TEST(Histogram, TooLongCountsAsTheLongest) {
    Histogram h;
    h.add(UINT64_MAX);
    EXPECT_EQ(h.percentile(1.0), Histogram::kLargest);
}

TEST(Histogram, PercentilesAgreeWithSortingWithinTheBound) {
    std::mt19937_64 random(test_seed());
    std::lognormal_distribution<double> latency(6.0, 2.5);
    Histogram h;
    std::vector<uint64_t> sorted;
    for (int i = 0; i < 100'000; ++i) {
        const auto ns = static_cast<uint64_t>(latency(random));
        h.add(ns);
        sorted.push_back(std::min(ns, Histogram::kLargest));
    }
    std::sort(sorted.begin(), sorted.end());
    for (double fraction : {0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
        const auto rank =
            static_cast<size_t>(std::ceil(fraction * static_cast<double>(sorted.size())));
        const uint64_t exact = sorted[rank - 1];
        const uint64_t read = h.percentile(fraction);
        EXPECT_GE(read, exact) << fraction;
        const double above = static_cast<double>(read - exact);
        EXPECT_LE(above, Histogram::kRelativeErrorMax * static_cast<double>(exact)) << fraction;
    }
}

TEST(Histogram, MergeIsAsIfAllWereAddedToOne) {
    Histogram a, b, both;
    for (uint64_t v = 1; v < 100'000; v = v * 3 / 2 + 1) {
        (v % 2 == 0 ? a : b).add(v);
        both.add(v);
    }
    a.merge(b);
    EXPECT_EQ(a.samples(), both.samples());
    for (double f = 0; f <= 1; f += 0.05) EXPECT_EQ(a.percentile(f), both.percentile(f));
}

}  // namespace
}  // namespace cinnabar::bench
