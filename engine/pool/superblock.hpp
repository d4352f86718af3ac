// What a superblock says, and whether it can be so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cinnabar/result.hpp"
#include "format/layout.hpp"
#include "pool/space.hpp"

namespace cinnabar::pool {

// Magic, byte order and sum are right.
bool is_intact(const format::Superblock& copy);

// Errors: unsupported_version. `pool_name` is quoted.
Result<void> check_versions(const format::Superblock& superblock, const std::string& pool_name);

// Where the last segment ends in the file; nothing where the geometry is impossible. No extent may
// begin before `first_offset`.
std::optional<uint64_t> end_of_segments(const format::Superblock& superblock,
                                        uint64_t first_offset);

// The space of a pool whose file is mapped at `base`.
Space space_of(const format::Superblock& superblock, std::byte* base, uint64_t catalogue_offset);

}  // namespace cinnabar::pool
