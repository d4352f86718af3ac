#include "log/copy_pool.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include "format/verdict.hpp"
#include "log/scan.hpp"
#include "medium/pmem_medium.hpp"
#include "pool/tables.hpp"

namespace cinnabar::log {

namespace {

using format::FrameHeader;
using format::FrameType;
using format::kFramesOffset;
using format::kLineBytes;
using format::SegmentLife;

// The segments of a new pool, in the order of their numbers, and stores to them. Every frame that
// is written here testifies its own LSN: no name shows the new pool before all of it is durable.
class FreshPool {
  public:
    explicit FreshPool(const pool::Space& space) : space_(space) {}

    const pool::Space& space() const { return space_; }
    uint32_t segments_used() const { return used_; }
    uint64_t greatest_generation() const { return generation_; }

    SegmentLife take_segment(uint64_t base_lsn) {
        CNB_CHECK(used_ < space_.segments.size(), {"segments", space_.segments.size()});
        const uint32_t segment = used_++;
        generation_ = format::next_generation(generation_);
        const format::SegmentHeader header =
            format::segment_header(space_.id, segment, generation_);
        for (const size_t offset : format::kHeaderOffset)
            store(space_.segments[segment] + offset, header);
        return life_of(space_, segment, generation_, base_lsn);
    }

    void store_frame(const SegmentLife& life, FrameHeader header, std::span<const Bytes> parts) {
        header.generation = static_cast<uint32_t>(life.generation);
        header.checksum = 0;
        header.distance_lines = 0;
        std::byte* to = space_.segments[life.segment] + life.offset_of(header.lsn);
        medium_.store_frame(Site::none, to, std::bit_cast<FrameWords>(header), parts, life.seed,
                            StoreKind::cached);
    }

    template <class T>
    void store(void* to, const T& value) {
        medium_.copy(Site::none, static_cast<std::byte*>(to),
                     reinterpret_cast<const std::byte*>(&value), sizeof value);
    }

    void store_register(format::RegisterLine& line, format::RegisterRole role, uint32_t row,
                        uint64_t value) {
        format::RegisterLine fresh;
        fresh.slot[0] = format::register_slot(space_.id, format::register_key(role, row), value);
        store(&line, fresh);
    }

  private:
    const pool::Space& space_;
    medium::PmemMedium medium_{Domain::page};  // stores only
    uint32_t used_ = 0;
    uint64_t generation_ = 0;
};

// Which frame of a record survived: what a carried copy says of the frame it was copied from must
// be true in the new pool too.
class Survivors {
  public:
    Survivors(uint64_t begin, const std::vector<Gap>& gaps) : begin_(begin), gaps_(gaps) {}

    // `copy` stands at `lsn`; all before it was seen already.
    void rewrite(format::CarriedPrefix& copy, uint64_t lsn) {
        // What was copied before the segments that are kept, is not read with them.
        if (copy.copied_lsn >= begin_ && !survived(copy.copied_lsn)) {
            const auto last = last_.find(copy.origin_lsn);
            copy.copied_lsn = last != last_.end()         ? last->second
                              : survived(copy.origin_lsn) ? copy.origin_lsn
                                                          : 0;
        }
        last_[copy.origin_lsn] = lsn;
    }

  private:
    bool survived(uint64_t lsn) const {
        if (lsn < begin_) return false;
        return std::none_of(gaps_.begin(), gaps_.end(), [&](const Gap& gap) {
            return gap.begin.value <= lsn && lsn < gap.end.value;
        });
    }

    const uint64_t begin_;
    const std::vector<Gap>& gaps_;
    std::map<uint64_t, uint64_t> last_;  // copies, by origin
};

class StreamCopier {
  public:
    StreamCopier(const pool::Space& old, const StreamSurvey& stream, std::vector<uint64_t> marks,
                 FreshPool& fresh)
        : old_(old),
          stream_(stream),
          marks_(std::move(marks)),
          fresh_(fresh),
          span_(format::frame_space(old.segment_bytes)),
          survivors_(stream.first_ordinal * span_, report_.gaps) {
        std::sort(marks_.begin(), marks_.end());
        report_.name = pool::name_in(stream.entry);
        report_.begin = Lsn{stream.first_ordinal * span_};
        report_.end = Lsn{stream.end};
    }

    Result<StreamCopy> run() {
        for (size_t i = 0; i < stream_.segments.size(); ++i)
            if (auto done = copy_segment(i); !done) return fail(std::move(done.error()));
        return std::move(report_);
    }

  private:
    Result<void> copy_segment(size_t i) {
        const uint64_t base_lsn = (stream_.first_ordinal + i) * span_;
        const SegmentLife to = fresh_.take_segment(base_lsn);
        store_link(to);
        previous_ = to;
        const uint64_t end = std::min(stream_.end, to.end_lsn());
        for (uint64_t lsn = base_lsn + kLineBytes; lsn < end;) {
            if (next_hole_ < stream_.holes.size() && stream_.holes[next_hole_].begin == lsn) {
                const Hole& hole = stream_.holes[next_hole_++];
                fill(to, hole);
                lsn = hole.end;
                continue;
            }
            auto copied = copy_frame(*stream_.segments[i], to, lsn);
            if (!copied) return fail(std::move(copied.error()));
            lsn += *copied;
        }
        return {};
    }

    void store_link(const SegmentLife& to) {
        format::LinkPayload link;
        link.stream = stream_.entry.stream;
        link.predecessor_end_lsn = to.base_lsn;
        if (previous_) {
            link.predecessor_segment = previous_->segment;
            link.predecessor_generation = previous_->generation;
        }
        const Bytes payload = std::as_bytes(std::span(&link, 1));
        store(to, to.base_lsn, FrameType::link, sizeof link, {&payload, 1});
    }

