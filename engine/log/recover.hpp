// Acts on what scan.hpp found, before anything is delivered or appended:
//   1. makes durable what it accepts (trap L1): after kill -9 frames may stand in caches alone, and
//      a service that acted on them must find them after a later power failure too;
//   2. erases what it cut (trap L6): frames behind the cut could come back to life in a later
//      recovery, once the hole before them is filled. What an earlier recovery erased or renewed
//      counts as accepted: it is made durable as well.
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
    using M = typename W::Medium;

    Recovery(PoolMedium<W>& medium, SegmentPool<W>& segments, const PoolScan& scan)
        : medium_(medium), segments_(segments), scan_(scan) {}

    // Before any stream is applied.
    Result<void> accept_what_streams_stand_on() {
        if (auto done = accept_registers(); !done) return done;
        if (auto done = accept_renewed_headers(); !done) return done;
        return medium_.testimony_counts() ? Result<void>{} : accept_kept_headers();
    }

    Result<void> apply(const StreamScan& stream, StreamReport& report) {
        if (auto done = accept_stream(stream, report); !done) return done;
        if (auto done = erase_tail(stream, report); !done) return done;
        if (M::mutant(Mutant::dead_segments_kept)) return {};
        const size_t count = stream.dead.size();
        for (size_t i = 0; i < count; ++i) {
            const bool oldest_first = M::mutant(Mutant::dead_renewed_oldest_first);
            const uint32_t segment = stream.dead[oldest_first ? count - 1 - i : i];
            if (auto done = segments_.renew(segment, maintenance_); !done) return done;
            ++report.segments_renewed;
        }
        return {};
    }

  private:
    // The marks and the ceiling that the scan relied on. (A life on a medium that asks for less may
    // have raised the ceiling, and was killed before the pool said so.)
    Result<void> accept_registers() {
        format::Catalogue& catalogue = *medium_.space().catalogue;
        if (!M::mutant(Mutant::ceiling_not_accepted))
            if (auto done = accept(&catalogue.generation_ceiling, format::kLineBytes); !done)
                return done;
        if (M::mutant(Mutant::marks_not_accepted)) return {};
        const bool first = M::mutant(Mutant::first_mark_accepted);
        return accept(catalogue.marks.data(), first ? format::kLineBytes : sizeof catalogue.marks);
    }

    // The headers of segments whose life was ended, or that were prepared and never linked: under
    // an older header, the link in them might still continue a stream. The life that renewed it may
    // have been killed.
    Result<void> accept_renewed_headers() {
        if (M::mutant(Mutant::renewed_headers_not_accepted)) return {};
        for (size_t i = 0; i < scan_.segments.size(); ++i)
            if (scan_.segments[i].stale_link)
                if (auto done = accept_headers(static_cast<uint32_t>(i)); !done) return done;
        return {};
    }

    // Headers are durable before a link makes their segment a stream's: by the rules of the medium
    // that they were written on.
    Result<void> accept_kept_headers() {
        if (M::mutant(Mutant::kept_headers_not_accepted)) return {};
        for (const StreamScan& stream : scan_.streams)
            for (const uint32_t segment : stream.kept)
                if (auto done = accept_headers(segment); !done) return done;
        return {};
    }

    Result<void> accept_headers(uint32_t segment) {
        auto done = accept(medium_.space().segments[segment], format::kFramesOffset);
        if (done) segments_.note_headers_durable(segment);
        return done;
    }

    // Every frame that no testimony covers, the links of segments among them.
    Result<void> accept_stream(const StreamScan& stream, StreamReport& report) {
        const uint64_t span = format::frame_space(medium_.space().segment_bytes);
        for (size_t i = 0; i < stream.kept.size(); ++i) {
            std::byte* base = medium_.space().segments[stream.kept[i]];
            const uint64_t base_lsn = (stream.first_ordinal + i) * span;
            const uint64_t from =
                medium_.testimony_counts() ? std::max(stream.testified, base_lsn) : base_lsn;
            const uint64_t to = std::min(stream.cut, base_lsn + span);
            if (from >= to || M::mutant(Mutant::frames_not_accepted)) continue;
            std::byte* frames = base + format::kFramesOffset + (from - base_lsn);
            if (auto done = accept(frames, to - from); !done) return done;
            report.bytes_flushed += to - from;
        }
        return {};
    }

    Result<void> accept(void* at, size_t length) {
        return medium_.accept(at, length, maintenance_);
    }

    // Every line behind the cut that is not zero. It is not enough to look for this life's
    // generation: of a frame that was torn, every word but that one may be there, and a later frame
    // at the same place, torn as well, could complete it (trap L6). All of it is made durable, also
    // what is zero: a life that was killed here may have stored those zeros.
    Result<void> erase_tail(const StreamScan& stream, StreamReport& report) {
        const uint64_t span = format::frame_space(medium_.space().segment_bytes);
        const uint64_t end = (stream.first_ordinal + stream.kept.size()) * span;
        if (stream.kept.empty() || stream.cut >= end) return {};
        if (M::mutant(Mutant::cut_not_erased)) return {};
        std::byte* base = medium_.space().segments[stream.kept.back()];
        const uint64_t cut = format::kFramesOffset + stream.cut - (end - span);
        const uint64_t length = medium_.space().segment_bytes - cut;
        for (uint64_t at = cut; at < cut + length; at += format::kLineBytes) {
            if (format::all_zero(base + at, format::kLineBytes)) continue;
            if (M::mutant(Mutant::tail_erased_in_part) && report.lines_erased == 3) break;
            if (M::mutant(Mutant::own_generation_erased) &&
                format::read_frame_header(base + at).generation !=
                    static_cast<uint32_t>(scan_.segments[stream.kept.back()].header.generation))
                continue;
            medium_.raw().zero(Site::erase_store, base + at, format::kLineBytes);
            ++report.lines_erased;
            if (M::mutant(Mutant::tail_erased_line_by_line))
                if (auto done = accept_erased(base + at, format::kLineBytes); !done) return done;
        }
        if (M::mutant(Mutant::zeros_not_accepted) && report.lines_erased == 0) return {};
        return accept_erased(base + cut, length);
    }

    Result<void> accept_erased(std::byte* at, size_t length) {
        return medium_.accept(at, length, maintenance_, {Site::erase_flush, Site::erase_fence});
    }

    PoolMedium<W>& medium_;
    SegmentPool<W>& segments_;
    const PoolScan& scan_;
    Maintenance maintenance_;
};

}  // namespace cinnabar::log
