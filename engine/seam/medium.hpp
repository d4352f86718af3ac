// The seam between the engine and what it stores to. Every store to the medium goes through one
// object whose type models Medium: in production the processor's own instructions
// (medium/pmem_medium.hpp), in tests a recorder that can build every image a crash could leave
// (sim/crash_medium.hpp). The log is a template on it, so production pays no indirect call.
//
// Every call names its Site. A site is the handle of the crash recorder (which call wrote this
// line?) and of what it can leave out (what if this fence were missing?). What else the engine can
// be made to do wrong is a Mutant.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "cinnabar/result.hpp"
#include "cinnabar/types.hpp"
#include "seam/mutant.hpp"
#include "seam/site.hpp"

namespace cinnabar {

// How bytes travel to the medium. A cached store can be flushed by any thread; a non-temporal one
// only becomes durable by a fence of the thread that stored it.
enum class StoreKind : uint8_t { cached, non_temporal };

// The first 32 bytes of a frame. store_frame puts the checksum into the low half of word 1, which
// the caller leaves zero.
struct FrameWords {
    std::array<uint64_t, 4> word = {};
};

template <class M>
concept Medium = requires(M& medium, const M& view, Site site, uint64_t* word, std::byte* to,
                          const std::byte* from, size_t length, const FrameWords& header,
                          std::span<const Bytes> parts, uint32_t seed, StoreKind kind) {
    { view.domain() } -> std::same_as<Domain>;

    // One aligned 8-byte cached store; stores of one line survive in the order they were made.
    { medium.store8(site, word, uint64_t{}) } -> std::same_as<void>;

    // Cached stores in no stated order.
    { medium.copy(site, to, from, length) } -> std::same_as<void>;
    { medium.zero(site, to, length) } -> std::same_as<void>;

    // A whole frame: header, payload parts, zero fill to 64 bytes, with the checksum put in. The
    // sum is of the bytes stored; each source byte is loaded once. Neither flushed nor fenced.
    { medium.store_frame(site, to, header, parts, seed, kind) } -> std::same_as<void>;

    // Starts write-back of every line that the range touches. Nothing in the byte domain; must not
    // be called in the page domain.
    { medium.flush(site, from, length) } -> std::same_as<void>;

    // Orders this thread's earlier flushes and non-temporal stores before whatever follows.
    { medium.fence(site) } -> std::same_as<void>;

    // Page domain: msync of every page that the range touches; returns once they are on the file.
    { medium.sync(site, from, length) } -> std::same_as<Result<void>>;

    // Is this mutant switched on? A compile-time false in production.
    { M::mutant(Mutant::none) } -> std::same_as<bool>;
};

}  // namespace cinnabar
