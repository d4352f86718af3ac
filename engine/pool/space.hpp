// What a pool offers to the log: where the catalogue and the segments lie in memory. Plain
// pointers, so that tests can lay the same space over any buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "cinnabar/types.hpp"
#include "format/layout.hpp"

namespace cinnabar::pool {

struct Space {
    format::Catalogue* catalogue = nullptr;
    format::PoolId id = {};     // from whichever superblock copy verifies
    std::byte* base = nullptr;  // of the mapping: byte ranges in errors count from here
    uint64_t segment_bytes = 0;
    std::vector<std::byte*> segments;  // by ordinal, over all extents
    // Finds the pages of a range that cannot be read. Empty where nobody asks before he reads.
    std::function<std::vector<Bytes>(const std::byte* from, uint64_t length)> find_unreadable;

    std::vector<Bytes> unreadable_in(const void* from, uint64_t length) const {
        if (!find_unreadable) return {};
        return find_unreadable(static_cast<const std::byte*>(from), length);
    }

    uint64_t offset_of(const void* p) const {
        return static_cast<uint64_t>(static_cast<const std::byte*>(p) - base);
    }
};

}  // namespace cinnabar::pool
