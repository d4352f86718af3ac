// Rows of choices, one for each position, so that each two positions take each pair of their values
// in some row: a covering array of strength two, made greedily. For positions with v values each
// about v² ln n rows, where trying each pair of positions by itself takes v² n² / 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

namespace cinnabar::sim {

class PairCover {
  public:
    // `values`: how many each position has, from 1 on. Fewer than two positions have no pairs.
    PairCover(std::vector<size_t> values, uint64_t seed);

    // A row with at least one pair that no row before it had, or nothing when there is none left.
    std::optional<std::vector<size_t>> next();

    // Bits of memory that a cover takes.
    static size_t pairs(const std::vector<size_t>& values);
    // How many rows a cover has, about, and in all likelihood not more.
    static size_t rows(std::vector<size_t> values);

  private:
    size_t index(size_t one, size_t of_one, size_t two, size_t of_two) const;
    size_t fresh_pairs(const std::vector<size_t>& row, const std::vector<size_t>& fixed,
                       size_t position, size_t value) const;
    std::vector<size_t> row_with(size_t one, size_t of_one, size_t two, size_t of_two);
    void cover(const std::vector<size_t>& row);

    const std::vector<size_t> values_;
    std::vector<size_t> place_;  // of the pairs of two positions, at one * size + two
    std::vector<bool> covered_;
    size_t one_ = 0, two_ = 1, pair_ = 0;  // every pair before this one is covered
    std::mt19937_64 random_;
};

}  // namespace cinnabar::sim
