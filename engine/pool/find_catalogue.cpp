#include "pool/find_catalogue.hpp"

#include <cstring>

#include "format/codec.hpp"
#include "pool/superblock.hpp"

namespace cinnabar::pool {

namespace {

using format::Catalogue;
using format::RegisterRole;
using format::Superblock;

constexpr uint64_t kCopyBOffset = offsetof(Catalogue, superblock_b);

std::optional<Superblock> superblock_at(Bytes file, uint64_t offset) {
    Superblock found;
    if (offset > file.size() || file.size() - offset < sizeof found) return std::nullopt;
    const std::byte* from = file.data() + offset;
    if (std::memcmp(from, format::kSuperblockMagic.data(), sizeof found.magic) != 0)
        return std::nullopt;
    std::memcpy(&found, from, sizeof found);
    if (!is_intact(found)) return std::nullopt;
    return found;
}

bool register_at(Bytes file, uint64_t offset, RegisterRole role, const format::PoolId& id) {
    format::RegisterLine line;
    if (offset > file.size() || file.size() - offset < sizeof line) return false;
    std::memcpy(&line, file.data() + offset, sizeof line);
    return format::read_register(id, format::register_key(role), line).has_value();
}

// Is what stands at `offset` copy A? The registers behind copy A tell it from copy B.
FoundCatalogue catalogue_of(Bytes file, uint64_t offset, const Superblock& found) {
    if (superblock_at(file, offset + kCopyBOffset)) return {found, offset, false};
    const bool copy_a = register_at(file, offset + offsetof(Catalogue, generation_ceiling),
                                    RegisterRole::generation_ceiling, found.pool_id) ||
                        register_at(file, offset + offsetof(Catalogue, last_stream),
                                    RegisterRole::last_stream, found.pool_id);
    return {found, copy_a || offset < kCopyBOffset ? offset : offset - kCopyBOffset, true};
}

}  // namespace

// The catalogue lies before all extents; a superblock in a record's payload does not.
std::optional<FoundCatalogue> find_catalogue(Bytes file) {
    for (uint64_t offset = 0; offset < file.size(); offset += format::kPageBytes) {
        const auto found = superblock_at(file, offset);
        if (!found) continue;
        const FoundCatalogue catalogue = catalogue_of(file, offset, *found);
        if (end_of_segments(*found, catalogue.offset + sizeof(Catalogue))) return catalogue;
    }
    return std::nullopt;
}

}  // namespace cinnabar::pool
