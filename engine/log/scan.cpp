#include "log/scan.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "pool/tables.hpp"

namespace cinnabar::log {

namespace {

using format::kFramesOffset;
using format::kLineBytes;
using format::SegmentLife;
using format::Verdict;

Damage damage_at(const pool::Space& space, const std::string& stream, std::string_view verdict,
                 std::optional<uint64_t> lsn, const std::byte* at, uint64_t bytes) {
    Damage damage;
    damage.stream = stream;
    damage.verdict = verdict;
    if (lsn) damage.lsn = Lsn{*lsn};
    damage.range = {space.offset_of(at), bytes};
    return damage;
}

// Is the row in use, and does it verify? One that does not is damage, and passed over.
template <class Row>
bool usable_row(const pool::Space& space, const Row& row, bool verifies,
                std::vector<Damage>& damage) {
    if (verifies) return row.stream != 0;
    damage.push_back(damage_at(space, "", "corrupt_row", std::nullopt,
                               reinterpret_cast<const std::byte*>(&row), sizeof row));
    return false;
}

// The low-water marks, by stream: the lowest of its services.
struct Marks {
    std::map<uint32_t, uint64_t> lowest;
    bool complete = true;  // every row and register verifies
};

Marks read_marks(const pool::Space& space, std::vector<Damage>& damage) {
    const format::Catalogue& catalogue = *space.catalogue;
    Marks marks;
    const size_t before = damage.size();
    for (uint32_t row = 0; row < format::kServiceRows; ++row) {
        const format::ServiceRow& service = catalogue.services[row];
        if (!usable_row(space, service, pool::service_row_verifies(space, row), damage)) continue;
        const auto mark = format::read_register(
            space.id, format::register_key(format::RegisterRole::mark, row), catalogue.marks[row]);
        if (!mark) {
            damage.push_back(damage_at(space, "", "corrupt_register", std::nullopt,
                                       reinterpret_cast<const std::byte*>(&catalogue.marks[row]),
                                       sizeof(format::RegisterLine)));
            continue;
        }
        const auto [at, added] = marks.lowest.emplace(service.stream, mark->value);
        if (!added) at->second = std::min(at->second, mark->value);
    }
    marks.complete = damage.size() == before;
    return marks;
}

// The segments that say they belong to a stream, by ordinal.
using Chain = std::map<uint64_t, uint32_t>;

Chain chain_of(const PoolScan& pool, const pool::Space& space, uint32_t stream) {
    Chain chain;
    const uint64_t span = format::frame_space(space.segment_bytes);
    for (uint32_t i = 0; i < pool.segments.size(); ++i) {
        const SegmentReading& reading = pool.segments[i];
        if (!reading.linked || reading.link.stream != stream) continue;
        const auto [at, added] = chain.emplace(reading.base_lsn / span, i);
        // Two lives of one ordinal: the later one is the stream's.
        if (!added && pool.segments[at->second].header.generation < reading.header.generation)
            at->second = i;
    }
    return chain;
}

bool follows(const PoolScan& pool, uint32_t before, uint32_t after) {
    const format::LinkPayload& link = pool.segments[after].link;
    return link.predecessor_segment == before &&
           link.predecessor_generation == pool.segments[before].header.generation;
}

// The oldest ordinal of the unbroken run that ends with the newest: before a hole stand only
// segments that were released, as far as anybody can tell who does not know the mark.
uint64_t first_of_newest_run(const PoolScan& pool, const Chain& chain) {
    auto at = std::prev(chain.end());
    while (at != chain.begin()) {
        const auto before = std::prev(at);
        if (before->first + 1 != at->first || !follows(pool, before->second, at->second)) break;
        at = before;
    }
    return at->first;
}

// Drops the released front of a chain and keeps the unbroken run behind it. A segment is attached
// only when its predecessor is durable, and dead ones are renewed newest first: so a chain with a
// link missing, or without the segment that holds the mark, has lost one.
void keep_chain(const PoolScan& pool, const pool::Space& space, const Chain& chain,
                StreamScan& stream) {
    const uint64_t span = format::frame_space(space.segment_bytes);
    stream.first_ordinal = stream.mark / span;
    if (!chain.empty() && (chain.rbegin()->first + 1) * span == stream.mark)
        stream.first_ordinal = chain.rbegin()->first;  // a full tail is kept, whatever the mark
    uint64_t expected = stream.first_ordinal;
    for (auto at = chain.lower_bound(stream.first_ordinal); at != chain.end(); ++at, ++expected) {
        if (at->first != expected ||
            (!stream.kept.empty() && !follows(pool, stream.kept.back(), at->second)))
            break;
        stream.kept.push_back(at->second);
    }
    stream.broken = !chain.empty() && chain.rbegin()->first >= expected;
}

// A stream as its catalogue entry, its mark and its links have it.
StreamScan chained_stream(const PoolScan& pool, const pool::Space& space, const Marks& marks,
                          const format::StreamRow& entry) {
    StreamScan stream;
    stream.stream = entry.stream;
    stream.name = entry.name.data();
    stream.writers = (entry.flags & format::kStreamShared) ? Writers::many : Writers::one;
    stream.reserve = (entry.flags & format::kStreamReserve) != 0;
    const Chain chain = chain_of(pool, space, entry.stream);
    const auto mark = marks.lowest.find(entry.stream);
    if (mark != marks.lowest.end())
        stream.mark = mark->second;
    else if (marks.complete || chain.empty())
        stream.mark = entry.kept_from;
    else  // its mark may be what was damaged: whatever may be needed is kept
        stream.mark = first_of_newest_run(pool, chain) * format::frame_space(space.segment_bytes);
    keep_chain(pool, space, chain, stream);
    return stream;
}

// A stream and what is found in its segments from the links' testimony on.
struct Verifying {
    StreamScan stream;
    size_t first = 0;                // of the kept segments that are verified
    std::vector<SegmentScan> scans;  // of those from there on
};

// From where on a stream is verified.
Verifying start_verifying(const PoolScan& pool, const pool::Space& space, StreamScan stream) {
    const uint64_t span = format::frame_space(space.segment_bytes);
    for (const uint32_t segment : stream.kept)
        stream.testified = std::max(stream.testified, pool.segments[segment].testified);
    const uint64_t begin = stream.first_ordinal * span;
    stream.verified_from = std::clamp(stream.testified, begin, begin + stream.kept.size() * span);
    Verifying verifying;
    verifying.first = static_cast<size_t>((stream.verified_from - begin) / span);
    verifying.scans.resize(stream.kept.size() - verifying.first);
    verifying.stream = std::move(stream);
    return verifying;
}

void verify_segment(const PoolScan& pool, const pool::Space& space, Verifying& verifying,
                    size_t i) {
    const uint32_t segment = verifying.stream.kept[verifying.first + i];
    const SegmentReading& reading = pool.segments[segment];
    SegmentLife life = life_of(space, segment, reading.header.generation, reading.base_lsn);
    life.unreadable = space.unreadable_in(life.base, life.segment_bytes);
    const uint64_t from = std::max(verifying.stream.verified_from, reading.base_lsn);
    verifying.scans[i] = scan_segment(life, life.offset_of(from));
}

// Streams times segments, all of them side by side.
void verify(const PoolScan& pool, const pool::Space& space, const ParallelFor& parallel_for,
            std::vector<Verifying>& streams) {
    std::vector<std::pair<Verifying*, size_t>> pieces;
    for (Verifying& verifying : streams)
        for (size_t i = 0; i < verifying.scans.size(); ++i) pieces.emplace_back(&verifying, i);
    parallel_for(pieces.size(), [&](size_t n) {
        verify_segment(pool, space, *pieces[n].first, pieces[n].second);
    });
}

// Finds the cut.
StreamScan finish_verifying(const pool::Space& space, Verifying verifying) {
    const uint64_t span = format::frame_space(space.segment_bytes);
    StreamScan stream = std::move(verifying.stream);
    const std::vector<SegmentScan>& scans = verifying.scans;
    stream.testified = std::max(stream.testified, stream.mark);  // a mark is never above durable
    for (const SegmentScan& scan : scans)
        stream.testified = std::max(stream.testified, scan.testified);
    const uint64_t begin = stream.first_ordinal * span;
    stream.cut = begin + stream.kept.size() * span;
    size_t keep = stream.kept.size();
    for (size_t i = 0; i < scans.size(); ++i) {
        stream.frames += scans[i].frames;
        if (scans[i].verdict == Verdict::valid) continue;
        stream.end_verdict = scans[i].verdict;
        stream.cut = begin + (verifying.first + i) * span + scans[i].end_offset - kFramesOffset;
        keep = verifying.first + i + 1;
        break;
    }
    stream.dead.assign(stream.kept.rbegin(), stream.kept.rend() - static_cast<ptrdiff_t>(keep));
    stream.kept.resize(keep);
    return stream;
}

// Where and why a stream's end is damage and not an end.
void judge_end(const PoolScan& pool, const pool::Space& space, const StreamScan& stream,
               std::vector<Damage>& damage) {
    const uint64_t span = format::frame_space(space.segment_bytes);
    const uint64_t end = (stream.first_ordinal + stream.kept.size()) * span;
    if (stream.cut < end) {
        const uint32_t segment = stream.kept.back();
        const SegmentReading& reading = pool.segments[segment];
        SegmentLife life = life_of(space, segment, reading.header.generation, reading.base_lsn);
        life.unreadable = space.unreadable_in(life.base, life.segment_bytes);
        const uint64_t offset = life.offset_of(stream.cut);
        const Verdict verdict = format::look(life, offset, stream.cut < stream.testified).verdict;
        if (format::is_corrupt(verdict)) {
            const uint64_t next = next_valid(life, offset + kLineBytes);
            damage.push_back(damage_at(space, stream.name, format::name_of(verdict), stream.cut,
                                       life.base + offset, next - offset));
            return;
        }
    }
    if (stream.broken || stream.cut < stream.testified) {
        damage.push_back(
            damage_at(space, stream.name, "missing_segment", stream.cut, space.base, 0));
    }
}

void read_segments(const pool::Space& space, const ParallelFor& parallel_for, PoolScan& pool) {
    pool.segments.resize(space.segments.size());
    parallel_for(space.segments.size(), [&](size_t i) {
        pool.segments[i] = read_segment(space, static_cast<uint32_t>(i));
    });
    for (uint32_t i = 0; i < pool.segments.size(); ++i) {
        const SegmentReading& reading = pool.segments[i];
        pool.greatest_generation = std::max(pool.greatest_generation, reading.header.generation);
        if (reading.unreadable || reading.header.state == format::HeaderState::corrupt)
            pool.damage.push_back(damage_at(
                space, "", reading.unreadable ? "corrupt_unreadable" : "corrupt_segment_header",
                std::nullopt, space.segments[i], kFramesOffset));
        if (reading.frames_unlinked)
            pool.damage.push_back(damage_at(space, "", "corrupt_link", std::nullopt,
                                            space.segments[i] + kFramesOffset, kLineBytes));
        if (reading.linked && reading.header.one_copy)
            pool.notes.push_back("segment " + std::to_string(i) +
                                 ": one of its two header copies does not verify");
    }
}

void read_ceiling(const pool::Space& space, PoolScan& pool) {
    const auto ceiling = format::read_register(
        space.id, format::register_key(format::RegisterRole::generation_ceiling),
        space.catalogue->generation_ceiling);
    if (!ceiling) {
        pool.damage.push_back(
            damage_at(space, "", "corrupt_register", std::nullopt,
                      reinterpret_cast<const std::byte*>(&space.catalogue->generation_ceiling),
                      sizeof(format::RegisterLine)));
        return;
    }
    pool.ceiling = ceiling->value;
}

}  // namespace

SegmentLife life_of(const pool::Space& space, uint32_t segment, uint64_t generation,
                    uint64_t base_lsn) {
    SegmentLife life;
    life.base = space.segments[segment];
    life.segment_bytes = space.segment_bytes;
    life.segment = segment;
    life.generation = generation;
    life.base_lsn = base_lsn;
    life.pool = space.id;
    life.seed = format::frame_seed(life.pool, segment, generation);
    return life;
}

namespace {

// Is there a frame of this life under any LSN? Its own says which base it was written for.
std::optional<uint64_t> base_of_a_frame(const pool::Space& space, SegmentLife life) {
    life.unreadable = space.unreadable_in(life.base, life.segment_bytes);
    for (uint64_t at = kFramesOffset; at + kLineBytes <= life.segment_bytes; at += kLineBytes) {
        if (!life.readable(life.base + at, kLineBytes)) continue;
        const format::FrameHeader header = format::read_frame_header(life.base + at);
        if (header.generation != static_cast<uint32_t>(life.generation)) continue;
        life.base_lsn = header.lsn - (at - kFramesOffset);
        if (format::look(life, at, false).verdict == Verdict::valid) return life.base_lsn;
    }
    return std::nullopt;
}

}  // namespace

uint64_t generation_at(const pool::Space& space, uint32_t segment, uint64_t offset,
                       uint64_t ceiling) {
    constexpr uint64_t kStep = uint64_t{1} << 32;
    const uint64_t high = ceiling / kStep * kStep;
    const format::FrameHeader line = format::read_frame_header(space.segments[segment] + offset);
    if (line.generation == 0) return 0;
    for (const uint64_t half : {high, high < kStep ? high : high - kStep}) {
        const uint64_t generation = half | line.generation;
        const SegmentLife life =
            life_of(space, segment, generation, line.lsn - (offset - kFramesOffset));
        if (format::look(life, offset, false).verdict == Verdict::valid) return generation;
    }
    return 0;
}

format::HeaderReading read_header(const pool::Space& space, uint32_t segment) {
    const std::byte* base = space.segments[segment];
    format::HeaderReading reading = format::read_segment_header(space.id, segment, base);
    if (reading.state != format::HeaderState::unwritten) return reading;
    const auto ceiling = format::read_register(
        space.id, format::register_key(format::RegisterRole::generation_ceiling),
        space.catalogue->generation_ceiling);
    const bool link =
        format::read_frame_header(base + kFramesOffset).type() == format::FrameType::link;
    if (link && generation_at(space, segment, kFramesOffset, ceiling ? ceiling->value : 0) != 0)
        reading.state = format::HeaderState::corrupt;
    return reading;
}

SegmentReading read_segment(const pool::Space& space, uint32_t segment) {
    SegmentReading reading;
    reading.unreadable =
        !space.unreadable_in(space.segments[segment], kFramesOffset + kLineBytes).empty();
    if (reading.unreadable) return reading;
    return read_segment_as(space, segment, read_header(space, segment));
}

SegmentReading read_segment_as(const pool::Space& space, uint32_t segment,
                               const format::HeaderReading& known) {
    SegmentReading reading;
    const std::byte* base = space.segments[segment];
    reading.header = known;
    if (reading.header.state != format::HeaderState::valid) return reading;

    // The link frame says where it stands; whether that is so is checked by the chain.
    const uint64_t stated = format::read_frame_header(base + kFramesOffset).lsn;
    const SegmentLife life = life_of(space, segment, reading.header.generation, stated);
    const format::Seen seen = format::look(life, kFramesOffset, false);
    const bool link = seen.verdict == Verdict::valid &&
                      seen.header.type() == format::FrameType::link &&
                      stated % format::frame_space(space.segment_bytes) == 0;
    if (!link) {
        reading.stale_link =
            format::read_frame_header(base + kFramesOffset).type() == format::FrameType::link;
        const auto base_lsn = base_of_a_frame(space, life);
        reading.frames_unlinked = base_lsn.has_value();
        reading.base_lsn = base_lsn.value_or(0);
        return reading;
    }
    reading.linked = true;
    reading.base_lsn = stated;
    reading.testified = format::testimony(seen.header);
    std::memcpy(&reading.link, base + kFramesOffset + format::kHeaderBytes, sizeof reading.link);
    return reading;
}

SegmentScan scan_segment(const SegmentLife& life, uint64_t offset) {
    SegmentScan scan;
    while (offset < life.segment_bytes) {
        const format::Seen seen = format::look(life, offset, false);
        if (seen.verdict != Verdict::valid) {
            scan.verdict = seen.verdict;
            break;
        }
        scan.testified = std::max(scan.testified, format::testimony(seen.header));
        ++scan.frames;
        offset += seen.frame_bytes;
    }
    scan.end_offset = offset;
    // Dead frames are never delivered, and still testify.
    for (uint64_t at = next_valid(life, offset); at < life.segment_bytes;
         at = next_valid(life, at + kLineBytes))
        scan.testified =
            std::max(scan.testified, format::testimony(format::read_frame_header(life.base + at)));
    return scan;
}

uint64_t next_valid(const SegmentLife& life, uint64_t offset) {
    const uint32_t low = static_cast<uint32_t>(life.generation);
    for (; offset < life.segment_bytes; offset += kLineBytes) {
        if (!life.readable(life.base + offset, kLineBytes)) continue;
        const format::FrameHeader header = format::read_frame_header(life.base + offset);
        if (header.generation != low || header.lsn != life.lsn_at(offset)) continue;
        if (format::look(life, offset, false).verdict == Verdict::valid) return offset;
    }
    return life.segment_bytes;
}

std::string words_of(const Damage& damage) {
    const ByteRange& range = damage.range;
    std::string words = damage.verdict + " in ";
    words += damage.stream.empty() ? "the pool" : "stream '" + damage.stream + "'";
    if (damage.lsn) words += " at LSN " + std::to_string(damage.lsn->value);
    if (range.length_bytes == 0) return words;
    return words + ", pool file bytes " + std::to_string(range.offset_bytes) + " to " +
           std::to_string(range.offset_bytes + range.length_bytes);
}

PoolScan scan_pool(const pool::Space& space, const ParallelFor& parallel_for) {
    PoolScan pool;
    read_segments(space, parallel_for, pool);
    read_ceiling(space, pool);
    const Marks marks = read_marks(space, pool.damage);
    std::vector<Verifying> streams;
    for (uint32_t row = 0; row < format::kStreamRows; ++row) {
        const format::StreamRow& entry = space.catalogue->streams[row];
        if (!usable_row(space, entry, pool::stream_row_verifies(space, row), pool.damage)) continue;
        streams.push_back(start_verifying(pool, space, chained_stream(pool, space, marks, entry)));
    }
    verify(pool, space, parallel_for, streams);

    std::vector<bool> needed(space.segments.size(), false);
    for (Verifying& verifying : streams) {
        StreamScan stream = finish_verifying(space, std::move(verifying));
        judge_end(pool, space, stream, pool.damage);
        for (const uint32_t segment : stream.kept) needed[segment] = true;
        for (const uint32_t segment : stream.dead) needed[segment] = true;
        pool.streams.push_back(std::move(stream));
    }
    for (uint32_t i = 0; i < needed.size(); ++i)
        if (!needed[i]) pool.free.push_back(i);
    return pool;
}

}  // namespace cinnabar::log
