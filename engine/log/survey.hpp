// What a copy takes of a pool: the rows and marks as the new pool gets them, the segments of every
// stream, where it ends, and where nothing verifies. Reads only. In a sound pool this agrees with
// scan.hpp; in a damaged one it goes on where that stops, and guesses nothing: what cannot be known
// is left out and noted.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cinnabar/result.hpp"
#include "format/layout.hpp"
#include "pool/space.hpp"
#include "seam/world.hpp"

namespace cinnabar::log {

// A life of a segment of the old pool.
struct OldSegment {
    uint32_t segment = 0;
    uint64_t generation = 0;
};

// Lines below the testimony at which no frame verifies.
struct Hole {
    uint64_t begin = 0;  // LSNs
    uint64_t end = 0;
    std::string verdict;  // at its begin
    ByteRange range;      // in the old pool; length 0: the segment is missing
};

struct StreamSurvey {
    uint32_t row = 0;         // index in the table
    format::StreamRow entry;  // its sum is the old pool's
    uint64_t mark = 0;        // the lowest of its services, or kept_from
    uint64_t first_ordinal = 0;
    std::vector<std::optional<OldSegment>> segments;  // from first_ordinal on; none: missing
    uint64_t testified = 0;
    uint64_t end = 0;  // here the log ends
    std::vector<Hole> holes;
};

struct PoolSurvey {
    std::vector<StreamSurvey> streams;
    std::array<format::ServiceRow, format::kServiceRows> services = {};  // sums likewise
    std::array<uint64_t, format::kServiceRows> marks = {};
    uint64_t last_stream = 0;
    std::vector<std::string> notes;  // on what was reconstructed, or lost

    uint32_t segments_needed() const;
};

// How much of a pool is looked at: in a sound one lost headers are not searched for.
enum class Condition : uint8_t { sound, damaged };

PoolSurvey survey_pool(const pool::Space& space, Condition condition,
                       const ParallelFor& parallel_for);

}  // namespace cinnabar::log
