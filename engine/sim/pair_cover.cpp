#include "sim/pair_cover.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "base/check.hpp"

namespace cinnabar::sim {

PairCover::PairCover(std::vector<size_t> values, uint64_t seed)
    : values_(std::move(values)), place_(values_.size() * values_.size()), random_(seed) {
    size_t place = 0;
    for (size_t one = 0; one < values_.size(); ++one)
        for (size_t two = one + 1; two < values_.size(); ++two) {
            place_[one * values_.size() + two] = place;
            place += values_[one] * values_[two];
        }
    covered_.resize(place);
    for (const size_t count : values_) CNB_CHECK(count > 0);
}

size_t PairCover::pairs(const std::vector<size_t>& values) {
    size_t sum = 0, before = 0;
    for (const size_t count : values) {
        sum += before * count;
        before += count;
    }
    return sum;
}

size_t PairCover::rows(std::vector<size_t> values) {
    if (values.size() < 2) return 0;
    std::ranges::sort(values, std::greater());
    const auto most_of_two = static_cast<double>(values[0] * values[1]);
    const double rows = 1 + 1.2 * most_of_two * std::log(static_cast<double>(values.size()));
    return std::min(pairs(values), static_cast<size_t>(std::max(rows, most_of_two)));
}

size_t PairCover::index(size_t one, size_t of_one, size_t two, size_t of_two) const {
    if (one > two) return index(two, of_two, one, of_one);
    return place_[one * values_.size() + two] + of_one * values_[two] + of_two;
}

std::optional<std::vector<size_t>> PairCover::next() {
    for (; one_ + 1 < values_.size(); ++one_, two_ = one_ + 1)
        for (; two_ < values_.size(); ++two_, pair_ = 0)
            for (; pair_ < values_[one_] * values_[two_]; ++pair_) {
                const size_t of_one = pair_ / values_[two_], of_two = pair_ % values_[two_];
                if (covered_[index(one_, of_one, two_, of_two)]) continue;
                std::vector<size_t> row = row_with(one_, of_one, two_, of_two);
                cover(row);
                return row;
            }
    return std::nullopt;
}

// How many pairs `value` makes with the positions that are fixed and that no row had yet.
size_t PairCover::fresh_pairs(const std::vector<size_t>& row, const std::vector<size_t>& fixed,
                              size_t position, size_t value) const {
    return static_cast<size_t>(std::ranges::count_if(
        fixed, [&](size_t other) { return !covered_[index(position, value, other, row[other])]; }));
}

// The other positions in any order, each with the value that makes the most fresh pairs.
std::vector<size_t> PairCover::row_with(size_t one, size_t of_one, size_t two, size_t of_two) {
    std::vector<size_t> row(values_.size()), fixed{one, two}, order(values_.size());
    row[one] = of_one;
    row[two] = of_two;
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::shuffle(order, random_);
    for (const size_t position : order) {
        if (position == one || position == two) continue;
        const size_t first = random_() % values_[position];
        size_t most = 0;
        row[position] = first;
        for (size_t i = 0; i < values_[position]; ++i) {
            const size_t value = (first + i) % values_[position];
            const size_t fresh = fresh_pairs(row, fixed, position, value);
            if (fresh > most) row[position] = value;
            most = std::max(most, fresh);
        }
        fixed.push_back(position);
    }
    return row;
}

void PairCover::cover(const std::vector<size_t>& row) {
    for (size_t one = 0; one < row.size(); ++one)
        for (size_t two = one + 1; two < row.size(); ++two)
            covered_[index(one, row[one], two, row[two])] = true;
}

}  // namespace cinnabar::sim
