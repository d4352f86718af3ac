// Errors as values. Every call of the public API that can fail returns Result<T>; no exception
// crosses it. Result<T> is tl::expected on every compiler, so the type never depends on the
// consumer's flags.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "cinnabar/types.hpp"

namespace cinnabar {

// What went wrong. The numbers are stable: a released number keeps its meaning for ever.
enum class Errc : int32_t {
    invalid_argument = 1,      // the caller's value is out of its stated range
    not_found = 2,             // no such file, stream, service or record
    already_exists = 3,        // create would overwrite a file, stream or service
    permission = 4,            // the operating system refused access
    io = 5,                    // the operating system failed a call; the message holds its reason
    disk_full = 6,             // the file system has no room for the pool
    cannot_map = 7,            // the path's file system cannot be mapped into memory
    locked = 8,                // another process has the pool open
    not_a_pool = 9,            // no libpmemobj pool, and no superblock of cinnabar's in it
    wrong_layout = 10,         // a libpmemobj pool, but not one of cinnabar
    truncated = 11,            // the file is shorter than its own header says
    unsupported_version = 12,  // a newer format, or an unknown incompatible feature
    corrupt = 13,              // bytes that must verify do not; lsn and range say which
    full = 14,                 // no log space; the message names who holds it
    record_too_large = 15,     // longer than a quarter segment
    read_only = 16,            // the log was opened read-only
    never_appended = 17,       // the LSN is not below the appended frontier
    below_low_water = 18,      // the LSN was released
    wrong_thread = 19,         // a second thread in a one-writer stream
    forked = 20,               // used in a child process after fork
    failed = 21,               // an earlier force failed; reopen the log
    timed_out = 22,            // the stated time passed
    pinned = 23,               // a reader still holds what the call wants to remove
    gap = 24,                  // records stood here that a salvage could not save
};

// The name of a code as it stands in the enumeration ("corrupt").
std::string_view name_of(Errc code);

// A run of bytes in the pool file.
struct ByteRange {
    uint64_t offset_bytes = 0;
    uint64_t length_bytes = 0;

    friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

// An error says what, where and what to do, in one sentence.
struct Error {
    Errc code = Errc::io;
    std::string message;
    std::optional<Lsn> lsn;          // the position in the stream it speaks of
    std::optional<ByteRange> range;  // the bytes of the pool file it speaks of
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Errc code, std::string message) {
    return tl::unexpected<Error>(Error{code, std::move(message), std::nullopt, std::nullopt});
}

inline tl::unexpected<Error> fail(Error error) {
    return tl::unexpected<Error>(std::move(error));
}

}  // namespace cinnabar
