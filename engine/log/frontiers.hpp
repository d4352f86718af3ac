// The frontiers of a stream and the threads that wait for them.
//
// A frame is *published* once its bytes are written; it is *solid* if its writer has also made it
// durable by itself (non-temporal stores and a fence). `published` moves over frames in LSN order;
// `durable` moves over a solid frame when it already stands at its start, and a forcer raises it
// over anything else after flushing and fencing. Nothing is acknowledged above `durable`.
//
// Many writers: a frame whose turn has not come leaves its length in the slot ring, at
// slot[LSN/64 mod ring], together with its lap, so that slots need no clearing; whoever completes
// the frame before it steps over it; a solid frame waits for its turn first, about a force long.
// The frame at the frontier needs no slot: nobody but its owner can step over it. Both sides use
// seq_cst, so either the owner sees the frontier arrive or the predecessor sees the slot (trap L8).
//
// One writer: plain stores. A waiter makes the writer's core pass a fence before it sleeps
// (membarrier); where that is missing, the writer publishes with a locked instruction.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/check.hpp"
#include "format/layout.hpp"
#include "log/announcer.hpp"
#include "seam/world.hpp"

namespace cinnabar::log {

template <World W>
class Frontiers {
  public:
    using M = typename W::Medium;
    using Timeout = std::optional<std::chrono::nanoseconds>;

    static constexpr uint64_t kRing = uint64_t{1} << 14;  // slots; one per line of the window
    static constexpr uint64_t kWindowBytes = kRing * format::kLineBytes;

    Frontiers(bool many, uint64_t start)
        : many_(many),
          locked_(many || !W::Park::can_fence_others()),
          published_(start),
          durable_(start) {
        if (many) slots_ = std::vector<std::atomic<uint64_t>>(kRing);
    }

    uint64_t published() const { return published_.load(std::memory_order_acquire); }
    // Moves first over a solid frame; what is acknowledged is below both.
    uint64_t durable() const { return durable_.load(std::memory_order_acquire); }

    // Where the next frame goes, in StreamCore's terms.
    std::atomic<uint64_t>& tail() { return tail_; }

    // May a frame that starts here be written? (Its slot must not be in use.) Whoever asks may have
    // been overtaken: an LSN that is published already is in the window, and its place is gone.
    bool in_window(uint64_t lsn) const { return !many_ || lsn < published() + kWindowBytes; }

    // The frame [lsn, lsn + lines * 64) is written.
    [[gnu::always_inline]] void publish(uint64_t lsn, uint64_t lines, bool solid) {
        const uint64_t end = lsn + lines * format::kLineBytes;
        if (!many_)
            publish_alone(lsn, end, solid);
        else
            publish_among(lsn, lines, end, solid);
        wake_waiters();
    }

    // Everything below `to` was published, flushed and fenced.
    void raise_durable(uint64_t to) {
        uint64_t now = durable_.load(std::memory_order_relaxed);
        if (!locked_) {
            if (now < to) durable_.store(to, std::memory_order_release);
        } else {
            W::point();
            while (now < to && !durable_.compare_exchange_weak(now, to, std::memory_order_seq_cst,
                                                               std::memory_order_relaxed)) {
            }
        }
        wake_waiters();
    }

    // Returns true once `reached()` holds, false when the time is over. About two forces of
    // spinning, then sleep.
    template <class Reached>
    bool wait(Reached&& reached, Timeout timeout = {}) {
        for (int turn = 0; turn < kSpinTurns; ++turn) {
            W::point();
            if (reached()) return true;
            W::Park::relax();
        }
        return sleep(reached, timeout);
    }

    // Has `call` made once the record at `lsn` is durable: by the thread that raises durable, or
    // here and now.
    void announce_at(uint64_t lsn, Announcement call) {
        waiters_.fetch_add(1, std::memory_order_seq_cst);
        announcer_.add(lsn, std::move(call));
        if (!locked_) W::Park::fence_others();
        announce();
    }

    // Nothing more will become durable: sleepers look again, announcements fail.
    void give_up(const Error& error) {
        waiters_.fetch_sub(announcer_.fail_all(error), std::memory_order_seq_cst);
        wake_all();
    }

  private:
    static constexpr int kTurnsForSlot = 4;  // about a force
    static constexpr int kSpinTurns = 8;

    static constexpr uint64_t kLinesBits = 24;
    static constexpr uint64_t kSolidBit = uint64_t{1} << kLinesBits;
    static constexpr uint64_t kLapShift = kLinesBits + 1;

    static uint64_t slot_word(uint64_t lsn, uint64_t lines, bool solid) {
        return lap_bits(lsn) | (solid ? kSolidBit : 0) | lines;
    }
    static uint64_t lap_bits(uint64_t lsn) {
        return (lsn / format::kLineBytes / kRing) << kLapShift;
    }
    std::atomic<uint64_t>& slot(uint64_t lsn) { return slots_[lsn / format::kLineBytes % kRing]; }