    void store(const SegmentLife& to, uint64_t lsn, FrameType type, uint64_t payload_bytes,
               std::span<const Bytes> parts) {
        FrameHeader header;
        header.length_and_flags =
            format::length_and_flags(type, true, static_cast<uint32_t>(payload_bytes));
        header.lsn = lsn;
        fresh_.store_frame(to, header, parts);
    }

    // A mark leads to a position where reading can begin, also within a gap.
    void fill(const SegmentLife& to, const Hole& hole) {
        const uint64_t greatest = format::gap_bytes_max(old_.segment_bytes);
        for (uint64_t lsn = hole.begin; lsn < hole.end;) {
            uint64_t next = std::min(hole.end, lsn + greatest);
            if (const auto mark = std::upper_bound(marks_.begin(), marks_.end(), lsn);
                mark != marks_.end())
                next = std::min(next, *mark);
            store(to, lsn, FrameType::gap, next - lsn - format::kHeaderBytes, {});
            lsn = next;
        }
        report_gap(hole.begin, hole.end, hole.range);
    }

    void report_gap(uint64_t begin, uint64_t end, ByteRange range) {
        if (!report_.gaps.empty()) {
            Gap& last = report_.gaps.back();
            if (last.end.value == begin && range.length_bytes != 0 &&
                last.range.offset_bytes + last.range.length_bytes == range.offset_bytes) {
                last.end = Lsn{end};
                last.range.length_bytes += range.length_bytes;
                return;
            }
        }
        report_.gaps.push_back({Lsn{begin}, Lsn{end}, range});
    }

    // Returns the bytes it takes.
    Result<uint64_t> copy_frame(const OldSegment& from, const SegmentLife& to, uint64_t lsn) {
        const SegmentLife life = life_of(old_, from.segment, from.generation, to.base_lsn);
        const uint64_t offset = life.offset_of(lsn);
        const format::Seen seen = format::look(life, offset, true);
        if (seen.verdict != format::Verdict::valid)
            return fail(Errc::io, "the pool was changed while it was copied; try again");
        const std::byte* payload = life.base + offset + format::kHeaderBytes;
        const uint64_t bytes = seen.header.payload_bytes();
        switch (seen.header.type()) {
            case FrameType::record: copy_record(to, seen.header, {payload, bytes}); break;
            case FrameType::carried: copy_carried(to, seen.header, {payload, bytes}); break;
            case FrameType::gap:
                report_gap(lsn, lsn + seen.frame_bytes,
                           {old_.offset_of(life.base + offset), seen.frame_bytes});
                [[fallthrough]];
            default: fresh_.store_frame(to, seen.header, {});
        }
        return seen.frame_bytes;
    }

    void copy_record(const SegmentLife& to, const FrameHeader& header, Bytes payload) {
        ++report_.records;
        report_.payload_bytes += payload.size();
        fresh_.store_frame(to, header, {&payload, 1});
    }

    void copy_carried(const SegmentLife& to, const FrameHeader& header, Bytes payload) {
        format::CarriedPrefix prefix;
        std::memcpy(&prefix, payload.data(), sizeof prefix);
        survivors_.rewrite(prefix, header.lsn);
        const Bytes parts[] = {std::as_bytes(std::span(&prefix, 1)),
                               payload.subspan(sizeof prefix)};
        ++report_.records;
        report_.payload_bytes += parts[1].size();
        fresh_.store_frame(to, header, parts);
    }

    const pool::Space& old_;
    const StreamSurvey& stream_;
    std::vector<uint64_t> marks_;
    FreshPool& fresh_;
    const uint64_t span_;
    StreamCopy report_;
    Survivors survivors_;
    std::optional<SegmentLife> previous_;
    size_t next_hole_ = 0;
};

// Rows keep their places: a service's number is that of its row.
void store_tables(const PoolSurvey& survey, FreshPool& fresh) {
    format::Catalogue& to = *fresh.space().catalogue;
    for (const StreamSurvey& stream : survey.streams) {
        format::StreamRow row = stream.entry;
        row.sum = format::row_sum(fresh.space().id, row);
        fresh.store(&to.streams[stream.row], row);
    }
    for (uint32_t i = 0; i < format::kServiceRows; ++i) {
        format::ServiceRow row = survey.services[i];
        if (row.stream == 0) continue;
        row.sum = format::row_sum(fresh.space().id, row);
        fresh.store(&to.services[i], row);
        fresh.store_register(to.marks[i], format::RegisterRole::mark, i, survey.marks[i]);
    }
    fresh.store_register(to.last_stream, format::RegisterRole::last_stream, 0, survey.last_stream);
    fresh.store_register(to.generation_ceiling, format::RegisterRole::generation_ceiling, 0,
                         fresh.greatest_generation());
}

std::vector<uint64_t> marks_of(const PoolSurvey& survey, const StreamSurvey& stream) {
    std::vector<uint64_t> marks = {stream.mark};
    for (uint32_t i = 0; i < format::kServiceRows; ++i)
        if (survey.services[i].stream == stream.entry.stream) marks.push_back(survey.marks[i]);
    return marks;
}

}  // namespace

Result<void> copy_pool_into(const pool::Space& old, const PoolSurvey& survey,
                            const pool::Space& fresh_space, CopyReport& report) {
    FreshPool fresh(fresh_space);
    for (const StreamSurvey& stream : survey.streams) {
        auto copied = StreamCopier(old, stream, marks_of(survey, stream), fresh).run();
        if (!copied) return fail(std::move(copied.error()));
        report.streams.push_back(std::move(*copied));
    }
    store_tables(survey, fresh);
    report.segments_used = fresh.segments_used();
    return {};
}

}  // namespace cinnabar::log
