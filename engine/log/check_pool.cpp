#include "log/check_pool.hpp"

#include <set>
#include <span>

#include "format/codec.hpp"
#include "log/scan.hpp"
#include "pool/tables.hpp"

namespace cinnabar::log {

namespace {

using format::Verdict;

void report(const pool::Space& space, std::vector<Damage>& damage, const std::string& stream,
            std::string_view verdict, std::optional<Lsn> lsn, const void* at, uint64_t bytes) {
    damage.push_back({stream, std::string(verdict), lsn, {space.offset_of(at), bytes}});
}

void check_registers(const pool::Space& space, std::vector<Damage>& damage) {
    const format::Catalogue& catalogue = *space.catalogue;
    const auto verify = [&](uint32_t key, const format::RegisterLine& line) {
        if (!format::read_register(space.id, key, line))
            report(space, damage, "", "corrupt_register", std::nullopt, &line, sizeof line);
    };
    verify(format::register_key(format::RegisterRole::generation_ceiling),
           catalogue.generation_ceiling);
    verify(format::register_key(format::RegisterRole::last_stream), catalogue.last_stream);
    for (uint32_t row = 0; row < format::kServiceRows; ++row)
        if (catalogue.services[row].stream != 0 && pool::service_row_verifies(space, row))
            verify(format::register_key(format::RegisterRole::mark, row), catalogue.marks[row]);
}

void check_rows(const pool::Space& space, std::vector<Damage>& damage) {
    const format::Catalogue& catalogue = *space.catalogue;
    const auto corrupt = [&](const auto& row) {
        report(space, damage, "", "corrupt_row", std::nullopt, &row, sizeof row);
    };
    if (!pool::medium_row_verifies(space)) corrupt(catalogue.medium);
    for (uint32_t row = 0; row < format::kStreamRows; ++row)
        if (!pool::stream_row_verifies(space, row)) corrupt(catalogue.streams[row]);
    for (uint32_t row = 0; row < format::kServiceRows; ++row)
        if (!pool::service_row_verifies(space, row)) corrupt(catalogue.services[row]);
}

}  // namespace

std::vector<Damage> check_tables(const pool::Space& space) {
    std::vector<Damage> damage;
    const format::Catalogue& catalogue = *space.catalogue;
    if (const auto lost = space.unreadable_in(&catalogue, sizeof catalogue); !lost.empty()) {
        for (const Bytes& part : lost)
            report(space, damage, "", name_of(Verdict::corrupt_unreadable), std::nullopt,
                   part.data(), part.size());
        return damage;
    }
    for (const format::Superblock* copy : {&catalogue.superblock_a, &catalogue.superblock_b})
        if (copy->sum != format::superblock_sum(*copy))
            report(space, damage, "", "corrupt_superblock_copy", std::nullopt, copy, sizeof *copy);
    check_registers(space, damage);
    check_rows(space, damage);
    return damage;
}

// A segment that no stream uses may stand between the stores of its two copies.
void check_headers(const pool::Space& space, const std::vector<CheckedStream>& streams,
                   std::vector<Damage>& damage) {
    std::set<uint32_t> live;
    for (const CheckedStream& stream : streams)
        for (const format::SegmentLife& life : stream.segments) live.insert(life.segment);
    for (uint32_t i = 0; i < space.segments.size(); ++i) {
        const uint64_t read_bytes = format::kFramesOffset + format::kLineBytes;
        if (!space.unreadable_in(space.segments[i], read_bytes).empty()) {
            report(space, damage, "", name_of(Verdict::corrupt_unreadable), std::nullopt,
                   space.segments[i], format::kFramesOffset);
            continue;
        }
        const format::HeaderReading reading = read_header(space, i);
        const bool damaged = reading.state == format::HeaderState::corrupt;
        const bool one_copy = reading.one_copy && live.contains(i);
        if (damaged || one_copy)
            report(space, damage, "", damaged ? "corrupt_segment_header" : "one_header_copy",
                   std::nullopt, space.segments[i], format::kFramesOffset);
    }
}

void check_frames(const pool::Space& space, const CheckedStream& stream,
                  std::vector<Damage>& damage) {
    for (format::SegmentLife life : stream.segments) {
        life.unreadable = space.unreadable_in(life.base, life.segment_bytes);
        uint64_t offset = format::kFramesOffset;
        while (offset < life.segment_bytes && life.lsn_at(offset) < stream.end) {
            const format::Seen seen = format::look(life, offset, true);
            if (seen.verdict == Verdict::valid) {
                if (seen.header.type() == format::FrameType::gap)
                    report(space, damage, stream.name, "gap", Lsn{life.lsn_at(offset)},
                           life.base + offset, seen.frame_bytes);
                offset += seen.frame_bytes;
                continue;
            }
            const uint64_t next = next_valid(life, offset + format::kLineBytes);
            report(space, damage, stream.name, name_of(seen.verdict), Lsn{life.lsn_at(offset)},
                   life.base + offset, next - offset);
            offset = next;
        }
    }
}

}  // namespace cinnabar::log
