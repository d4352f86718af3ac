// What a pool offers to the log: where the catalogue and the segments lie in memory. Plain
// pointers, so that tests can lay the same space over any buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "format/layout.hpp"

namespace cinnabar::pool {

struct Space {
    format::Catalogue* catalogue = nullptr;
    format::PoolId id = {};     // from whichever superblock copy verifies
    std::byte* base = nullptr;  // of the mapping: byte ranges in errors count from here
    uint64_t segment_bytes = 0;
    std::vector<std::byte*> segments;  // by ordinal, over all extents

    uint64_t offset_of(const void* p) const {
        return static_cast<uint64_t>(static_cast<const std::byte*>(p) - base);
    }
};

}  // namespace cinnabar::pool
