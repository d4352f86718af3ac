// Everything of the outside world that the log's hot path touches, as one template argument: the
// medium it stores to, the way a thread sleeps, and the points at which a test may switch threads.
// Production is log/pmem_world.hpp; tests bring their own.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>

#include "seam/medium.hpp"

namespace cinnabar {

// Sleeping on a word. wait() returns when the word was woken, when it no longer holds `expected`,
// when the time is over, or for no reason: callers check again.
template <class P>
concept Park = requires(std::atomic<uint32_t>& word, uint32_t expected,
                        std::optional<std::chrono::nanoseconds> timeout) {
    { P::wait(word, expected, timeout) } -> std::same_as<void>;
    { P::wake_all(word) } -> std::same_as<void>;

    // Makes every other thread of the process pass a full memory fence, so that a one-writer
    // stream's writer needs none. False where the system cannot; the writer then fences itself.
    { P::can_fence_others() } -> std::same_as<bool>;
    { P::fence_others() } -> std::same_as<void>;

    // One turn of a bounded spin.
    { P::relax() } -> std::same_as<void>;
};

template <class W>
concept World = Medium<typename W::Medium> && Park<typename W::Park> && requires {
    typename W::Mutex;

    // A step on words that threads share is about to be taken; a test may run another thread
    // first. Nothing in production.
    { W::point() } -> std::same_as<void>;
};

// Runs independent pieces of work, several at a time where the machine has cores for it, and
// returns when all are done. The pieces must not throw.
using ParallelFor = std::function<void(size_t count, const std::function<void(size_t)>& piece)>;

}  // namespace cinnabar
