// Storing a frame and summing it in one pass: the one place where payload bytes reach the medium.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/crc32c.hpp"
#include "cinnabar/types.hpp"
#include "seam/medium.hpp"

namespace cinnabar::medium {

using StoreFrame = void (*)(std::byte* to, const FrameWords& header, std::span<const Bytes> parts,
                            uint32_t seed, StoreKind kind);

// The one that serves this processor; it settles at the first call.
extern std::atomic<StoreFrame> store_frame_here;

// Stores the header, the parts behind one another and zero fill up to 64 bytes to `to`, which is
// 64-aligned, with the CRC32C of the whole padded frame, started from `seed`, in the low half of
// word 1 (summed as zero). The sum is that of the bytes stored, even if the caller's buffers change
// meanwhile: what was loaded is stored, and what is stored is summed. Nothing outside the parts is
// read, nothing outside the frame is written. The first line is stored last. Neither flushes nor
// fences; a non-temporal frame needs a fence of this thread before others may be told of it.
inline void store_frame(std::byte* to, const FrameWords& header, std::span<const Bytes> parts,
                        uint32_t seed, StoreKind kind) {
    store_frame_here.load(std::memory_order_relaxed)(to, header, parts, seed, kind);
}

// The same by a named path, for tests and benchmarks. The path must be available().
StoreFrame store_frame_by(Crc32cPath path);

}  // namespace cinnabar::medium
