// Who owns which segment: hands out prepared segments, takes released ones back, gives every life
// of a segment its generation. Shared by the streams of a pool; everything here is cold.
//
// A segment is prepared by writing its header twice, in different blocks, each copy flushed and
// fenced before the next is stored, and first the one that does not hold. The one that holds is
// made durable before, unless recovery has done so: the life that stored it may have been killed.
// So whenever power fails, in however many preparations, one of them holds. A new generation
// exceeds every earlier one in the pool, and a ceiling in the catalogue that is raised durably in
// blocks, so that generations never repeat even where headers were lost.
//
// Some free segments are kept back once a stream asks for a restart reserve: `base` for what must
// be written before space can be released, and those that streams have promised to reservations.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "log/pool_medium.hpp"

namespace cinnabar::log {

struct PreparedSegment {
    uint32_t segment = 0;
    uint64_t generation = 0;
};

// What must be there at a restart, beside what was promised: a segment for each stream with a
// reserve, and two into which the records of an oldest segment can be carried.
constexpr uint32_t kept_back_for(uint32_t streams_with_reserve) {
    return streams_with_reserve == 0 ? 0 : streams_with_reserve + 2;
}

// Which free segments a stream may have.
enum class Reach : uint8_t {
    open,       // those that are not kept back
    kept_back,  // all that no other stream was promised
};

template <World W>
class SegmentPool {
  public:
    using M = typename W::Medium;

    struct Options {
        uint32_t spares_max = 0;
        // Called with a segment's bytes before it first becomes a spare, to touch its pages.
        std::function<void(std::byte*, size_t)> prefault;
    };

    SegmentPool(PoolMedium<W>& medium, Options options)
        : medium_(medium),
          options_(std::move(options)),
          touched_(medium.space().segments.size(), false),
          headers_durable_(medium.space().segments.size(), false) {}

    // What recovery found. Before any other call.
    void adopt(uint64_t greatest_generation, uint64_t ceiling, std::vector<uint32_t> free) {
        generation_ = greatest_generation;
        ceiling_ = ceiling;
        free_.assign(free.begin(), free.end());
    }

    // Recovery has accepted them.
    void note_headers_durable(uint32_t segment) { headers_durable_[segment] = true; }

    // A segment under a new generation, for a stream whose promise changes with it from `before`
    // to `after` segments. Errors: full, failed, io.
    Result<PreparedSegment> take(Reach reach, uint32_t before, uint32_t after,
                                 Maintenance& maintenance) {
        std::lock_guard lock(mutex_);
        if (!fits(reach, 1, before, after)) return fail(Errc::full, "no free segment");
        if (spares_.empty()) {
            auto generation = prepare(free_.front(), maintenance);
            if (!generation) return fail(generation.error());
            spares_.push_back({free_.front(), *generation});
            free_.pop_front();
        }
        promised_ += after - before;
        const PreparedSegment taken = spares_.front();
        spares_.pop_front();
        return taken;
    }

    // A stream's promise changes from `before` to `after` segments. False, and nothing changed,
    // where there are not so many.
    bool promise(Reach reach, uint32_t before, uint32_t after) {
        std::lock_guard lock(mutex_);
        if (!fits(reach, 0, before, after)) return false;
        promised_ += after - before;
        return true;
    }

    // `base` segments are kept back from now on, beside those promised. False, and nothing changed,
    // where fewer than `wanted` are free and not promised.
    bool keep_back(uint32_t base, uint32_t wanted) {
        std::lock_guard lock(mutex_);
        if (free_now() < promised_ + wanted) return false;
        base_ = base;
        return true;
    }

    void give_back(uint32_t segment) {
        std::lock_guard lock(mutex_);
        free_.push_back(segment);
    }

    // Prepares free segments ahead, up to the cap.
    Result<void> fill_spares(Maintenance& maintenance) {
        std::lock_guard lock(mutex_);
        while (spares_.size() < options_.spares_max && !free_.empty()) {
            const uint32_t segment = free_.front();
            if (options_.prefault && !touched_[segment])
                options_.prefault(medium_.space().segments[segment], medium_.space().segment_bytes);
            auto generation = prepare(segment, maintenance);
            if (!generation) return fail(generation.error());
            touched_[segment] = true;
            free_.pop_front();
            spares_.push_back({segment, *generation});
        }
        return {};
    }

    // Ends a life: whatever the segment holds belongs to an older generation from now on.
    Result<void> renew(uint32_t segment, Maintenance& maintenance) {
        std::lock_guard lock(mutex_);
        auto generation = prepare(segment, maintenance);
        if (!generation) return fail(generation.error());
        free_.push_back(segment);
        return {};
    }

    // Runs `look` while no segment is prepared, taken or given back.
    template <class Look>
    void stand_still(Look&& look) const {
        std::lock_guard lock(mutex_);
        look();
    }

