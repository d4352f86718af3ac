#include "crash/budget.hpp"

#include <algorithm>

namespace cinnabar::crash {

Budget::Budget(const std::vector<uint64_t>& images, uint64_t max, uint64_t seed) : draw_(seed) {
    std::vector<Level*> smallest_first;
    for (const uint64_t count : images) levels_.push_back({count, 0});
    for (Level& level : levels_) smallest_first.push_back(&level);
    std::ranges::stable_sort(smallest_first, {}, &Level::shown);
    uint64_t left = max, without = levels_.size();
    for (Level* level : smallest_first) {
        const uint64_t share = left / without + (left % without != 0 ? 1 : 0);
        level->tried = std::min(level->shown, share);
        left -= level->tried;
        left_ += level->tried;
        --without;
    }
}

bool Budget::is_tried() {
    while (level_ < levels_.size() && levels_[level_].shown == 0) ++level_;
    if (level_ == levels_.size()) return false;
    Level& level = levels_[level_];
    const bool tried =
        std::uniform_int_distribution<uint64_t>(1, level.shown)(draw_) <= level.tried;
    --level.shown;
    level.tried -= tried ? 1 : 0;
    left_ -= tried ? 1 : 0;
    return tried;
}

}  // namespace cinnabar::crash
