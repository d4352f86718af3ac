// Median and quartiles of a handful of rounds.
#pragma once

#include <span>
#include <vector>

namespace cinnabar::bench {

struct Quartiles {
    double q1 = 0;
    double median = 0;
    double q3 = 0;
};

// Quartiles by linear interpolation between the sorted values at positions 0, 1, ..., n-1 (the
// median of {1, 2, 3, 4} is 2.5, its first quartile 1.75). All zero for no values.
Quartiles quartiles(std::span<const double> values);

// Quartiles of values[i] / reference[i]: one ratio per round, over the rounds that both have.
Quartiles ratio_quartiles(std::span<const double> values, std::span<const double> reference);

}  // namespace cinnabar::bench
