// How a budget of images is shared among the levels of a crash point: each has an equal share, and
// what it does not need the others have. One image comes before all others: that in which nothing
// survives.
#pragma once

#include <cstdint>

#include "sim/explore.hpp"

namespace cinnabar::crash {

// `images`: how many each level has, or more; `max`: 1 or more.
sim::LevelCounts shares(const sim::LevelCounts& images, uint64_t max);

}  // namespace cinnabar::crash
