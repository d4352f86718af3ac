#include "log/parallel.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <atomic>

#include "base/fork_guard.hpp"

namespace cinnabar::log {

namespace {

// A child has none of its parent's threads, but all of oneTBB's belief in them: it can wait for
// ever for a lock that one of them held at the fork.
bool has_its_threads() {
    // No static of the function: a fork beside its initialisation would leave that locked.
    static constinit std::atomic<uint32_t> first_life{0};
    const uint32_t life = begin_life();
    uint32_t first = 0;
    return first_life.compare_exchange_strong(first, life) || first == life;
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
