#include "pool/superblock.hpp"

#include <algorithm>
#include <bit>

#include "format/codec.hpp"

namespace cinnabar::pool {

using format::Superblock;

bool is_intact(const Superblock& copy) {
    return copy.magic == format::kSuperblockMagic && copy.endian_mark == format::kEndianMark &&
           copy.sum == format::superblock_sum(copy);
}

Result<void> check_versions(const Superblock& superblock, const std::string& pool_name) {
    const auto refuse = [&](const std::string& predicate) {
        return fail(Errc::unsupported_version, pool_name + " " + predicate);
    };
    if (superblock.format_version == 0)
        return refuse(
            "is of format version 0, which no library writes: its creation was cut short, "
            "or its superblocks are damaged");
    if (superblock.format_version != format::kFormatVersion)
        return refuse("is of format version " + std::to_string(superblock.format_version) +
                      "; this library reads version " + std::to_string(format::kFormatVersion) +
                      ": use a newer one");
    if (superblock.checksum_algorithm != format::kChecksumCrc32c)
        return refuse("uses the unknown checksum algorithm " +
                      std::to_string(superblock.checksum_algorithm) + ": use a newer library");
    const uint64_t unknown = superblock.incompatible_features & ~format::kKnownIncompatible;
    if (unknown != 0)
        return refuse("needs the incompatible feature bit " +
                      std::to_string(std::countr_zero(unknown)) +
                      ", which this library does not know: use a newer one");
    return {};
}

std::optional<uint64_t> end_of_segments(const Superblock& superblock, uint64_t first_offset) {
    const Superblock& s = superblock;
    if (!std::has_single_bit(s.segment_bytes) || s.segment_bytes < format::kSegmentBytesMin ||
        s.segment_bytes > format::kSegmentBytesMax || s.stream_rows != format::kStreamRows ||
        s.service_rows != format::kServiceRows || s.extent_count < 1 ||
        s.extent_count > format::kExtentsMax)
        return std::nullopt;
    uint64_t end = 0;
    for (uint32_t i = 0; i < s.extent_count; ++i) {
        const format::Extent& extent = s.extents[i];
        if (extent.segment_count == 0 || extent.file_offset % format::kPageBytes != 0 ||
            extent.file_offset < first_offset || extent.file_offset >= uint64_t{1} << 62)
            return std::nullopt;
        end = std::max(end, extent.file_offset + extent.segment_count * s.segment_bytes);
    }
    return end;
}

Space space_of(const Superblock& superblock, std::byte* base, uint64_t catalogue_offset) {
    Space space;
    space.base = base;
    space.catalogue = reinterpret_cast<format::Catalogue*>(base + catalogue_offset);
    space.id = superblock.pool_id;
    space.segment_bytes = superblock.segment_bytes;
    for (uint32_t i = 0; i < superblock.extent_count; ++i) {
        const format::Extent& extent = superblock.extents[i];
        for (uint64_t n = 0; n < extent.segment_count; ++n)
            space.segments.push_back(base + extent.file_offset + n * space.segment_bytes);
    }
    return space;
}

}  // namespace cinnabar::pool
