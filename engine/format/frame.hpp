// A frame: one record as it lies on the medium, aligned and zero-filled to 64 bytes.
//
//   word 0   generation (low 32 bits, never 0) | length and flags (high 32 bits)
//   word 1   checksum (low 32)                 | distance to durable (high 32)
//   word 2   LSN
//   word 3   service (16) | kind (16)          | back distance (high 32)
//   then     the payload: 32 bytes of it share the first line
//
// Word 0 is one atomic store: who reads this life's generation reads this life's length. The
// checksum is CRC32C over the whole padded frame with the checksum field taken as zero, started
// from the segment's seed (codec.hpp), which holds the pool, the segment and all 64 bits of the
// generation; the LSN is summed where it stands. Of a pad and of a gap the first line alone is
// stored and summed.
// The distance, in lines, testifies that everything below LSN - 64 * distance was durable when the
// frame was written.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "format/layout.hpp"

namespace cinnabar::format {

enum class FrameType : uint8_t {
    record = 1,   // a service's record
    link = 2,     // frame 0 of a segment: which stream, where, behind which segment
    pad = 3,      // fills the segment to its end
    close = 4,    // written by a clean close, for its testimony alone
    carried = 5,  // a copy of an older record: CarriedPrefix, then the record's payload
    gap = 6,      // written by a salvage over a run of lines in which nothing verified
};

inline constexpr uint32_t kLengthBits = 28;
inline constexpr uint32_t kLengthMask = (uint32_t{1} << kLengthBits) - 1;
inline constexpr uint32_t kForcedFlag = uint32_t{1} << kLengthBits;
inline constexpr uint32_t kTypeShift = kLengthBits + 1;
inline constexpr uint32_t kNoTestimony = 0xFFFFFFFF;

struct FrameHeader {
    uint32_t generation = 0;
    uint32_t length_and_flags = 0;
    uint32_t checksum = 0;
    uint32_t distance_lines = kNoTestimony;
    uint64_t lsn = 0;
    uint16_t service = 0;
    uint16_t kind = 0;
    uint32_t back_lines = 0;  // to the same transaction's previous record; 0: none

    FrameType type() const { return static_cast<FrameType>(length_and_flags >> kTypeShift); }
    uint32_t payload_bytes() const { return length_and_flags & kLengthMask; }
    bool forced() const { return (length_and_flags & kForcedFlag) != 0; }
    friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

inline constexpr size_t kHeaderBytes = sizeof(FrameHeader);
static_assert(kHeaderBytes == 32);
static_assert(offsetof(FrameHeader, checksum) == 8);
static_assert(offsetof(FrameHeader, lsn) == 16);
static_assert((uint64_t{1} << kLengthBits) >= kSegmentBytesMax / 4, "a quarter segment must fit");

// The header as the four words that lie on the medium. Whoever sums and stores a frame loads them
// by words: made of halves in memory, they could not be loaded before those halves have reached the
// cache, and there they would stand behind the fence of the previous force.
constexpr std::array<uint64_t, 4> words_of(const FrameHeader& header) {
    return {uint64_t{header.length_and_flags} << 32 | header.generation,
            uint64_t{header.distance_lines} << 32 | header.checksum, header.lsn,
            uint64_t{header.back_lines} << 32 | uint64_t{header.kind} << 16 | header.service};
}
static_assert(std::bit_cast<FrameHeader>(words_of({1, 2, 3, 4, 5, 6, 7, 8})) ==
              FrameHeader{1, 2, 3, 4, 5, 6, 7, 8});

constexpr uint32_t length_and_flags(FrameType type, bool forced, uint32_t payload_bytes) {
    return payload_bytes | (forced ? kForcedFlag : 0) | (static_cast<uint32_t>(type) << kTypeShift);
}

// Bytes that a frame takes on the medium. (A pad takes what is left of its segment.)
constexpr uint64_t padded_bytes(uint64_t payload_bytes) {
    return (kHeaderBytes + payload_bytes + kLineBytes - 1) / kLineBytes * kLineBytes;
}

// The greatest payload: the frame is a quarter of the segment's frame space at most.
constexpr uint64_t payload_bytes_max(uint64_t segment_bytes) {
    return frame_space(segment_bytes) / 4 / kLineBytes * kLineBytes - kHeaderBytes;
}

// The payload of a link frame; its LSN is the segment's base LSN. One line in all.
struct LinkPayload {
    uint32_t stream = 0;
    uint32_t predecessor_segment = kNoSegment;  // kNoSegment: the stream's first
    uint64_t predecessor_generation = 0;
    uint64_t predecessor_end_lsn = 0;  // equals the LSN of the link frame
    uint64_t zero = 0;
};
static_assert(kHeaderBytes + sizeof(LinkPayload) == kLineBytes);

// Before the payload of a carried copy. A record is known for ever by its origin: the LSN of its
// first writing.
struct CarriedPrefix {
    uint64_t origin_lsn = 0;    // of this record
    uint64_t copied_lsn = 0;    // of the newest copy before this one, or the record; 0: it is lost
    uint64_t previous_lsn = 0;  // origin of the same transaction's previous record; 0: none
};
static_assert(sizeof(CarriedPrefix) == 24);

// The greatest frame: the copy of the greatest record.
constexpr uint64_t frame_bytes_max(uint64_t segment_bytes) {
    return padded_bytes(payload_bytes_max(segment_bytes) + sizeof(CarriedPrefix));
}

// The greatest gap, as long as the greatest record: longer runs take several.
constexpr uint64_t gap_bytes_max(uint64_t segment_bytes) {
    return padded_bytes(payload_bytes_max(segment_bytes));
}

// Bytes of the frame that are stored and summed.
constexpr uint64_t summed_bytes(FrameType type, uint64_t frame_bytes) {
    return type == FrameType::pad || type == FrameType::gap ? kLineBytes : frame_bytes;
}

}  // namespace cinnabar::format
