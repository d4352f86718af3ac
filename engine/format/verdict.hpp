// What stands at a position of a segment, and what follows from it.
//
// The position comes first. Below a testified frontier (some frame says: everything up to here was
// durable) only the expected frame is acceptable, and anything else is damage. Above it, an
// interrupted write is normal and ends the log; damage is said only of a frame that verifies as
// something that cannot be there. The rule is a table (kVerdictTable), printed in FORMAT.md and
// walked over all its inputs by a test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "cinnabar/types.hpp"
#include "format/codec.hpp"

namespace cinnabar::format {

enum class Verdict : uint8_t {
    valid,
    // the log ends here
    unwritten,  // zero
    stale,      // an earlier life of this space
    torn,       // this life, incomplete
    // damage
    corrupt_unwritten,   // zero where a frame must be
    corrupt_stale,       // an earlier life's bytes where a frame must be
    corrupt_sum,         // this life, does not verify
    corrupt_length,      // this life, impossible type or length
    corrupt_foreign,     // verifies, and belongs to another LSN
    corrupt_future,      // verifies under a later generation than its segment's
    corrupt_unreadable,  // the medium returns an error (poison)
};

constexpr bool is_corrupt(Verdict verdict) {
    return verdict >= Verdict::corrupt_unwritten;
}
std::string_view name_of(Verdict verdict);

enum class GenerationSeen : uint8_t { zero, same, other };

// The inputs of the table.
struct Observation {
    bool below_testimony = false;
    bool readable = true;  // every byte that the sum needs
    GenerationSeen generation = GenerationSeen::zero;
    bool length_ok = false;  // known type, inside the segment, right for the type
    bool sum_ok = false;     // verifies under the generation that it states
    bool lsn_ok = false;     // states the LSN of this position
};

enum class Ask : uint8_t { any, no, yes };

struct VerdictRow {
    const char* label;
    Ask below_testimony;
    Ask readable;
    int generation;  // a GenerationSeen, or -1 for any
    Ask length_ok;
    Ask sum_ok;
    Ask lsn_ok;
    Verdict verdict;
};

std::span<const VerdictRow> verdict_table();

// A frame that states no generation, or no possible length, has nothing that could verify.
constexpr bool possible(const Observation& seen) {
    const bool summable =
        seen.readable && seen.generation != GenerationSeen::zero && seen.length_ok;
    return summable || !seen.sum_ok;
}

bool matches(const VerdictRow& row, const Observation& seen);
Verdict judge(const Observation& seen);

// One life of a segment, for reading. Generation and seed as its header says.
struct SegmentLife {
    const std::byte* base = nullptr;
    uint64_t segment_bytes = 0;
    uint32_t segment = 0;
    uint64_t generation = 0;
    uint64_t base_lsn = 0;  // of frame 0
    PoolId pool = {};
    uint32_t seed = 0;                   // frame_seed(pool, segment, generation)
    std::vector<Bytes> unreadable = {};  // what is known to end in an error of the medium

    bool readable(const std::byte* from, uint64_t length) const {
        for (const Bytes& part : unreadable)
            if (part.data() < from + length && from < part.data() + part.size()) return false;
        return true;
    }
    uint64_t lsn_at(uint64_t offset) const { return base_lsn + (offset - kFramesOffset); }
    uint64_t offset_of(uint64_t lsn) const { return lsn - base_lsn + kFramesOffset; }
    uint64_t end_lsn() const { return base_lsn + frame_space(segment_bytes); }
};

// What was seen at an offset. `header` and `frame_bytes` mean something only for a valid frame;
// frame_bytes is what the frame takes, a pad up to the segment's end.
struct Seen {
    Verdict verdict = Verdict::unwritten;
    FrameHeader header;
    uint64_t frame_bytes = 0;
};

Seen look(const SegmentLife& life, uint64_t offset, bool below_testimony);

// The durable frontier that a valid frame testifies; 0 when it testifies nothing.
constexpr uint64_t testimony(const FrameHeader& header) {
    if (header.distance_lines == kNoTestimony) return 0;
    const uint64_t distance = uint64_t{header.distance_lines} * kLineBytes;
    return distance > header.lsn ? 0 : header.lsn - distance;
}

}  // namespace cinnabar::format
