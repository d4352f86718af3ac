// Finding the catalogue by what stands in the file, without libpmemobj: the search of
// FORMAT.md 3.1.
#pragma once

#include <cstdint>
#include <optional>

#include "cinnabar/types.hpp"
#include "format/layout.hpp"

namespace cinnabar::pool {

// In a pool that this library made the catalogue ends before this byte: it is allocated before the
// first extent. So a file in which none was found up to here is no such pool.
inline constexpr uint64_t kCatalogueEndMax = uint64_t{8} << 20;

struct FoundCatalogue {
    format::Superblock superblock;  // verifies, and its geometry is possible; any version
    uint64_t offset = 0;            // of the catalogue, in the file
    bool one_copy = false;          // the other copy does not verify
};

// `file` are the bytes of the file from its beginning on: all of them, or some.
std::optional<FoundCatalogue> find_catalogue(Bytes file);

}  // namespace cinnabar::pool
