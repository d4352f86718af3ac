#include "sim/hooks.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "sim/hook_state.hpp"

namespace cinnabar::sim {

namespace {

constinit std::span<const std::byte> watched_region;
constinit Watcher* told = nullptr;
constinit bool is_hooked = false;
constinit thread_local unsigned unwatched_depth = 0;
constinit thread_local const void* behind_the_access = nullptr;

}  // namespace

constinit WatchedRange watched_range;

void watch(std::span<const std::byte> region, Watcher& watcher) {
    CNB_CHECK(told == nullptr);
    CNB_CHECK(!region.empty());
    watched_region = region;
    told = &watcher;
    watched_range = {reinterpret_cast<uintptr_t>(region.data()) - (kWidestAccess - 1),
                     region.size() + (kWidestAccess - 1)};
}

void unwatch() {
    watched_range = {};
    told = nullptr;
    watched_region = {};
}

Unwatched::Unwatched() {
    ++unwatched_depth;
}

Unwatched::~Unwatched() {
    --unwatched_depth;
}

bool hooked() {
    return is_hooked;
}

void note_hooked() {
    is_hooked = true;
}

const void* behind_access() {
    return behind_the_access;
}

void report(Access access, const void* at, size_t length, const void* behind) {
    if (told == nullptr || unwatched_depth != 0) return;
    const uintptr_t start = reinterpret_cast<uintptr_t>(watched_region.data());
    const uintptr_t from = std::max(start, reinterpret_cast<uintptr_t>(at));
    const uintptr_t end =
        std::min(start + watched_region.size(), reinterpret_cast<uintptr_t>(at) + length);
    if (from >= end) return;
    const Unwatched unwatched;
    behind_the_access = behind;
    const auto* bytes = reinterpret_cast<const std::byte*>(from);
    switch (access) {
        case Access::load: return told->before_load(bytes, end - from);
        case Access::store: return told->before_store(const_cast<std::byte*>(bytes), end - from);
        case Access::checksum: return told->before_checksum(bytes, end - from);
    }
}

}  // namespace cinnabar::sim
