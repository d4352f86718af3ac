// Recovery's parallelism: oneTBB, in this room alone.
#pragma once

#include <cstddef>
#include <functional>

namespace cinnabar::log {

// A ParallelFor (seam/world.hpp) over the machine's cores. In a child of a process that has used
// it, and where threads cannot be started, it runs the pieces itself.
void parallel_for(size_t count, const std::function<void(size_t)>& piece);

}  // namespace cinnabar::log
