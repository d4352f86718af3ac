#include "base/thread_slot.hpp"

#include <atomic>
#include <bit>
#include <utility>

namespace cinnabar {

namespace {

static_assert(kThreadSlots == 64, "one bit of a word each");
constinit std::atomic<uint64_t> taken{0};

using detail::slot_of_this_thread;

// Gives the slot back when its thread ends. What the thread still does afterwards, in destructors
// of other thread_local objects, it does without one: the slot may have its next holder.
struct Releaser {
    ~Releaser() {
        const uint32_t slot = std::exchange(slot_of_this_thread, kThreadSlots);
        if (slot < kThreadSlots) taken.fetch_and(~(uint64_t{1} << slot), std::memory_order_release);
    }
};

uint32_t claim() {
    thread_local Releaser releaser;
    (void)releaser;
    uint64_t word = taken.load(std::memory_order_acquire);
    for (;;) {
        const uint32_t free = static_cast<uint32_t>(std::countr_one(word));
        if (free == kThreadSlots) return kThreadSlots;
        if (taken.compare_exchange_weak(word, word | uint64_t{1} << free, std::memory_order_acq_rel,
                                        std::memory_order_acquire))
            return free;
    }
}

}  // namespace

uint32_t detail::claim_thread_slot() {
    slot_of_this_thread = claim();
    return slot_of_this_thread;
}

}  // namespace cinnabar
