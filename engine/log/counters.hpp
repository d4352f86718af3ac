// A stream's counters, one stripe per thread slot: exact, and no locked instruction for the first
// kThreadSlots threads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/thread_slot.hpp"
#include "cinnabar/log.hpp"

namespace cinnabar::log {

class CounterStripes {
  public:
    // What one append or force did.
    struct Work {
        uint64_t records = 0;
        uint64_t forces = 0;
        uint64_t payload_bytes = 0;
        uint64_t fences = 0;
        uint64_t lines = 0;
        uint64_t bytes = 0;
    };

    [[gnu::always_inline]] void add(const Work& work) {
        const uint32_t slot = thread_slot();
        Stripe& stripe = stripes_[slot];
        if (slot < kThreadSlots) [[likely]] {
            bump(stripe.records, work.records);
            bump(stripe.forces, work.forces);
            bump(stripe.payload_bytes, work.payload_bytes);
            bump(stripe.fences, work.fences);
            bump(stripe.lines, work.lines);
            bump(stripe.bytes, work.bytes);
        } else {
            stripe.records.fetch_add(work.records, std::memory_order_relaxed);
            stripe.forces.fetch_add(work.forces, std::memory_order_relaxed);
            stripe.payload_bytes.fetch_add(work.payload_bytes, std::memory_order_relaxed);
            stripe.fences.fetch_add(work.fences, std::memory_order_relaxed);
            stripe.lines.fetch_add(work.lines, std::memory_order_relaxed);
            stripe.bytes.fetch_add(work.bytes, std::memory_order_relaxed);
        }
    }

    Counters sum() const {
        Counters sum;
        for (const Stripe& stripe : stripes_) {
            sum.records += stripe.records.load(std::memory_order_relaxed);
            sum.forces += stripe.forces.load(std::memory_order_relaxed);
            sum.payload_bytes += stripe.payload_bytes.load(std::memory_order_relaxed);
            sum.fences += stripe.fences.load(std::memory_order_relaxed);
            sum.lines += stripe.lines.load(std::memory_order_relaxed);
            sum.bytes += stripe.bytes.load(std::memory_order_relaxed);
        }
        return sum;
    }

  private:
    // Two lines each: neighbours' prefetched pairs do not collide.
    struct alignas(128) Stripe {
        std::atomic<uint64_t> records{0};
        std::atomic<uint64_t> forces{0};
        std::atomic<uint64_t> payload_bytes{0};
        std::atomic<uint64_t> fences{0};
        std::atomic<uint64_t> lines{0};
        std::atomic<uint64_t> bytes{0};
    };

    [[gnu::always_inline]] static void bump(std::atomic<uint64_t>& counter, uint64_t by) {
        counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }

    std::array<Stripe, kThreadSlots + 1> stripes_;
};

}  // namespace cinnabar::log
