// Sizes and positions of everything on the medium that is not a frame. engine/doc/FORMAT.md is the
// same text for a reader who writes a decoder from it; the two change together.
//
// A pool file holds one catalogue and one or more extents. Positions inside the catalogue are
// fixed; extents are runs of segments whose positions the superblock states. All integers are
// little-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace cinnabar::format {

inline constexpr size_t kLineBytes = 64;    // cache line: unit of flushing, alignment of frames
inline constexpr size_t kPageBytes = 4096;  // unit of msync, alignment of catalogue and segments
inline constexpr size_t kBlockBytes = 256;  // largest unit that a medium error destroys

inline constexpr uint32_t kFormatVersion = 1;
inline constexpr uint32_t kChecksumCrc32c = 1;
inline constexpr uint64_t kEndianMark = 0x0102030405060708;
inline constexpr std::array<char, 8> kSuperblockMagic = {'C', 'I', 'N', 'N', 'A', 'B', 'A', 'R'};

// Feature bits. A reader refuses a pool with an incompatible bit it does not know, by its name.
inline constexpr uint64_t kKnownIncompatible = 0;

using PoolId = std::array<uint8_t, 16>;

struct Extent {
    uint64_t file_offset = 0;  // of its first segment, a multiple of kPageBytes
    uint32_t segment_count = 0;
    uint32_t zero = 0;

    friend bool operator==(const Extent&, const Extent&) = default;
};
static_assert(sizeof(Extent) == 16);

inline constexpr size_t kExtentsMax = 16;

// Written once, at creation, in two copies; the first that verifies holds.
struct Superblock {
    std::array<char, 8> magic = kSuperblockMagic;
    uint64_t endian_mark = kEndianMark;
    uint32_t format_version = kFormatVersion;
    uint32_t checksum_algorithm = kChecksumCrc32c;
    uint64_t incompatible_features = 0;
    uint64_t compatible_features = 0;
    PoolId pool_id = {};
    uint64_t segment_bytes = 0;
    uint32_t stream_rows = 0;   // capacity of the stream table
    uint32_t service_rows = 0;  // capacity of the service table
    uint32_t extent_count = 0;
    uint32_t zero0 = 0;
    std::array<Extent, kExtentsMax> extents = {};
    std::array<uint8_t, 172> zero1 = {};
    uint32_t sum = 0;  // CRC32C, seed 0xFFFFFFFF, of all bytes before it
    friend bool operator==(const Superblock&, const Superblock&) = default;
};
static_assert(sizeof(Superblock) == 512);
static_assert(offsetof(Superblock, sum) == 508);

// A number that only grows, kept in one line in two slots that are written in turn: a torn write
// costs the new value, never the old one. The greater slot that verifies holds.
struct RegisterSlot {
    uint64_t value = 0;
    uint64_t sum = 0;  // codec.hpp: register_slot
};

struct RegisterLine {
    std::array<RegisterSlot, 2> slot = {};
    std::array<uint64_t, 4> zero = {};
};
static_assert(sizeof(RegisterLine) == kLineBytes);

inline constexpr size_t kNameBytesMax = 63;

// Rows of the tables change under a libpmemobj transaction; the sum is for bytes that rot. A free
// row is zero throughout.
struct StreamRow {
    uint32_t stream = 0;  // never used twice in a pool; 0: the row is free
    uint32_t flags = 0;   // kStreamShared, kStreamReserve
    std::array<char, kNameBytesMax + 1> name = {};
    uint64_t kept_from = 0;  // low-water mark while the stream has no service
    std::array<uint8_t, 44> zero = {};
    uint32_t sum = 0;

    friend bool operator==(const StreamRow&, const StreamRow&) = default;
};
static_assert(sizeof(StreamRow) == 128 && offsetof(StreamRow, kept_from) == 72);

inline constexpr uint32_t kStreamShared = 1;   // many threads append; else one writer
inline constexpr uint32_t kStreamReserve = 2;  // the pool keeps a restart reserve for it

struct ServiceRow {
    uint32_t stream = 0;   // the stream whose space it holds; 0: the row is free
    uint16_t service = 0;  // row index + 1
    uint16_t zero0 = 0;
    std::array<char, kNameBytesMax + 1> name = {};
    std::array<uint8_t, 52> zero1 = {};
    uint32_t sum = 0;

    friend bool operator==(const ServiceRow&, const ServiceRow&) = default;
};
static_assert(sizeof(ServiceRow) == 128);

// What the medium was when the pool was last opened for writing.
struct MediumRow {
    uint32_t domain = 0;    // cinnabar::Domain
    uint32_t emulated = 0;  // 1: opened as emulated
    uint32_t modelled_fence_ns = 0;
    uint32_t modelled_line_ns = 0;
    std::array<uint8_t, 44> zero = {};
    uint32_t sum = 0;

    friend bool operator==(const MediumRow&, const MediumRow&) = default;
};
static_assert(sizeof(MediumRow) == kLineBytes);

inline constexpr uint32_t kStreamRows = 64;
inline constexpr uint32_t kServiceRows = 64;

// The catalogue, by byte offset.
struct Catalogue {
    Superblock superblock_a;          //     0
    RegisterLine generation_ceiling;  //   512
    RegisterLine last_stream;         //   576: greatest stream number ever given
    MediumRow medium;                 //   640
    std::array<uint8_t, kPageBytes - 704> zero0;
    Superblock superblock_b;  //  4096
    std::array<uint8_t, kPageBytes - 512> zero1;
    std::array<StreamRow, kStreamRows> streams;     //  8192
    std::array<ServiceRow, kServiceRows> services;  // 16384
    std::array<RegisterLine, kServiceRows> marks;   // 24576: low-water mark of the service row
};
static_assert(offsetof(Catalogue, generation_ceiling) == 512);
static_assert(offsetof(Catalogue, superblock_b) == 4096);
static_assert(offsetof(Catalogue, streams) == 8192);
static_assert(offsetof(Catalogue, services) == 16384);
static_assert(offsetof(Catalogue, marks) == 24576);
static_assert(sizeof(Catalogue) == 28672 && sizeof(Catalogue) % kPageBytes == 0);

// A segment begins with its header in two copies, in different blocks, written one after the
// other; the greater generation that verifies holds. Frames follow to the segment's end.
struct SegmentHeader {
    uint64_t magic = 0;       // kSegmentMagic
    uint64_t generation = 0;  // 1 or more
    uint32_t segment = 0;     // ordinal in the pool
    std::array<uint8_t, 40> zero = {};
    uint32_t sum = 0;  // codec.hpp: segment_header
};
static_assert(sizeof(SegmentHeader) == kLineBytes);

inline constexpr uint64_t kSegmentMagic = 0x544e454d47455343;  // "CSEGMENT"
inline constexpr size_t kHeaderOffset[2] = {0, kBlockBytes};
inline constexpr size_t kFramesOffset = 2 * kBlockBytes;

inline constexpr uint64_t kSegmentBytesMin = 2048;
inline constexpr uint64_t kSegmentBytesMax = uint64_t{1} << 30;
inline constexpr uint32_t kNoSegment = 0xFFFFFFFF;

// LSNs run through the frame space of a stream's segments without a gap.
constexpr uint64_t frame_space(uint64_t segment_bytes) {
    return segment_bytes - kFramesOffset;
}

}  // namespace cinnabar::format
