// What the medium under a pool really is: found out at open, kept with the pool, printed by every
// tool and written into every result. Nothing on the page cache is ever called persistent memory.
#pragma once

#include <cstdint>
#include <string>

#include "cinnabar/types.hpp"

namespace cinnabar {

// How an embedder wants a mapping treated that is not persistent memory.
enum class Emulate : uint8_t {
    no,          // take the medium as it is: a file in the page cache is the page domain
    cache_line,  // treat it as persistent memory behind caches; nothing survives a power failure
    byte,        // treat it as persistent memory that includes the caches; likewise
};

// Delays added on purpose, to show what slower media would cost. 0: none.
struct ModelledLatency {
    uint32_t fence_ns = 0;
    uint32_t line_ns = 0;  // per line flushed or stored non-temporally

    bool any() const { return fence_ns != 0 || line_ns != 0; }
    friend bool operator==(const ModelledLatency&, const ModelledLatency&) = default;
};

struct MediumInfo {
    Domain domain = Domain::page;  // as the engine treats it
    bool emulated = false;         // treated as persistent memory, and is not
    ModelledLatency modelled;
    std::string flush;          // "clwb", "clflushopt", "clflush", "none" or "msync"
    std::string file_system;    // "ext4", "tmpfs", ...; "unknown" where it has no name here
    std::string checksum_path;  // name_of(Crc32cPath)

    // One line for people: "cache_line domain, emulated on tmpfs, clwb".
    std::string sentence() const;
};

}  // namespace cinnabar
