// Copying a pool into a new pool file: `copy_pool` of a sound one, `salvage_pool` of a damaged one.
// Both are the same copy; a salvage goes on where something does not verify.
//
// What stays: segment size, LSNs and offsets, the numbers, names and flags of streams and services,
// low-water marks, and every record that the marks still need, from the segment that holds the
// mark on. What is new: the pool's id, its number of segments, generations, links and sums. So an
// LSN that somebody keeps elsewhere means the same record in both pools.
//
// The old file is opened for reading alone, locked meanwhile, and left byte for byte as it was. The
// new one is made under another name in the same directory, made durable and then renamed: `to`
// names a whole pool or nothing, and an existing file is never replaced. A pool that a kill left is
// copied up to where recovery would cut it.
//
// Threads: any. Nothing is open at return.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cinnabar/result.hpp"
#include "cinnabar/types.hpp"

namespace cinnabar {

struct CopyOptions {
    // Of the new file; 0: as the old one. What reservations of a running process have promised is
    // not in the old file: leave room for it.
    uint64_t pool_bytes = 0;
    std::chrono::milliseconds lock_timeout{0};  // how long to wait for another process
};

// A run of a stream that is lost: reading the new pool gives Errc::gap there.
struct Gap {
    Lsn begin;
    Lsn end;          // where the log goes on
    ByteRange range;  // in the old file; length 0: the segment is missing there
};

// What was copied of one stream. Carried copies are counted as the records they are.
struct StreamCopy {
    std::string name;
    Lsn begin;
    Lsn end;
    uint64_t records = 0;
    uint64_t payload_bytes = 0;
    std::vector<Gap> gaps;  // in the order of LSNs; those of an earlier salvage too
};

struct CopyReport {
    std::vector<StreamCopy> streams;
    std::vector<std::string> notes;  // what was survived, reconstructed or lost, a sentence each
    uint64_t pool_bytes = 0;         // of the new file
    uint32_t segments_used = 0;
    // So many bytes the old file ended too early: what stood there is lost, and nobody can tell
    // what it was. (A stream whose newest segments were there ends before them, without a gap.)
    uint64_t bytes_missing = 0;
    bool gaps() const {
        for (const StreamCopy& stream : streams)
            if (!stream.gaps.empty()) return true;
        return false;
    }
};

// Copies a sound pool, into more segments or fewer.
// Errors: those of Log::open (corrupt, with LSN and range, wherever something does not verify: the
// pool is one for salvage_pool), and those of Log::create, where invalid_argument also says how
// many segments the copy needs.
Result<CopyReport> copy_pool(const std::filesystem::path& from, const std::filesystem::path& to,
                             const CopyOptions& options = {});

// Saves every record that verifies, on both sides of damage; what does not verify becomes a gap.
// Needs one superblock copy, and of libpmemobj's own data nothing. A sound pool is copied, but for
// a process killed in the middle of a change to the tables: a row that it left half changed counts
// as damaged here, while copy_pool puts it back.
// Errors: those of copy_pool; corrupt only where no superblock verifies in a file that begins as a
// pool does. Where its beginning is damaged too, nothing tells it from a file that is no pool:
// not_a_pool, wrong_layout or unsupported_version, as Log::open says.
Result<CopyReport> salvage_pool(const std::filesystem::path& from, const std::filesystem::path& to,
                                const CopyOptions& options = {});

}  // namespace cinnabar
