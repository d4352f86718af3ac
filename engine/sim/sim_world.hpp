// The world of the simulator: the crash medium, and threads that the scheduler runs one at a time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/check.hpp"
#include "seam/world.hpp"
#include "sim/crash_medium.hpp"
#include "sim/scheduler.hpp"

namespace cinnabar::sim {

// Simulated threads have no clock: a timeout never comes.
struct SimPark {
    static void wait(std::atomic<uint32_t>& word, uint32_t expected,
                     std::optional<std::chrono::nanoseconds>) {
        if (word.load() == expected) sleep_on(&word);
    }
    static void wake_all(std::atomic<uint32_t>& word) { wake_all_on(&word); }
    static bool can_fence_others() { return true; }
    static void fence_others() {}
    static void relax() {}
};

// Threads run one at a time, so the word needs no atomicity; it is held across switch points.
class SimMutex {
  public:
    void lock() {
        switch_point();
        while (held_) sleep_on(this);
        held_ = true;
    }
    void unlock() {
        held_ = false;
        wake_all_on(this);
    }

  private:
    bool held_ = false;
};

struct SimWorld {
    using Medium = CrashMedium;
    using Park = SimPark;
    using Mutex = SimMutex;
    static void point() { switch_point(); }
};
static_assert(World<SimWorld>);

inline void run_serially(size_t count, const std::function<void(size_t)>& piece) {
    for (size_t i = 0; i < count; ++i) piece(i);
}

}  // namespace cinnabar::sim
