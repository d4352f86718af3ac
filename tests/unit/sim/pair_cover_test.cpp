// Each pair of values of each two positions is in some row, in far fewer rows than there are pairs.
#include "sim/pair_cover.hpp"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

namespace cinnabar::sim {

namespace {

using Pair = std::tuple<size_t, size_t, size_t, size_t>;

std::set<Pair> pairs_of_rows(PairCover& cover, const std::vector<size_t>& values, size_t& rows) {
    std::set<Pair> pairs;
    for (auto row = cover.next(); row; row = cover.next(), ++rows) {
        const size_t before = pairs.size();
        EXPECT_EQ(row->size(), values.size());
        for (size_t one = 0; one < values.size(); ++one) {
            EXPECT_LT((*row)[one], values[one]);
            for (size_t two = one + 1; two < values.size(); ++two)
                pairs.emplace(one, (*row)[one], two, (*row)[two]);
        }
        EXPECT_GT(pairs.size(), before) << "a row without a fresh pair";
    }
    return pairs;
}

TEST(PairCover, EveryPairIsInARow) {
    const std::vector<std::vector<size_t>> cases = {
        {2, 3}, {1, 1}, {3, 1, 4, 2}, {5, 5, 5, 5, 5, 5}, {17, 2, 9, 17, 3, 18, 17, 2, 2, 17}};
    for (const std::vector<size_t>& values : cases) {
        PairCover cover(values, 7);
        size_t rows = 0;
        EXPECT_EQ(pairs_of_rows(cover, values, rows).size(), PairCover::pairs(values));
        EXPECT_FALSE(cover.next());
    }
}

TEST(PairCover, FewRows) {
    const std::vector<size_t> values(30, 10);
    PairCover cover(values, 7);
    size_t rows = 0;
    EXPECT_EQ(pairs_of_rows(cover, values, rows).size(), 43500u);
    EXPECT_LT(rows, 350u);
    std::cout << rows << " rows\n";
}

TEST(PairCover, WithoutTwoPositionsThereIsNoPair) {
    EXPECT_FALSE(PairCover({}, 1).next());
    EXPECT_FALSE(PairCover({5}, 1).next());
}

}  // namespace

// By which a budget is shared: a cover has no more, and not much less.
TEST(PairCover, TheNumberOfRowsIsKnownAbout) {
    for (const size_t count : {2, 3, 5, 10})
        for (const size_t positions : {2, 3, 5, 10, 30, 60, 100}) {
            const std::vector<size_t> values(positions, count);
            PairCover cover(values, 1);
            size_t rows = 0;
            while (cover.next()) ++rows;
            EXPECT_LE(rows, PairCover::rows(values)) << count << " " << positions;
            EXPECT_GE(2 * rows, PairCover::rows(values)) << count << " " << positions;
        }
}

}  // namespace cinnabar::sim
