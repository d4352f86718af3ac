// What recovery can learn by reading alone: which segments belong to which stream, where each
// stream ends, and whether anything that must be there is missing. Writes nothing; recover.hpp
// acts on the result.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cinnabar/log.hpp"
#include "format/verdict.hpp"
#include "pool/space.hpp"
#include "seam/world.hpp"

namespace cinnabar::log {

// One segment as its header and link frame say.
struct SegmentReading {
    format::HeaderReading header;
    bool unreadable = false;       // the line of its header or of frame 0
    bool linked = false;           // frame 0 verifies and is a link frame
    bool stale_link = false;       // frame 0 looks like a link of an older life
    bool frames_unlinked = false;  // frame 0 does not, and some later frame verifies
    format::LinkPayload link;
    uint64_t base_lsn = 0;   // as the link says, or the frame that verifies without one
    uint64_t testified = 0;  // by the link frame
};

// A header whose copies are zeros is corrupt all the same where frame 0 verifies as a link: the
// segment was in use.
format::HeaderReading read_header(const pool::Space& space, uint32_t segment);

SegmentReading read_segment(const pool::Space& space, uint32_t segment);
// The same with a header that was read elsewhere.
SegmentReading read_segment_as(const pool::Space& space, uint32_t segment,
                               const format::HeaderReading& known);

format::SegmentLife life_of(const pool::Space& space, uint32_t segment, uint64_t generation,
                            uint64_t base_lsn);

// The generation under which the line at an offset verifies, in a segment whose header is lost; 0
// if it does not. A line states the low half; the high half is that of the ceiling, or the one
// before.
uint64_t generation_at(const pool::Space& space, uint32_t segment, uint64_t offset,
                       uint64_t ceiling);

// The frames of one segment from an offset on.
struct SegmentScan {
    uint64_t end_offset = 0;  // of the first position that is not valid; the segment's size
    format::Verdict verdict = format::Verdict::valid;  // there; valid: the end was reached
    uint64_t testified = 0;  // greatest testimony of any frame that verifies, behind the end too
    uint64_t frames = 0;     // up to the end
};

SegmentScan scan_segment(const format::SegmentLife& life, uint64_t offset);

// The next offset at or behind `offset` where a frame of this life verifies; the segment's size
// when there is none.
uint64_t next_valid(const format::SegmentLife& life, uint64_t offset);

struct StreamScan {
    uint32_t stream = 0;
    std::string name;
    Writers writers = Writers::one;
    bool reserve = false;
    uint64_t mark = 0;
    std::vector<uint32_t> kept;  // segments with frames to keep, oldest first
    std::vector<uint32_t> dead;  // segments behind the cut, newest first
    bool broken = false;         // a segment between two others is missing
    uint64_t first_ordinal = 0;  // of kept.front(): its base LSN in frame spaces
    uint64_t testified = 0;      // everything below was durable when a frame said so
    uint64_t verified_from = 0;
    uint64_t cut = 0;
    format::Verdict end_verdict = format::Verdict::valid;
    uint64_t frames = 0;
};

struct PoolScan {
    std::vector<SegmentReading> segments;
    std::vector<StreamScan> streams;
    std::vector<uint32_t> free;  // segments that no stream needs
    std::vector<Damage> damage;
    std::vector<std::string> notes;
    uint64_t greatest_generation = 0;  // of all headers
    uint64_t ceiling = 0;
};

// "VERDICT in WHAT at LSN N, pool file bytes M to N"; a missing segment lies at no bytes.
std::string words_of(const Damage& damage);

PoolScan scan_pool(const pool::Space& space, const ParallelFor& parallel_for);

}  // namespace cinnabar::log
