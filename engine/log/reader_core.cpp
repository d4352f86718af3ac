#include "log/reader_core.hpp"

#include <cstring>
#include <string>

namespace cinnabar {

namespace {

using format::FrameType;
using format::Verdict;

// Takes the prefix off a carried copy.
format::CarriedPrefix unwrap(Record& record) {
    format::CarriedPrefix prefix;
    std::memcpy(&prefix, record.payload.data(), sizeof prefix);
    record.payload = record.payload.subspan(sizeof prefix);
    record.origin = Lsn{prefix.origin_lsn};
    if (prefix.previous_lsn != 0) record.previous = Lsn{prefix.previous_lsn};
    return prefix;
}

}  // namespace

ReaderCore::ReaderCore(std::shared_ptr<StreamCoreBase> stream, uint64_t position, Frontier frontier)
    : stream_(std::move(stream)), start_(position), position_(position), frontier_(frontier) {}

ReaderCore::~ReaderCore() {
    if (pinned_) stream_->unpin(pinned_->ordinal);
}

Result<std::unique_ptr<ReaderCore>> ReaderCore::open(std::shared_ptr<StreamCoreBase> stream,
                                                     std::optional<Lsn> from, Frontier frontier) {
    for (;;) {
        auto reader = open_once(stream, from, frontier);
        // Who asks for the oldest record there is means the one after a release that came between.
        if (reader || from || reader.error().code != Errc::below_low_water) return reader;
    }
}

Result<std::unique_ptr<ReaderCore>> ReaderCore::open_once(std::shared_ptr<StreamCoreBase> stream,
                                                          std::optional<Lsn> from,
                                                          Frontier frontier) {
    if (auto ok = stream->usable(); !ok) return fail(std::move(ok.error()));
    const uint64_t low_water = stream->low_water();
    const uint64_t start = from ? from->value : low_water;
    auto reader = std::make_unique<ReaderCore>(std::move(stream), start, frontier);
    if (start < low_water) return fail(reader->below_low_water(start));
    if (!from && start > reader->limit())  // only of a damaged pool, which is open read-only
        return fail(Error{Errc::corrupt,
                          "the log of stream '" + reader->stream_->name() + "' ends at LSN " +
                              std::to_string(reader->limit()) + ", below its low-water mark " +
                              std::to_string(start) + ": what stood there is missing",
                          Lsn{reader->limit()}, std::nullopt});
    if (start > reader->limit()) return fail(reader->above_frontier(start));
    if (start < reader->limit())
        if (auto aligned = reader->align(start, from.has_value()); !aligned)
            return fail(std::move(aligned.error()));
    return reader;
}

uint64_t ReaderCore::limit() const {
    return frontier_ == Frontier::durable ? stream_->durable() : stream_->published();
}

// Walks to the first frame at or behind `from`, from the start of its segment or from where the
// reader stands before it in the same one.
Result<void> ReaderCore::align(uint64_t from, bool exact) {
    const uint64_t stood_on = pinned_ ? pinned_->life.base_lsn : UINT64_MAX;
    if (auto stood = stand_on(from); !stood) return stood;
    uint64_t at = pinned_->life.base_lsn;
    if (at == stood_on && position_ >= at && position_ <= from) at = position_;
    while (at < from) {
        auto seen = look_at(at);
        if (!seen) return fail(std::move(seen.error()));
        at += seen->frame_bytes;
    }
    position_ = at;
    if (exact && at != from) return fail(no_record(from));
    return {};
}

Error ReaderCore::below_low_water(uint64_t lsn) const {
    return {Errc::below_low_water,
            "LSN " + std::to_string(lsn) + " of stream '" + stream_->name() +
                "' is below its low-water mark " + std::to_string(stream_->low_water()) +
                ": it was released; read from the mark on",
            Lsn{lsn}, std::nullopt};
}

Error ReaderCore::above_frontier(uint64_t lsn) const {
    return {Errc::never_appended,
            "LSN " + std::to_string(lsn) + " of stream '" + stream_->name() +
                "' is above the frontier " + std::to_string(limit()) +
                "; read from there, or from a record's LSN",
            Lsn{lsn}, std::nullopt};
}

Error ReaderCore::no_record(uint64_t lsn) const {
    return {Errc::invalid_argument,
            "no record of stream '" + stream_->name() + "' starts at LSN " + std::to_string(lsn) +
                "; use an LSN that append or a reader gave",
            Lsn{lsn}, std::nullopt};
}

Result<void> ReaderCore::stand_on(uint64_t lsn) {
    if (pinned_ && lsn >= pinned_->life.base_lsn && lsn < pinned_->life.end_lsn()) return {};
    // The next one first: as long as the reader stands on this one, nothing behind it is released.
    auto pinned = stream_->pin(lsn);
    if (!pinned) return fail(std::move(pinned.error()));
    if (pinned_) stream_->unpin(pinned_->ordinal);
    pinned_ = *pinned;
    return {};
}

// The frame at `lsn`, below the frontier: anything but a valid one is damage.
Result<format::Seen> ReaderCore::look_at(uint64_t lsn) {
    const format::SegmentLife& life = pinned_->life;
    const uint64_t offset = life.offset_of(lsn);
    const format::Seen seen = format::look(life, offset, true);
    if (seen.verdict == Verdict::valid) return seen;
    Error error{Errc::corrupt, "", Lsn{lsn},
                ByteRange{stream_->offset_in_pool(life.base + offset), format::kLineBytes}};
    error.message = std::string(format::name_of(seen.verdict)) + " in stream '" + stream_->name() +
                    "' at LSN " + std::to_string(lsn) + ", pool file byte " +
                    std::to_string(error.range->offset_bytes) +
                    "; what lies behind it can be read from a later record on, and a check lists "
                    "all damage";
    return fail(std::move(error));
}

// Steps over the frame at the position; nothing at the frontier.
Result<std::optional<format::Seen>> ReaderCore::next_frame() {
    if (position_ >= limit()) return std::optional<format::Seen>();
    if (auto stood = stand_on(position_); !stood) return fail(std::move(stood.error()));
    auto seen = look_at(position_);
    if (!seen) return fail(std::move(seen.error()));
    position_ += seen->frame_bytes;
    return std::optional<format::Seen>(*seen);
}

Record ReaderCore::record_of(const format::Seen& seen) const {
    const format::SegmentLife& life = pinned_->life;
    const std::byte* frame = life.base + life.offset_of(seen.header.lsn);
    Record record;
    record.lsn = Lsn{seen.header.lsn};
    record.origin = record.lsn;
    record.durability = seen.header.forced() ? Durability::forced : Durability::lazy;
    record.service = ServiceId{seen.header.service};
    record.kind = seen.header.kind;
    if (seen.header.back_lines != 0)
        record.previous =
            Lsn{seen.header.lsn - uint64_t{seen.header.back_lines} * format::kLineBytes};
    record.known_durable = seen.header.lsn < stream_->known_durable();
    record.payload = Bytes(frame + format::kHeaderBytes, seen.header.payload_bytes());
    return record;
}

Result<std::optional<Record>> ReaderCore::next() {
    if (auto ok = stream_->usable(); !ok) return fail(std::move(ok.error()));
    for (;;) {
        const auto seen = next_frame();
        if (!seen) return fail(seen.error());
        if (!*seen) return std::optional<Record>();
        const FrameType type = (*seen)->header.type();
        if (type == FrameType::gap) return fail(gap_at((*seen)->header.lsn, (*seen)->frame_bytes));
        if (type != FrameType::record && type != FrameType::carried) continue;
        Record record = record_of(**seen);
        if (type == FrameType::carried && delivered_before(unwrap(record))) continue;
        return std::optional<Record>(record);
    }
}

Result<std::optional<Record>> ReaderCore::next_copy() {
    for (;;) {
        const auto seen = next_frame();
        if (!seen) return fail(seen.error());
        if (!*seen) return std::optional<Record>();
        if ((*seen)->header.type() != FrameType::carried) continue;
        Record record = record_of(**seen);
        unwrap(record);
        return std::optional<Record>(record);
    }
}

Result<Record> ReaderCore::record_at(Lsn lsn) {
    if (auto ok = stream_->usable(); !ok) return fail(std::move(ok.error()));
    if (lsn.value < stream_->low_water()) return fail(below_low_water(lsn.value));
    if (lsn.value >= limit()) return fail(above_frontier(lsn.value));
    if (auto aligned = align(lsn.value, true); !aligned) return fail(std::move(aligned.error()));
    const auto seen = look_at(position_);
    if (!seen) return fail(seen.error());
    Record record = record_of(*seen);
    if (seen->header.type() == FrameType::carried)
        unwrap(record);
    else if (seen->header.type() != FrameType::record)
        return fail(no_record(lsn.value));
    return record;
}

// The frame that a copy names stands behind `start_`: it, or one that it names, was delivered.
bool ReaderCore::delivered_before(const format::CarriedPrefix& copy) const {
    return copy.copied_lsn != 0 && copy.copied_lsn >= start_;
}

Error ReaderCore::gap_at(uint64_t lsn, uint64_t bytes) const {
    const format::SegmentLife& life = pinned_->life;
    const uint64_t at = stream_->offset_in_pool(life.base + life.offset_of(lsn));
    return {Errc::gap,
            "a gap of " + std::to_string(bytes) + " bytes in stream '" + stream_->name() +
                "' at LSN " + std::to_string(lsn) + ": what stood here was not to be salvaged",
            Lsn{lsn}, ByteRange{at, bytes}};
}

}  // namespace cinnabar
