#include "log/parallel.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include "base/fork_guard.hpp"

namespace cinnabar::log {

namespace {

// Taken as the library is loaded: a child that took its own first use for the first at all would
// count on threads that its parent was about to start.
const uint32_t life_at_load = begin_life();

// A child has none of its parent's threads, but all of oneTBB's belief in them: it can wait for
// ever for a lock that one of them held at the fork.
bool has_its_threads() {
    return begin_life() == life_at_load;
}

}  // namespace

void parallel_for(size_t count, const std::function<void(size_t)>& piece) {
    if (count <= 1 || !has_its_threads()) {
        for (size_t i = 0; i < count; ++i) piece(i);
        return;
    }
    tbb::parallel_for(tbb::blocked_range<size_t>(0, count, 1),
                      [&](const tbb::blocked_range<size_t>& range) {
                          for (size_t i = range.begin(); i != range.end(); ++i) piece(i);
                      });
}

}  // namespace cinnabar::log
