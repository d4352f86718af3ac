#include "pool/pmemobj_bytes.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "format/layout.hpp"

namespace cinnabar::pool {

namespace {

struct LogHeader {
    uint64_t sum;
    uint64_t next;  // a log that continues this one; our changes never need one
    uint64_t capacity_bytes;
    std::array<uint64_t, 5> more;
};
static_assert(sizeof(LogHeader) == 64);

// In an undo log, the old bytes of what a transaction changes. The log is empty where
// kind_and_offset is zero; an entry of an ended transaction may stand there, too.
struct UndoEntry {
    uint64_t kind_and_offset;  // 3 bits and 61
    uint64_t sum;
    uint64_t length;
};
constexpr uint64_t kCopyOfBytes = 6;
constexpr int kKindShift = 61;

// Each lane holds two redo logs, whose content libpmemobj verifies, and an undo log.
struct LogPlace {
    uint64_t offset;  // in the lane
    uint64_t capacity_bytes;
};
constexpr std::array<LogPlace, 3> kLogs = {{{0, 192}, {256, 640}, {960, 2048}}};
constexpr uint64_t kUndoEntryOffset = kLogs[2].offset + sizeof(LogHeader);
static_assert(kUndoEntryOffset + kLogs[2].capacity_bytes == kLaneBytes);

bool is_sound(const LogHeader& header, const LogPlace& place) {
    const bool emptied = header.capacity_bytes == 0;  // as libpmemobj leaves some of them
    return header.next == 0 && (emptied || header.capacity_bytes == place.capacity_bytes);
}

// Transactions change nothing but the catalogue. Later entries stay unseen: where one starts
// depends on this one's verifying.
bool is_sound(const UndoEntry& entry, uint64_t catalogue_offset) {
    if (entry.kind_and_offset == 0) return true;
    const uint64_t offset = entry.kind_and_offset & ((uint64_t{1} << kKindShift) - 1);
    const uint64_t room = kLogs[2].capacity_bytes - sizeof(UndoEntry);
    return entry.kind_and_offset >> kKindShift == kCopyOfBytes && entry.length <= room &&
           offset >= catalogue_offset &&
           offset + entry.length <= catalogue_offset + sizeof(format::Catalogue);
}

template <class T>
T load(std::span<const std::byte> bytes, uint64_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(value));
    return value;
}

// The heap is a header and zones; a zone is a header, one header per chunk, and the chunks. A block
// takes one chunk or several, and the header of its first says how many: a chain that must end
// where the zone does.
struct ZoneHeader {
    uint32_t magic;  // 0: never used
    uint32_t chunks;
    std::array<uint8_t, 56> reserved;
};
static_assert(sizeof(ZoneHeader) == 64);

struct ChunkHeader {
    uint16_t type;
    uint16_t flags;
    uint32_t chunks;
};
static_assert(sizeof(ChunkHeader) == 8);

constexpr uint64_t kHeapHeaderBytes = 1024;
constexpr uint64_t kChunkBytes = 256 << 10;
constexpr uint64_t kChunksMax = 65528;
constexpr uint64_t kZoneHeadersBytes = sizeof(ZoneHeader) + kChunksMax * sizeof(ChunkHeader);
constexpr uint64_t kZoneBytes = kZoneHeadersBytes + kChunksMax * kChunkBytes;

Result<std::optional<ByteRange>> find_damaged_chunk_in(const ReadAt& read, uint64_t zone_offset,
                                                       uint64_t zone_bytes) {
    ZoneHeader zone;
    if (auto done = read(zone_offset, &zone, sizeof(zone)); !done) return fail(done.error());
    if (zone.magic == 0) return std::nullopt;
    if (zone.chunks != std::min(kChunksMax, (zone_bytes - kZoneHeadersBytes) / kChunkBytes))
        return ByteRange{zone_offset, sizeof(zone)};
    for (uint64_t at = 0; at < zone.chunks;) {
        const uint64_t offset = zone_offset + sizeof(zone) + at * sizeof(ChunkHeader);
        ChunkHeader chunk;
        if (auto done = read(offset, &chunk, sizeof(chunk)); !done) return fail(done.error());
        if (chunk.chunks == 0 || chunk.chunks > zone.chunks - at)
            return ByteRange{offset, sizeof(chunk)};
        at += chunk.chunks;
    }
    return std::nullopt;
}

}  // namespace

Result<std::optional<ByteRange>> find_damaged_chunk(const ReadAt& read, uint64_t heap_offset,
                                                    uint64_t heap_bytes) {
    const uint64_t end = heap_offset + heap_bytes;
    for (uint64_t zone = heap_offset + kHeapHeaderBytes; zone + kZoneHeadersBytes < end;
         zone += kZoneBytes)
        if (auto found = find_damaged_chunk_in(read, zone, end - zone); !found || *found)
            return found;
    return std::nullopt;
}

std::optional<ByteRange> find_damaged_log(std::span<const std::byte, kLanes * kLaneBytes> lanes,
                                          uint64_t catalogue_offset) {
    for (uint64_t lane = 0; lane < lanes.size(); lane += kLaneBytes) {
        for (const LogPlace& place : kLogs)
            if (!is_sound(load<LogHeader>(lanes, lane + place.offset), place))
                return ByteRange{kLanesOffset + lane + place.offset, sizeof(LogHeader)};
        if (!is_sound(load<UndoEntry>(lanes, lane + kUndoEntryOffset), catalogue_offset))
            return ByteRange{kLanesOffset + lane + kUndoEntryOffset, sizeof(UndoEntry)};
    }
    return std::nullopt;
}

}  // namespace cinnabar::pool