    [[gnu::always_inline]] void publish_alone(uint64_t lsn, uint64_t end, bool solid) {
        CNB_CHECK(published_.load(std::memory_order_relaxed) == lsn, {"lsn", lsn});
        if (solid && durable_.load(std::memory_order_relaxed) == lsn)
            durable_.store(end, std::memory_order_release);
        if (locked_)
            published_.exchange(end, std::memory_order_seq_cst);
        else
            published_.store(end, std::memory_order_release);
    }

    void publish_among(uint64_t lsn, uint64_t lines, uint64_t end, bool solid) {
        if (M::mutant(Mutant::slots_counted_apart)) {
            published_.fetch_add(lines * format::kLineBytes);
            return;
        }
        if (is_next(lsn, solid)) {
            // Whoever else may raise durable raises it to `lsn` at most until this is published:
            // once it stands there it is this thread's to move.
            if (solid && durable_.load(std::memory_order_relaxed) == lsn)
                durable_.store(end, std::memory_order_release);
            W::point();
            published_.exchange(end, std::memory_order_seq_cst);
        } else {
            CNB_CHECK(lines < kSolidBit, {"lines", lines});
            W::point();
            slot(lsn).exchange(slot_word(lsn, lines, solid), std::memory_order_seq_cst);
        }
        step_over_slots();
    }

    // Has the frontier arrived at this frame? A thread that forces waits for that in any case, and
    // soon enough it has: a slot would cost both cores more, who pass its line and the frontiers'
    // to and fro.
    bool is_next(uint64_t lsn, bool solid) const {
        const int turns = solid ? kTurnsForSlot : 0;
        for (int turn = 0;; ++turn) {
            W::point();
            if (published_.load(std::memory_order_acquire) == lsn) return true;
            if (turn == turns) return false;
            W::Park::relax();
        }
    }

    // Moves the frontier over every frame whose slot is set. Any thread, any number at a time.
    void step_over_slots() {
        if (M::mutant(Mutant::slots_not_stepped_over)) return;
        for (;;) {
            W::point();
            uint64_t at = published_.load(std::memory_order_seq_cst);
            const uint64_t word = slot(at).load(std::memory_order_seq_cst);
            const uint64_t lines = word & (kSolidBit - 1);
            if (lines == 0 || (word >> kLapShift) << kLapShift != lap_bits(at)) return;
            const uint64_t end = at + lines * format::kLineBytes;
            if (word & kSolidBit) step_durable(at, end);
            W::point();
            published_.compare_exchange_strong(at, end, std::memory_order_seq_cst);
        }
    }

    void step_durable(uint64_t from, uint64_t to) {
        durable_.compare_exchange_strong(from, to, std::memory_order_seq_cst);
    }

    [[gnu::always_inline]] void wake_waiters() {
        // What was published above comes before this load: by a locked instruction, or, with one
        // writer, by the membarrier of whoever registered as a waiter.
        std::atomic_signal_fence(std::memory_order_seq_cst);
        W::point();
        if (waiters_.load(std::memory_order_seq_cst) != 0) [[unlikely]]
            wake_all();
    }

    void wake_all() {
        if (sleepers_.load(std::memory_order_seq_cst) != 0) {
            W::point();
            epoch_.fetch_add(1, std::memory_order_seq_cst);
            W::Park::wake_all(epoch_);
        }
        announce();
    }

    void announce() {
        const uint32_t called = announcer_.announce(std::min(durable(), published()));
        if (called != 0) waiters_.fetch_sub(called, std::memory_order_seq_cst);
    }

    template <class Reached>
    bool sleep(Reached&& reached, Timeout timeout) {
        using Clock = std::chrono::steady_clock;
        const auto start = Clock::now();
        if (timeout) timeout = std::max(*timeout, std::chrono::nanoseconds(0));
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        waiters_.fetch_add(1, std::memory_order_seq_cst);
        if (!locked_) W::Park::fence_others();
        bool done = false;
        for (;;) {
            W::point();
            const uint32_t epoch = epoch_.load(std::memory_order_seq_cst);
            W::point();
            done = reached();
            W::point();
            if (done) break;
            Timeout left;
            if (timeout) {
                left = *timeout - (Clock::now() - start);
                if (left->count() <= 0) break;
            }
            W::Park::wait(epoch_, epoch, left);
        }
        waiters_.fetch_sub(1, std::memory_order_seq_cst);
        sleepers_.fetch_sub(1, std::memory_order_seq_cst);
        return done;
    }

    const bool many_;
    const bool locked_;
    // One line, for many writers pass it from core to core: who takes space looks at both frontiers
    // too, and who moves one moves the other.
    alignas(128) std::atomic<uint64_t> tail_{0};
    std::atomic<uint64_t> published_;
    std::atomic<uint64_t> durable_;
    alignas(128) std::atomic<uint32_t> waiters_{0};
    std::atomic<uint32_t> sleepers_{0};  // of the waiters, those that need a wake
    std::atomic<uint32_t> epoch_{0};
    std::vector<std::atomic<uint64_t>> slots_;
    Announcer announcer_;  // each call that waits counts as one of the waiters
};

}  // namespace cinnabar::log
