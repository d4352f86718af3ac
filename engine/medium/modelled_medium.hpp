// A medium with delays added on purpose, to show what a slower one would cost. The delays come on
// top of what the medium under it takes by itself, in the thread that makes the call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "cinnabar/medium.hpp"
#include "cinnabar/result.hpp"
#include "cinnabar/types.hpp"
#include "format/layout.hpp"
#include "medium/busy_wait.hpp"
#include "seam/medium.hpp"

namespace cinnabar::medium {

template <Medium M>
class Modelled {
  public:
    template <class... Args>
    explicit Modelled(ModelledLatency latency, Args&&... of_medium)
        : medium_(std::forward<Args>(of_medium)...),
          fence_ticks_(latency.fence_ns == 0 ? 0 : ticks_of_ns(latency.fence_ns)),
          line_ticks_(latency.line_ns == 0 ? 0 : ticks_of_ns(latency.line_ns)) {}

    Domain domain() const { return medium_.domain(); }

    void store8(Site site, uint64_t* word, uint64_t value) { medium_.store8(site, word, value); }

    void copy(Site site, std::byte* to, const std::byte* from, size_t length) {
        medium_.copy(site, to, from, length);
    }

    void zero(Site site, std::byte* to, size_t length) { medium_.zero(site, to, length); }

    void store_frame(Site site, std::byte* to, const FrameWords& header,
                     std::span<const Bytes> parts, uint32_t seed, StoreKind kind) {
        medium_.store_frame(site, to, header, parts, seed, kind);
        // In the page domain nothing is stored non-temporally, whatever was asked.
        if (kind == StoreKind::cached || domain() == Domain::page) return;
        size_t frame_bytes = sizeof header;
        for (const Bytes& part : parts) frame_bytes += part.size();
        wait_ticks(line_ticks_ * lines_touched(to, frame_bytes));
    }

    void flush(Site site, const std::byte* from, size_t length) {
        medium_.flush(site, from, length);
        if (domain() == Domain::cache_line) wait_ticks(line_ticks_ * lines_touched(from, length));
    }

    void fence(Site site) {
        medium_.fence(site);
        wait_ticks(fence_ticks_);
    }

    Result<void> sync(Site site, const std::byte* from, size_t length) {
        return medium_.sync(site, from, length);
    }

    static consteval bool mutant(Mutant mutant) { return M::mutant(mutant); }

  private:
    static uint64_t lines_touched(const std::byte* from, size_t length) {
        if (length == 0) return 0;
        const uintptr_t first = reinterpret_cast<uintptr_t>(from);
        return (first + length - 1) / format::kLineBytes - first / format::kLineBytes + 1;
    }

    M medium_;
    uint64_t fence_ticks_;
    uint64_t line_ticks_;
};

}  // namespace cinnabar::medium
