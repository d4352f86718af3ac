// The words of the log, as types. One word, one meaning, here and in every text.
//
//   stream     an ordered log within a pool
//   frame      one record as it lies on the medium
//   LSN        position of a frame in its stream, in bytes; once durable it is never reused
//   appended   the LSN behind the last frame that was given space
//   published  every frame below it is written and may be read by this process
//   durable    every frame below it survives a crash;  durable <= published <= appended
//   force      raise durable
//   domain     what a store must pass before it survives: nothing, the cache, the page cache
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace cinnabar {

// Position in a stream, in bytes; a multiple of 64. Frames are found at their LSN only.
struct Lsn {
    uint64_t value = 0;

    friend auto operator<=>(const Lsn&, const Lsn&) = default;
};

// A service's number within a pool, given by Log::add_service; 0 means "no service".
struct ServiceId {
    uint16_t value = 0;

    friend auto operator<=>(const ServiceId&, const ServiceId&) = default;
};

using Bytes = std::span<const std::byte>;

// What stands between a store and its survival of a power failure.
enum class Domain : uint8_t {
    byte,        // caches are inside the persistence domain (eADR): a store survives once visible
    cache_line,  // a store survives once its line was flushed and a fence followed (ADR)
    page,        // a store survives once msync wrote its page to the file
};

std::string_view name_of(Domain domain);

// "64 MiB": a size in the largest binary unit that divides it, as errors and reports state it.
std::string size_text(uint64_t bytes);

// What append promises at return.
enum class Durability : uint8_t {
    lazy,    // written, not yet durable; a later force of this stream makes it durable
    forced,  // durable at return, and with it every earlier record of the stream
};

}  // namespace cinnabar
