#include "format/codec.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/crc32c.hpp"

namespace cinnabar::format {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

namespace {

// The sum of a struct whose last member is its own 32-bit sum, preceded by what names its place.
template <class T>
uint32_t tail_sum(uint32_t seed, const T& value) {
    static_assert(offsetof(T, sum) == sizeof(T) - sizeof(uint32_t));
    return crc32c(seed, &value, offsetof(T, sum));
}

uint32_t pool_seed(const PoolId& pool) {
    return crc32c(kSumSeed, pool.data(), pool.size());
}

}  // namespace

bool all_zero(const std::byte* bytes, size_t length) {
    return length == 0 ||
           (bytes[0] == std::byte{0} && std::memcmp(bytes, bytes + 1, length - 1) == 0);
}

uint32_t superblock_sum(const Superblock& superblock) {
    return tail_sum(kSumSeed, superblock);
}

uint32_t row_sum(const PoolId& pool, const StreamRow& row) {
    return tail_sum(pool_seed(pool), row);
}

uint32_t row_sum(const PoolId& pool, const ServiceRow& row) {
    return tail_sum(pool_seed(pool), row);
}

uint32_t row_sum(const PoolId& pool, const MediumRow& row) {
    return tail_sum(pool_seed(pool), row);
}

RegisterSlot register_slot(const PoolId& pool, uint32_t key, uint64_t value) {
    uint32_t sum = crc32c(pool_seed(pool), &key, sizeof key);
    sum = crc32c(sum, &value, sizeof value);
    return {value, sum};
}

std::optional<RegisterValue> read_register(const PoolId& pool, uint32_t key,
                                           const RegisterLine& line) {
    std::optional<RegisterValue> best;
    for (uint32_t i = 0; i < line.slot.size(); ++i) {
        const RegisterSlot& slot = line.slot[i];
        if (register_slot(pool, key, slot.value).sum != slot.sum) continue;
        if (!best || slot.value > best->value) best = RegisterValue{slot.value, i};
    }
    return best;
}

SegmentHeader segment_header(const PoolId& pool, uint32_t segment, uint64_t generation) {
    SegmentHeader header;
    header.magic = kSegmentMagic;
    header.generation = generation;
    header.segment = segment;
    header.sum = tail_sum(pool_seed(pool), header);
    return header;
}

HeaderReading read_segment_header(const PoolId& pool, uint32_t segment, const std::byte* base) {
    HeaderReading reading;
    uint64_t generations[2] = {};
    for (size_t i = 0; i < 2; ++i) {
        SegmentHeader copy;
        std::memcpy(&copy, base + kHeaderOffset[i], sizeof copy);
        const bool verifies = copy.magic == kSegmentMagic && copy.segment == segment &&
                              copy.generation != 0 && copy.sum == tail_sum(pool_seed(pool), copy);
        if (verifies) generations[i] = copy.generation;
    }
    reading.generation = std::max(generations[0], generations[1]);
    reading.one_copy = generations[0] != generations[1];
    reading.store_first = generations[0] > generations[1] ? 1 : 0;
    if (reading.generation != 0)
        reading.state = HeaderState::valid;
    else if (all_zero(base + kHeaderOffset[1], sizeof(SegmentHeader)))
        reading.state = HeaderState::unwritten;
    else
        reading.state = HeaderState::corrupt;
    return reading;
}

uint32_t frame_seed(const PoolId& pool, uint32_t segment, uint64_t generation) {
    uint32_t seed = crc32c(pool_seed(pool), &segment, sizeof segment);
    return crc32c(seed, &generation, sizeof generation);
}

uint32_t frame_sum(uint32_t seed, const std::byte* frame, uint64_t summed_bytes) {
    static_assert(offsetof(FrameHeader, checksum) == kHoleAt);
    return crc32c_with_hole(seed, frame, summed_bytes);
}

FrameHeader read_frame_header(const std::byte* frame) {
    FrameHeader header;
    std::memcpy(&header, frame, sizeof header);
    return header;
}

}  // namespace cinnabar::format
