#include "log/reader_core.hpp"

#include <cstring>
#include <string>

namespace cinnabar {

namespace {

using format::FrameType;
using format::Verdict;

Record record_of(const format::SegmentLife& life, uint64_t offset, const format::Seen& seen,
                 uint64_t known_durable) {
    Record record;
    record.lsn = Lsn{seen.header.lsn};
    record.origin = record.lsn;
    record.durability = seen.header.forced() ? Durability::forced : Durability::lazy;
    record.service = ServiceId{seen.header.service};
    record.kind = seen.header.kind;
    if (seen.header.back_lines != 0)
        record.previous =
            Lsn{seen.header.lsn - uint64_t{seen.header.back_lines} * format::kLineBytes};
    record.known_durable = seen.header.lsn < known_durable;
    record.payload = Bytes(life.base + offset + format::kHeaderBytes, seen.header.payload_bytes());
    return record;
}

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
    if (auto ok = stream->usable(); !ok) return fail(std::move(ok.error()));
    const uint64_t low_water = stream->low_water();
    const uint64_t start = from ? from->value : low_water;
    auto reader = std::make_unique<ReaderCore>(std::move(stream), start, frontier);
    const std::string name = reader->stream_->name();
    if (start < low_water)
        return fail(Errc::below_low_water, "LSN " + std::to_string(start) + " of stream '" + name +
                                               "' is below its low-water mark " +
                                               std::to_string(low_water));
    if (!from && start > reader->limit())  // only of a damaged pool, which is open read-only
        return fail(Error{Errc::corrupt,
                          "the log of stream '" + name + "' ends at LSN " +
                              std::to_string(reader->limit()) + ", below its low-water mark " +
                              std::to_string(start) + ": what stood there is missing",
                          Lsn{reader->limit()}, std::nullopt});
    if (start > reader->limit())
        return fail(Errc::never_appended, "LSN " + std::to_string(start) + " of stream '" + name +
                                              "' is above the frontier " +
                                              std::to_string(reader->limit()));
    if (start < reader->limit())
        if (auto aligned = reader->align(start, from.has_value()); !aligned)
            return fail(std::move(aligned.error()));
    return reader;
}

uint64_t ReaderCore::limit() const {
    return frontier_ == Frontier::durable ? stream_->durable() : stream_->published();
}

// Walks from the start of the segment to the first frame at or behind `from`.
Result<void> ReaderCore::align(uint64_t from, bool exact) {
    if (auto stood = stand_on(from); !stood) return stood;
    uint64_t at = pinned_->life.base_lsn;
    while (at < from) {
        auto seen = look_at(at);
        if (!seen) return fail(std::move(seen.error()));
        at += seen->frame_bytes;
    }
    if (exact && at != from)
        return fail(Errc::invalid_argument, "no record of stream '" + stream_->name() +
                                                "' starts at LSN " + std::to_string(from));
    position_ = at;
    return {};
}

Result<void> ReaderCore::stand_on(uint64_t lsn) {
    if (pinned_ && lsn >= pinned_->life.base_lsn && lsn < pinned_->life.end_lsn()) return {};
    if (pinned_) stream_->unpin(pinned_->ordinal);
    pinned_.reset();
    auto pinned = stream_->pin(lsn);
    if (!pinned) return fail(std::move(pinned.error()));
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
                    std::to_string(error.range->offset_bytes);
    return fail(std::move(error));
}

Result<std::optional<Record>> ReaderCore::next() {
    if (auto ok = stream_->usable(); !ok) return fail(std::move(ok.error()));
    while (position_ < limit()) {
        if (auto stood = stand_on(position_); !stood) return fail(std::move(stood.error()));
        auto seen = look_at(position_);
        if (!seen) return fail(std::move(seen.error()));
        const uint64_t offset = pinned_->life.offset_of(position_);
        position_ += seen->frame_bytes;
        const FrameType type = seen->header.type();
        if (type == FrameType::gap) return fail(gap_at(seen->header.lsn, seen->frame_bytes));
        if (type != FrameType::record && type != FrameType::carried) continue;
        Record record = record_of(pinned_->life, offset, *seen, stream_->known_durable());
        if (type == FrameType::carried && delivered_before(unwrap(record))) continue;
        return std::optional<Record>(record);
    }
    return std::optional<Record>();
}

// What a copy was made from stands behind `start_`: it, or what it was copied from, was delivered.
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
