// Median and quartiles of a handful of rounds.
#include "force/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace cinnabar::bench {

namespace {

double at_fraction(const std::vector<double>& sorted, double fraction) {
    const double position = fraction * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<size_t>(std::floor(position));
    const size_t above = std::min(below + 1, sorted.size() - 1);
    const double weight = position - static_cast<double>(below);
    return sorted[below] + weight * (sorted[above] - sorted[below]);
}

}  // namespace

Quartiles quartiles(std::span<const double> values) {
    if (values.empty()) return {};
    std::vector<double> sorted(values.begin(), values.end());
    std::sort(sorted.begin(), sorted.end());
    return {at_fraction(sorted, 0.25), at_fraction(sorted, 0.5), at_fraction(sorted, 0.75)};
}

Quartiles ratio_quartiles(std::span<const double> values, std::span<const double> reference) {
    std::vector<double> ratios;
    for (size_t i = 0; i < std::min(values.size(), reference.size()); ++i) {
        if (reference[i] > 0) ratios.push_back(values[i] / reference[i]);
    }
    return quartiles(ratios);
}

}  // namespace cinnabar::bench
