// A pool's medium with what all its streams share: one write-back leader at a time in the page
// domain, the failure that ends the pool's life, and making things durable off the hot path.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "base/check.hpp"
#include "format/codec.hpp"
#include "pool/space.hpp"
#include "seam/world.hpp"

namespace cinnabar::log {

// Work on the medium that no record asked for by itself.
struct Maintenance {
    uint64_t fences = 0;
    uint64_t lines = 0;
    uint64_t bytes = 0;
};

struct PersistSites {
    Site flush;
    Site fence;
};

template <World W>
class PoolMedium {
  public:
    using M = typename W::Medium;

    PoolMedium(const pool::Space& space, M& medium) : space_(space), medium_(medium) {}

    const pool::Space& space() const { return space_; }
    const format::PoolId& id() const { return space_.id; }
    M& raw() { return medium_; }
    Domain domain() const { return medium_.domain(); }

    bool failed() const { return failed_.load(std::memory_order_acquire); }
    static Error failure() {
        return {Errc::failed,
                "an earlier force of this pool failed: close the log and open it again to learn "
                "what survived",
                std::nullopt, std::nullopt};
    }

    // Page domain. Linux reports a write-back error once, to whoever asks first, whatever range he
    // asks for: so one leader writes back at a time, for the whole pool, and after a failure the
    // flag stands before another may ask. `work(medium)` calls sync() as often as it needs.
    template <class Work>
    Result<void> lead_sync(Work&& work) {
        Result<void> done;
        {
            std::lock_guard lock(sync_mutex_);
            if (failed()) return fail(failure());
            done = work(medium_);
            if (done || M::mutant(Mutant::failure_forgotten)) return done;
            if (!M::mutant(Mutant::failure_flagged_late))
                failed_.store(true, std::memory_order_release);
        }
        if (M::mutant(Mutant::failure_flagged_late)) {
            W::point();
            failed_.store(true);
        }
        std::lock_guard lock(watchers_mutex_);
        for (const auto& [who, told] : watchers_) told();
        return done;
    }

    // `told` is called once the pool has failed, by the thread that noticed.
    void watch_failure(const void* who, std::function<void()> told) {
        std::lock_guard lock(watchers_mutex_);
        watchers_[who] = std::move(told);
    }
    void unwatch_failure(const void* who) {
        std::lock_guard lock(watchers_mutex_);
        watchers_.erase(who);
    }

    // Makes a range durable in any domain. Cold.
    Result<void> persist(PersistSites sites, const void* from, size_t length,
                         Maintenance& maintenance) {
        const auto* bytes = static_cast<const std::byte*>(from);
        ++maintenance.fences;
        if (domain() == Domain::page)
            return lead_sync([&](M& medium) { return medium.sync(sites.fence, bytes, length); });
        medium_.flush(sites.flush, bytes, length);
        medium_.fence(sites.fence);
        maintenance.lines += (length + format::kLineBytes - 1) / format::kLineBytes;
        return {};
    }

    // What testimony calls durable was so by the rules of the medium that it was written on. One
    // that asked for less than the present one (caches that survive, or emulation of such) says
    // nothing here.
    bool testimony_counts() const {
        const format::MediumRow& last = space_.catalogue->medium;
        if (M::mutant(Mutant::weak_testimony_believed)) return true;
        return format::all_zero(reinterpret_cast<const std::byte*>(&last), sizeof last) ||
               last.domain >= static_cast<uint32_t>(domain());
    }

    // Makes durable what an earlier life may have left in caches alone: it was read, and will be
    // relied upon. Cold.
    Result<void> accept(void* at, size_t length, Maintenance& maintenance,
                        PersistSites sites = {Site::accept_flush, Site::accept_fence}) {
        if (M::mutant(Mutant::nothing_accepted)) return {};
        auto* bytes = static_cast<std::byte*>(at);
        if (domain() == Domain::page) dirty_pages(bytes, length);
        return persist(sites, bytes, length, maintenance);
    }

    // Raises a register: the new value goes to the slot that does not hold the present one. Both
    // are in one line, so of several raises that are not durable the later needs the earlier.
    Result<void> raise_register(Site store, PersistSites sites, uint32_t key,
                                format::RegisterLine& line, uint64_t value,
                                Maintenance& maintenance) {
        const auto present = format::read_register(id(), key, line);
        CNB_CHECK(present.has_value() && value >= present->value, {"value", value});
        const bool in_place = M::mutant(Mutant::register_in_place);
        format::RegisterSlot& slot = line.slot[in_place ? present->slot : 1 - present->slot];
        const format::RegisterSlot next = format::register_slot(id(), key, value);
        medium_.store8(store, &slot.value, next.value);
        medium_.store8(store, &slot.sum, next.sum);
        maintenance.bytes += sizeof slot;
        return persist(sites, &line, sizeof line, maintenance);
    }

  private:
    // A page that an earlier write-back failed on may count as clean: storing the same bytes again
    // makes the next msync write it.
    void dirty_pages(std::byte* bytes, size_t length) {
        const uintptr_t begin = reinterpret_cast<uintptr_t>(bytes);
        for (uintptr_t at = begin & ~uintptr_t{7}; at < begin + length;
             at = (at / format::kPageBytes + 1) * format::kPageBytes) {
            auto* word = reinterpret_cast<uint64_t*>(at);
            medium_.store8(Site::accept_store, word, *word);
            if (M::mutant(Mutant::first_page_accepted)) return;
        }
    }

    const pool::Space& space_;
    M& medium_;
    typename W::Mutex sync_mutex_;
    std::atomic<bool> failed_{false};
    typename W::Mutex watchers_mutex_;
    std::map<const void*, std::function<void()>> watchers_;
};

}  // namespace cinnabar::log
