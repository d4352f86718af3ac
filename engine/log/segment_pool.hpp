// Who owns which segment: hands out prepared segments, takes released ones back, gives every life
// of a segment its generation. Shared by the streams of a pool; everything here is cold.
//
// A segment is prepared by writing its header twice, in different blocks, each copy flushed and
// fenced before the next is stored, under a generation that exceeds every earlier one in the pool.
// Generations also exceed a ceiling in the catalogue that is raised durably in blocks, so that
// they never repeat even where headers were lost.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "log/pool_medium.hpp"

namespace cinnabar::log {

struct PreparedSegment {
    uint32_t segment = 0;
    uint64_t generation = 0;
};

template <World W>
class SegmentPool {
  public:
    struct Options {
        uint32_t spares_max = 0;
        // Called with a segment's bytes before it first becomes a spare, to touch its pages.
        std::function<void(std::byte*, size_t)> prefault;
    };

    SegmentPool(PoolMedium<W>& medium, Options options)
        : medium_(medium),
          options_(std::move(options)),
          touched_(medium.space().segments.size(), false) {}

    // What recovery found. Before any other call.
    void adopt(uint64_t greatest_generation, uint64_t ceiling, std::vector<uint32_t> free) {
        generation_ = greatest_generation;
        ceiling_ = ceiling;
        free_.assign(free.begin(), free.end());
    }

    // A segment under a new generation. Errors: full, failed, io.
    Result<PreparedSegment> take(Maintenance& maintenance) {
        std::lock_guard lock(mutex_);
        if (!spares_.empty()) {
            const PreparedSegment spare = spares_.front();
            spares_.pop_front();
            return spare;
        }
        if (free_.empty()) return fail(Errc::full, "no free segment");
        auto generation = prepare(free_.front(), maintenance);
        if (!generation) return fail(generation.error());
        const PreparedSegment prepared{free_.front(), *generation};
        free_.pop_front();
        return prepared;
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
        return static_cast<uint32_t>(free_.size() + spares_.size());
    }

  private:
    static constexpr uint64_t kCeilingStep = 256;

    Result<uint64_t> prepare(uint32_t segment, Maintenance& maintenance) {
        const uint64_t generation = format::next_generation(generation_);
        if (generation > ceiling_) {
            const uint64_t ceiling = generation + kCeilingStep;
            auto raised = medium_.raise_register(
                Site::ceiling_store, {Site::ceiling_flush, Site::ceiling_fence},
                format::register_key(format::RegisterRole::generation_ceiling),
                medium_.space().catalogue->generation_ceiling, ceiling, maintenance);
            if (!raised) return fail(raised.error());
            ceiling_ = ceiling;
        }
        generation_ = generation;
        constexpr Site store[2] = {Site::header_a_store, Site::header_b_store};
        constexpr PersistSites sites[2] = {{Site::header_a_flush, Site::header_a_fence},
                                           {Site::header_b_flush, Site::header_b_fence}};
        const format::SegmentHeader header =
            format::segment_header(medium_.id(), segment, generation);
        for (size_t i = 0; i < 2; ++i) {
            std::byte* to = medium_.space().segments[segment] + format::kHeaderOffset[i];
            medium_.raw().copy(store[i], to, reinterpret_cast<const std::byte*>(&header),
                               sizeof header);
            maintenance.bytes += sizeof header;
            if (auto done = medium_.persist(sites[i], to, sizeof header, maintenance); !done)
                return fail(done.error());
        }
        return generation;
    }

    PoolMedium<W>& medium_;
    const Options options_;
    mutable typename W::Mutex mutex_;
    std::deque<uint32_t> free_;
    std::deque<PreparedSegment> spares_;
    std::vector<bool> touched_;  // by segment: all its pages, since the pool was opened
    uint64_t generation_ = 0;
    uint64_t ceiling_ = 0;
};

}  // namespace cinnabar::log