    uint32_t free_count() const {
        std::lock_guard lock(mutex_);
        return free_now();
    }

    // Those of them that are not kept back.
    uint32_t open_count() const {
        std::lock_guard lock(mutex_);
        return open_now();
    }
    uint32_t kept_back_count() const {
        std::lock_guard lock(mutex_);
        return free_now() - open_now();
    }

    // Why a stream may have no further segment, in words.
    std::string why_none() const {
        std::lock_guard lock(mutex_);
        if (free_now() == 0) return "no segment of the pool is free";
        return std::to_string(free_now()) + " segments of the pool are free, and kept back are " +
               std::to_string(base_) + " for a restart and " + std::to_string(promised_) +
               " for reservations";
    }

  private:
    static constexpr uint64_t kCeilingStep = 256;

    uint32_t free_now() const { return static_cast<uint32_t>(free_.size() + spares_.size()); }
    uint32_t open_now() const { return free_now() - std::min(base_ + promised_, free_now()); }

    bool fits(Reach reach, uint32_t taken, uint32_t before, uint32_t after) const {
        const bool base_too = reach == Reach::open && !M::mutant(Mutant::reserve_given_away);
        uint32_t kept = promised_ - before + after + (base_too ? base_ : 0);
        if (M::mutant(Mutant::promise_not_counted)) kept = 0;
        return free_now() >= taken + kept;
    }

    Result<uint64_t> prepare(uint32_t segment, Maintenance& maintenance) {
        if (medium_.failed()) return fail(PoolMedium<W>::failure());
        const uint64_t generation = format::next_generation(generation_);
        const bool late = M::mutant(Mutant::ceiling_after_header);
        if (!late)
            if (auto raised = raise_ceiling(generation, maintenance); !raised)
                return fail(raised.error());
        generation_ = generation;
        if (auto done = write_headers(segment, generation, maintenance); !done)
            return fail(done.error());
        if (late)
            if (auto raised = raise_ceiling(generation, maintenance); !raised)
                return fail(raised.error());
        headers_durable_[segment] = true;
        return generation;
    }

    Result<void> raise_ceiling(uint64_t generation, Maintenance& maintenance) {
        if (generation <= ceiling_) return {};
        const uint64_t ceiling = generation + kCeilingStep;
        auto raised = medium_.raise_register(
            Site::ceiling_store, {Site::ceiling_flush, Site::ceiling_fence},
            format::register_key(format::RegisterRole::generation_ceiling),
            medium_.space().catalogue->generation_ceiling, ceiling, maintenance);
        if (raised) ceiling_ = ceiling;
        return raised;
    }

    Result<void> write_headers(uint32_t segment, uint64_t generation, Maintenance& maintenance) {
        constexpr Site store[2] = {Site::header_a_store, Site::header_b_store};
        constexpr PersistSites sites[2] = {{Site::header_a_flush, Site::header_a_fence},
                                           {Site::header_b_flush, Site::header_b_fence}};
        const format::SegmentHeader header =
            format::segment_header(medium_.id(), segment, generation);
        std::byte* const base = medium_.space().segments[segment];
        const format::HeaderReading present =
            format::read_segment_header(medium_.id(), segment, base);
        const size_t first =
            M::mutant(Mutant::holding_header_first) ? 1 - present.store_first : present.store_first;
        const bool holds = present.generation != 0 && !headers_durable_[segment];
        if (holds && !M::mutant(Mutant::holding_header_not_accepted)) {
            std::byte* at = base + format::kHeaderOffset[1 - first];
            if (auto done = medium_.accept(at, sizeof header, maintenance); !done) return done;
        }
        for (const size_t i : {first, 1 - first}) {
            std::byte* to = base + format::kHeaderOffset[i];
            medium_.raw().copy(store[i], to, reinterpret_cast<const std::byte*>(&header),
                               sizeof header);
            maintenance.bytes += sizeof header;
            if (M::mutant(Mutant::spare_before_fence) ||
                (M::mutant(Mutant::headers_under_one_fence) && i == first)) {
                medium_.raw().flush(sites[i].flush, to, sizeof header);
                continue;
            }
            if (auto done = medium_.persist(sites[i], to, sizeof header, maintenance); !done)
                return done;
        }
        return {};
    }

    PoolMedium<W>& medium_;
    const Options options_;
    mutable typename W::Mutex mutex_;
    std::deque<uint32_t> free_;
    std::deque<PreparedSegment> spares_;
    uint32_t base_ = 0;
    uint32_t promised_ = 0;              // of all streams
    std::vector<bool> touched_;          // by segment: all its pages, since the pool was opened
    std::vector<bool> headers_durable_;  // by segment: both, made so since then
    uint64_t generation_ = 0;
    uint64_t ceiling_ = 0;
};

}  // namespace cinnabar::log
