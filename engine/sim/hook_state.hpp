// Between the hooks' runtime and the rest of the simulator: where the watched region lies.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cinnabar::sim {

inline constexpr size_t kWidestAccess = 16;  // of those that name their size in the hook

// `first` stands before the region by what an access that touches it may begin ahead, so that one
// comparison decides. `span` is 0 while nothing is watched. Plain words: see watch().
struct WatchedRange {
    uintptr_t first = 0;
    uintptr_t span = 0;
};
extern WatchedRange watched_range __attribute__((visibility("hidden")));

// May `length` bytes, as many as kWidestAccess, touch the region?
inline bool near_watched(const void* at) {
    return reinterpret_cast<uintptr_t>(at) - watched_range.first < watched_range.span;
}

// Report what of the range lies in the region; nothing where the thread is Unwatched. `behind`:
// where the hook returns to.
enum class Access : uint8_t { load, store, checksum };
void report(Access access, const void* at, size_t length, const void* behind);

// Hooked code has started.
void note_hooked();

}  // namespace cinnabar::sim
