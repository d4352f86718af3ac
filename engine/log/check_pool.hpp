// Reads and verifies everything of an open pool that has a checksum.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cinnabar/log.hpp"
#include "format/verdict.hpp"
#include "pool/space.hpp"

namespace cinnabar::log {

// A stream's live segments, and how far its frames are published.
struct CheckedStream {
    std::string name;
    std::vector<format::SegmentLife> segments;
    uint64_t end = 0;
};

// Superblocks, registers and rows.
std::vector<Damage> check_tables(const pool::Space& space);

// The headers of all segments. No segment may be prepared meanwhile.
void check_headers(const pool::Space& space, const std::vector<CheckedStream>& streams,
                   std::vector<Damage>& damage);

// The frames of a stream. Its segments must stay its own meanwhile.
void check_frames(const pool::Space& space, const CheckedStream& stream,
                  std::vector<Damage>& damage);

}  // namespace cinnabar::log
