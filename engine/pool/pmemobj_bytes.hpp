// Bytes of libpmemobj's own that it trusts before it has verified them. A single flipped bit there
// kills the process that opens the pool, hangs it, or changes bytes elsewhere; so they are looked
// at first, by what a pool of ours can hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "cinnabar/result.hpp"

namespace cinnabar::pool {

// The logs of pending changes lie in "lanes" between libpmemobj's header and its heap.
inline constexpr uint64_t kLanesOffset = 8192;  // in the file
inline constexpr uint64_t kLanes = 1024;
inline constexpr uint64_t kLaneBytes = 3072;

// The first words of `lanes` (all of them, as they lie in the file) that cannot be.
std::optional<ByteRange> find_damaged_log(std::span<const std::byte, kLanes * kLaneBytes> lanes,
                                          uint64_t catalogue_offset);

// Reads bytes of the file.
using ReadAt = std::function<Result<void>(uint64_t offset, void* to, size_t length)>;

// The first word of the heap's chain of chunks that cannot be.
Result<std::optional<ByteRange>> find_damaged_chunk(const ReadAt& read, uint64_t heap_offset,
                                                    uint64_t heap_bytes);

}  // namespace cinnabar::pool
