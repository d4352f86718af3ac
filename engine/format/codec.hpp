// Checksums of everything on the medium, and the reading of registers and segment headers.
#pragma once

#include <cstdint>
#include <optional>

#include "format/frame.hpp"
#include "format/layout.hpp"

namespace cinnabar::format {

// --- sums: CRC32C, raw, over the struct with its sum field left out ---------------------------
inline constexpr uint32_t kSumSeed = 0xFFFFFFFF;

uint32_t superblock_sum(const Superblock& superblock);
uint32_t row_sum(const PoolId& pool, const StreamRow& row);
uint32_t row_sum(const PoolId& pool, const ServiceRow& row);
uint32_t row_sum(const PoolId& pool, const MediumRow& row);

// --- registers ----------------------------------------------------------------------------------
// Which register a slot belongs to is part of its sum: role * 2^16 + row.
enum class RegisterRole : uint32_t { generation_ceiling = 1, last_stream = 2, mark = 3 };

constexpr uint32_t register_key(RegisterRole role, uint32_t row = 0) {
    return static_cast<uint32_t>(role) << 16 | row;
}

RegisterSlot register_slot(const PoolId& pool, uint32_t key, uint64_t value);

// The register's value and the slot that holds it; nothing where neither slot verifies.
struct RegisterValue {
    uint64_t value = 0;
    uint32_t slot = 0;
};
std::optional<RegisterValue> read_register(const PoolId& pool, uint32_t key,
                                           const RegisterLine& line);

bool all_zero(const std::byte* bytes, size_t length);

// --- segment headers ----------------------------------------------------------------------------
SegmentHeader segment_header(const PoolId& pool, uint32_t segment, uint64_t generation);

enum class HeaderState : uint8_t {
    unwritten,  // never used: no copy verifies, and the second one was never stored. (The first
                // is zero, or torn by a crash in the segment's very first preparation.)
    valid,
    corrupt,  // the second copy was stored once, and from then on one of them always held
};

struct HeaderReading {
    HeaderState state = HeaderState::unwritten;
    uint64_t generation = 0;  // the greater one that verifies
    bool one_copy = false;    // the other copy does not say the same
    size_t store_first = 0;   // of a new header: the copy that the segment can do without
};
HeaderReading read_segment_header(const PoolId& pool, uint32_t segment, const std::byte* base);

// --- frames -------------------------------------------------------------------------------------
// The start of every checksum in one life of a segment.
uint32_t frame_seed(const PoolId& pool, uint32_t segment, uint64_t generation);

// The checksum of a frame as it lies at `frame`, over `summed_bytes` with its own field as zero.
uint32_t frame_sum(uint32_t seed, const std::byte* frame, uint64_t summed_bytes);

FrameHeader read_frame_header(const std::byte* frame);

// The generation after `generation`: never one whose low 32 bits are zero.
constexpr uint64_t next_generation(uint64_t generation) {
    ++generation;
    return static_cast<uint32_t>(generation) == 0 ? generation + 1 : generation;
}

}  // namespace cinnabar::format
