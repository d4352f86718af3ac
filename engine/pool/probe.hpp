// Reads a pool file without mapping it, and refuses it for every reason that its bytes can give.
// Mapping comes after: a file that is shorter than it says would kill the process that touches
// the missing pages, and libpmemobj changes every file that it opens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cinnabar/result.hpp"
#include "format/layout.hpp"
#include "pool/system.hpp"

namespace cinnabar::pool {

struct Probed {
    format::Superblock superblock;
    uint64_t catalogue_offset = 0;  // in the file
    uint64_t file_bytes = 0;
    std::string file_system;
    Domain domain = Domain::page;  // of a shared mapping
    FileIdentity file;
    bool copy_a_damaged = false;  // then copy B verified, and the reverse
    bool copy_b_damaged = false;
    std::vector<std::string> notes;
};

Result<Probed> probe(const std::filesystem::path& path);

}  // namespace cinnabar::pool
