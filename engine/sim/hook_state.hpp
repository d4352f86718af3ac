// Between the hooks' runtime and the rest of the simulator: where the watched region lies, and how
// an access is reported.
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

// The same for any length.
inline bool may_touch(const void* at, size_t length) {
    const uintptr_t from = reinterpret_cast<uintptr_t>(at);
    return from - watched_range.first < watched_range.span || watched_range.first - from < length;
}

// Report what of the range lies in the region; nothing where the thread is Unwatched. `behind`:
// where the hook returns to.
enum class Access : uint8_t { load, store, checksum };
void report(Access access, const void* at, size_t length, const void* behind);

// For an entry point of the runtime, or what stands in its place: a load or store of the code that
// has called it, which is where the entry point returns to. So they are put into it.
#define CNB_HOOK_INLINE [[gnu::always_inline]] inline
#define CNB_HOOK_BEHIND __builtin_return_address(0)

CNB_HOOK_INLINE void load(const void* at, size_t length) {
    if (may_touch(at, length)) [[unlikely]]
        report(Access::load, at, length, CNB_HOOK_BEHIND);
}

CNB_HOOK_INLINE void store(const void* at, size_t length) {
    if (may_touch(at, length)) [[unlikely]]
        report(Access::store, at, length, CNB_HOOK_BEHIND);
}

template <size_t kSize>
CNB_HOOK_INLINE void load(const void* at) {
    static_assert(kSize <= kWidestAccess);
    if (near_watched(at)) [[unlikely]]
        report(Access::load, at, kSize, CNB_HOOK_BEHIND);
}

template <size_t kSize>
CNB_HOOK_INLINE void store(const void* at) {
    static_assert(kSize <= kWidestAccess);
    if (near_watched(at)) [[unlikely]]
        report(Access::store, at, kSize, CNB_HOOK_BEHIND);
}

// Hooked code has started.
void note_hooked();

}  // namespace cinnabar::sim
