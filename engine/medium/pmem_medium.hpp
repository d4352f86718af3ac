// The medium of production: a mapped file, stored to with the processor's own instructions. One
// object serves all threads; it holds nothing that changes.
#pragma once

#include <emmintrin.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/check.hpp"
#include "cinnabar/result.hpp"
#include "cinnabar/types.hpp"
#include "format/layout.hpp"
#include "medium/domain.hpp"
#include "medium/store_frame.hpp"
#include "seam/medium.hpp"

namespace cinnabar::medium {

class PmemMedium {
  public:
    // `flush` is for tests; the processor must have it.
    explicit PmemMedium(Domain domain, FlushInstruction flush = best_flush_instruction())
        : domain_(domain), flush_(flush) {}

    Domain domain() const { return domain_; }

    // Release order keeps the compiler from moving earlier stores of the line behind this one.
    void store8(Site, uint64_t* word, uint64_t value) {
        std::atomic_ref<uint64_t>(*word).store(value, std::memory_order_release);
    }

    void copy(Site, std::byte* to, const std::byte* from, size_t length) {
        if (length != 0) std::memcpy(to, from, length);
    }

    void zero(Site, std::byte* to, size_t length) {
        if (length != 0) std::memset(to, 0, length);
    }

    // In the page domain always cached: msync writes back what the page cache holds.
    void store_frame(Site, std::byte* to, const FrameWords& header, std::span<const Bytes> parts,
                     uint32_t seed, StoreKind kind) {
        medium::store_frame(to, header, parts, seed, kind_here(kind));
    }

    void flush(Site, const std::byte* from, size_t length) {
        if (domain_ == Domain::byte) return;
        CNB_CHECK(domain_ == Domain::cache_line, {"domain", static_cast<uint64_t>(domain_)});
        if (length == 0) return;
        // The instructions ignore the place within a line, but the walk must begin at its start.
        const std::byte* line = from - reinterpret_cast<uintptr_t>(from) % format::kLineBytes;
        for (const std::byte* const end = from + length; line < end; line += format::kLineBytes)
            flush_line(line);
    }

    void fence(Site) { _mm_sfence(); }

    // msync of the pages that the range touches.
    Result<void> sync(Site, const std::byte* from, size_t length);

    static consteval bool mutant(Mutant) { return false; }

    // How a frame asked for as `kind` is stored in this domain.
    StoreKind kind_here(StoreKind kind) const {
        return domain_ == Domain::page ? StoreKind::cached : kind;
    }

  private:
    // Written as assembly because the intrinsics may only be inlined into functions compiled for a
    // processor that has them. The choice never changes, so its branches are always foreseen.
    void flush_line(const std::byte* line) {
        switch (flush_) {
            case FlushInstruction::clwb: asm volatile("clwb %0" : : "m"(*line) : "memory"); return;
            case FlushInstruction::clflushopt:
                asm volatile("clflushopt %0" : : "m"(*line) : "memory");
                return;
            case FlushInstruction::clflush: _mm_clflush(line); return;
        }
    }

    Domain domain_;
    FlushInstruction flush_;
};

static_assert(Medium<PmemMedium>);

}  // namespace cinnabar::medium
