#include "sim/sim_pool.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <random>

#include "base/check.hpp"
#include "format/codec.hpp"

namespace cinnabar::sim {

namespace {

template <size_t size>
void put_name(std::array<char, size>& to, std::string_view name) {
    CNB_CHECK(name.size() < size);
    std::memcpy(to.data(), name.data(), name.size());
}

// Small segments too begin on a page each: an msync of one is to make no other one durable.
size_t stride_of(uint64_t segment_bytes) {
    return (segment_bytes + format::kPageBytes - 1) / format::kPageBytes * format::kPageBytes;
}

}  // namespace

void SimPool::Free::operator()(std::byte* p) const {
    std::free(p);
}

SimPool::SimPool(const Options& options) {
    allocate(options.segment_bytes, options.segments);
    std::memset(bytes_.get(), 0, size_);
    format::Catalogue& catalogue = *space_.catalogue;
    for (size_t i = 0; i < space_.id.size(); ++i)
        space_.id[i] = static_cast<uint8_t>(options.seed * 31 + i);
    format::Superblock superblock;
    superblock.pool_id = space_.id;
    superblock.segment_bytes = options.segment_bytes;
    superblock.stream_rows = format::kStreamRows;
    superblock.service_rows = format::kServiceRows;
    superblock.extent_count = 1;
    superblock.extents[0] = {space_.offset_of(space_.segments[0]), options.segments, 0};
    superblock.sum = format::superblock_sum(superblock);
    catalogue.superblock_a = superblock;
    catalogue.superblock_b = superblock;
    catalogue.generation_ceiling.slot[0] = format::register_slot(
        space_.id, format::register_key(format::RegisterRole::generation_ceiling),
        options.age == Age::zero ? 0 : 1);
    catalogue.last_stream.slot[0] = format::register_slot(
        space_.id, format::register_key(format::RegisterRole::last_stream), 0);
    age_segments(options);
}

SimPool::SimPool(const SimPool& other, std::span<const std::byte> image) {
    allocate(other.space_.segment_bytes, other.space_.segments.size());
    CNB_CHECK(image.size() == size_, {"image", image.size()}, {"pool", size_});
    std::memcpy(bytes_.get(), image.data(), size_);
    space_.id = other.space_.id;
}

SimPool SimPool::in_place(const SimPool& other, std::span<std::byte> memory) {
    CNB_CHECK(memory.size() == other.size_, {"memory", memory.size()}, {"pool", other.size_});
    return SimPool(other, memory.data());
}

SimPool::SimPool(const SimPool& other, std::byte* memory) : size_(other.size_) {
    lay_out(memory, other.space_.segment_bytes, other.space_.segments.size());
    space_.id = other.space_.id;
}

void SimPool::allocate(uint64_t segment_bytes, uint64_t segments) {
    size_ = sizeof(format::Catalogue) + segments * stride_of(segment_bytes);
    bytes_.reset(static_cast<std::byte*>(std::aligned_alloc(format::kPageBytes, size_)));
    lay_out(bytes_.get(), segment_bytes, segments);
}

void SimPool::lay_out(std::byte* memory, uint64_t segment_bytes, uint64_t segments) {
    space_.base = memory;
    space_.catalogue = reinterpret_cast<format::Catalogue*>(memory);
    space_.segment_bytes = segment_bytes;
    space_.segments.reserve(segments);
    for (uint64_t i = 0; i < segments; ++i)
        space_.segments.push_back(memory + sizeof(format::Catalogue) +
                                  i * stride_of(segment_bytes));
}

// Old bytes for every segment, under headers of generation 1 where the age has headers at all.
void SimPool::age_segments(const Options& options) {
    std::mt19937_64 random(options.seed);
    for (uint32_t i = 0; i < space_.segments.size(); ++i) {
        std::byte* base = space_.segments[i];
        if (options.age == Age::zero) continue;
        for (uint64_t at = 0; at < options.segment_bytes; at += 8) {
            const uint64_t word = options.age == Age::random ? random() : ~uint64_t{0};
            std::memcpy(base + at, &word, sizeof word);
        }
        const format::SegmentHeader header = format::segment_header(space_.id, i, 1);
        for (const size_t offset : format::kHeaderOffset)
            std::memcpy(base + offset, &header, sizeof header);
        if (options.age != Age::stale && options.age != Age::half_overwritten) continue;
        // One-line frames of a stream that no longer exists, each valid under generation 1.
        const uint32_t seed = format::frame_seed(space_.id, i, 1);
        for (uint64_t at = format::kFramesOffset; at < options.segment_bytes;
             at += format::kLineBytes) {
            std::array<std::byte, format::kLineBytes> line = {};
            format::FrameHeader frame;
            const bool link = at == format::kFramesOffset;
            const uint32_t payload = link ? sizeof(format::LinkPayload) : 32;
            frame.generation = 1;
            frame.length_and_flags = format::length_and_flags(
                link ? format::FrameType::link : format::FrameType::record, true, payload);
            frame.distance_lines = 0;
            frame.lsn = at - format::kFramesOffset;
            std::memcpy(line.data(), &frame, sizeof frame);
            const format::LinkPayload body{0xFFFF0000, format::kNoSegment, 0, 0, 0};
            std::memcpy(line.data() + sizeof frame, &body, sizeof body);
            frame.checksum = format::frame_sum(seed, line.data(), line.size());
            std::memcpy(line.data(), &frame, sizeof frame);
            std::memcpy(base + at, line.data(), line.size());
            if (options.age != Age::half_overwritten || link || random() % 2 == 0) continue;
            const size_t half = line.size() / 2;
            for (size_t word = random() % 2 * half, end = word + half; word < end; word += 8) {
                const uint64_t noise = random();
                std::memcpy(base + at + word, &noise, sizeof noise);
            }
        }
    }
}

uint32_t SimPool::add_stream(std::string_view name, bool shared, bool reserve) {
    for (uint32_t i = 0; i < format::kStreamRows; ++i) {
        format::StreamRow& row = space_.catalogue->streams[i];
        if (row.stream != 0) continue;
        row.stream = i + 1;
        row.flags = (shared ? format::kStreamShared : 0) | (reserve ? format::kStreamReserve : 0);
        put_name(row.name, name);
        row.sum = format::row_sum(space_.id, row);
        space_.catalogue->last_stream.slot[0] = format::register_slot(
            space_.id, format::register_key(format::RegisterRole::last_stream), row.stream);
        return row.stream;
    }
    CNB_CHECK(false);
}

void SimPool::poison(const std::byte* line) {
    const Bytes lost(line, format::kLineBytes);
    space_.find_unreadable = [lost](const std::byte* from, uint64_t length) {
        const bool is_inside = lost.data() + lost.size() > from && lost.data() < from + length;
        return is_inside ? std::vector{lost} : std::vector<Bytes>{};
    };
}

uint16_t SimPool::add_service(uint32_t stream, std::string_view name) {
    for (uint32_t i = 0; i < format::kServiceRows; ++i) {
        format::ServiceRow& row = space_.catalogue->services[i];
        if (row.stream != 0) continue;
        row.stream = stream;
        row.service = static_cast<uint16_t>(i + 1);
        put_name(row.name, name);
        row.sum = format::row_sum(space_.id, row);
        space_.catalogue->marks[i].slot[0] = format::register_slot(
            space_.id, format::register_key(format::RegisterRole::mark, i), 0);
        return static_cast<uint16_t>(i);
    }
    CNB_CHECK(false);
}

}  // namespace cinnabar::sim
