// Acts on what scan.hpp found, before anything is delivered or appended:
//   1. makes durable what it accepts (trap L1): after kill -9 frames may stand in caches alone, and
//      a service that acted on them must find them after a later power failure too;
//   2. erases what it cut (trap L6): frames behind the cut could come back to life in a later
//      recovery, once the hole before them is filled.
// Interrupted, it is done again with the same cut. Done twice, the second changes nothing.
#pragma once

#include <cstdint>
#include <cstring>

#include "log/scan.hpp"
#include "log/segment_pool.hpp"
#include "log/stream_core.hpp"

namespace cinnabar::log {

template <World W>
class Recovery {
  public:
    Recovery(PoolMedium<W>& medium, SegmentPool<W>& segments, const PoolScan& scan)
        : medium_(medium), segments_(segments), scan_(scan) {}

    // The marks and the ceiling that the scan relied on.
    Result<void> accept_registers() {
        format::Catalogue& catalogue = *medium_.space().catalogue;
        if (auto done = accept(&catalogue.generation_ceiling, format::kLineBytes); !done)
            return done;
        return accept(catalogue.marks.data(), sizeof catalogue.marks);
    }

    Result<void> apply(const StreamScan& stream, StreamReport& report) {
        if (auto done = accept_stream(stream, report); !done) return done;
        if (auto done = erase_tail(stream, report); !done) return done;
        for (const uint32_t segment : stream.dead) {
            if (auto done = segments_.renew(segment, maintenance_); !done) return done;
            ++report.segments_renewed;
        }
        return {};
    }

  private:
    // Headers and link frames of the segments kept, and every frame that no testimony covers.
    Result<void> accept_stream(const StreamScan& stream, StreamReport& report) {
        const uint64_t span = format::frame_space(medium_.space().segment_bytes);
        for (size_t i = 0; i < stream.kept.size(); ++i) {
            std::byte* base = medium_.space().segments[stream.kept[i]];
            const uint64_t base_lsn = (stream.first_ordinal + i) * span;
            auto done = accept(base, format::kFramesOffset + format::kLineBytes);
            if (!done) return done;
            const uint64_t from =
                medium_.testimony_counts() ? std::max(stream.testified, base_lsn) : base_lsn;
            const uint64_t to = std::min(stream.cut, base_lsn + span);
            if (from >= to) continue;
            done = accept(base + format::kFramesOffset + (from - base_lsn), to - from);
            if (!done) return done;
            report.bytes_flushed += to - from;
        }
        return {};
    }

    Result<void> accept(void* at, size_t length) {
        return medium_.accept(at, length, maintenance_);
    }

    // Every line behind the cut that is not zero. It is not enough to look for this life's
    // generation: of a frame that was torn, every word but that one may be there, and a later frame
    // at the same place, torn as well, could complete it (trap L6).
    Result<void> erase_tail(const StreamScan& stream, StreamReport& report) {
        const uint64_t span = format::frame_space(medium_.space().segment_bytes);
        const uint64_t end = (stream.first_ordinal + stream.kept.size()) * span;
        if (stream.kept.empty() || stream.cut >= end) return {};
        std::byte* base = medium_.space().segments[stream.kept.back()];
        const uint64_t cut = format::kFramesOffset + stream.cut - (end - span);
        std::byte* first = nullptr;
        std::byte* last = nullptr;
        for (uint64_t at = cut; at < medium_.space().segment_bytes; at += format::kLineBytes) {
            if (format::all_zero(base + at, format::kLineBytes)) continue;
            medium_.raw().zero(Site::erase_store, base + at, format::kLineBytes);
            last = base + at;
            if (first == nullptr) first = last;
            ++report.lines_erased;
        }
        if (first == nullptr) return {};
        return medium_.persist({Site::erase_flush, Site::erase_fence}, first,
                               static_cast<size_t>(last + format::kLineBytes - first),
                               maintenance_);
    }

    PoolMedium<W>& medium_;
    SegmentPool<W>& segments_;
    const PoolScan& scan_;
    Maintenance maintenance_;
};

}  // namespace cinnabar::log
