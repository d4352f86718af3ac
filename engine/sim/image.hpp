// One image of a crash at a time, in memory of its own where recovery may run: what recovery stores
// is taken back line by line, so that the next image costs the lines that differ and no copy of the
// region.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "sim/pending_line.hpp"

namespace cinnabar::sim {

// Equal for equal images; of others another one, in all likelihood.
uint64_t hash_of(std::span<const std::byte> image);

class Image {
  public:
    explicit Image(size_t bytes);  // a multiple of the page size
    // In memory of the caller's, where somebody else looks at it: there are no bytes() then.
    explicit Image(std::span<std::byte> memory);

    // From here on: a crash of `live` in which nothing pending survived.
    void begin(std::span<const std::byte> live, const PendingLines& pending);

    void put(uint64_t line, const Line& value);
    Line line(uint64_t line) const { return line_at(image(), line); }

    std::span<const std::byte> image() const { return image_; }
    // The same, for recovery to work on. Whoever stores to it says where, before undo().
    std::span<std::byte> bytes() { return work_; }
    void stored(uint64_t offset, size_t length);
    void undo();

    uint64_t hash() const { return hash_; }

  private:
    struct Free {
        void operator()(std::byte* p) const { std::free(p); }
    };
    using Memory = std::unique_ptr<std::byte, Free>;

    Memory owned_image_;
    Memory owned_work_;
    std::span<std::byte> image_;
    std::span<std::byte> work_;     // empty where the memory is the caller's
    std::vector<uint64_t> stored_;  // line numbers
    uint64_t hash_ = 0;
};

}  // namespace cinnabar::sim
