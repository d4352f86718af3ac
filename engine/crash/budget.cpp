#include "crash/budget.hpp"

#include <algorithm>
#include <vector>

namespace cinnabar::crash {

sim::LevelCounts shares(const sim::LevelCounts& images, uint64_t max) {
    std::vector<size_t> smallest_first;
    for (size_t level = 0; level < images.size(); ++level) smallest_first.push_back(level);
    std::ranges::stable_sort(smallest_first, {}, [&](size_t level) { return images[level]; });
    sim::LevelCounts shares = {};
    uint64_t& nothing_survives = shares[static_cast<size_t>(sim::Level::boundary)];
    nothing_survives = 1;
    uint64_t left = max - 1, without = images.size();
    for (const size_t level : smallest_first) {
        const uint64_t wanted = images[level] - shares[level];
        const uint64_t share = std::min(wanted, left / without + (left % without != 0 ? 1 : 0));
        shares[level] += share;
        left -= share;
        --without;
    }
    return shares;
}

}  // namespace cinnabar::crash
