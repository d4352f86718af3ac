// A pool in memory, laid out as FORMAT.md says, without a file or libpmemobj: what the simulator
// runs the real log over. Its initial bytes are aged, never only zeros: recovery meets recycled
// space first and most often.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "pool/space.hpp"

namespace cinnabar::sim {

enum class Age : uint8_t {
    zero,              // never used
    ones,              // all bits set
    random,            // noise
    stale,             // frames of an earlier life that verify under it
    half_overwritten,  // the same, of which noise has taken one half of every other line
};

class SimPool {
  public:
    struct Options {
        uint64_t segment_bytes = 2048;
        uint32_t segments = 6;
        Age age = Age::stale;
        uint64_t seed = 1;
    };

    explicit SimPool(const Options& options);
    // A pool whose bytes are a copy of an image of another one.
    SimPool(const SimPool& other, std::span<const std::byte> image);
    // A pool in `memory`, which holds an image of another one and outlives it.
    static SimPool in_place(const SimPool& other, std::span<std::byte> memory);

    const pool::Space& space() const { return space_; }
    std::span<std::byte> bytes() { return {space_.base, size_}; }

    // Rows as pool::Pool writes them; not part of any crash test.
    uint32_t add_stream(std::string_view name, bool shared, bool reserve = false);
    uint16_t add_service(uint32_t stream, std::string_view name);

    // The medium has lost this cache line: who asks before he reads is told so.
    void poison(const std::byte* line);

  private:
    struct Free {
        void operator()(std::byte* p) const;
    };

    SimPool(const SimPool& other, std::byte* memory);
    void allocate(uint64_t segment_bytes, uint64_t segments);
    void lay_out(std::byte* memory, uint64_t segment_bytes, uint64_t segments);
    void age_segments(const Options& options);

    size_t size_ = 0;
    std::unique_ptr<std::byte[], Free> bytes_;  // where the pool owns its memory
    pool::Space space_;
};

}  // namespace cinnabar::sim
