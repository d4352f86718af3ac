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

std::vector<Damage> check_pool(const pool::Space& space, const std::vector<CheckedStream>& streams);

}  // namespace cinnabar::log
