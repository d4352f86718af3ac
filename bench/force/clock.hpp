// The benchmark's clock: the processor's time stamp counter where it is invariant, clock_gettime
// elsewhere. What one reading costs is measured and printed, and subtracted from nothing.
#pragma once

#include <time.h>
#include <x86intrin.h>

#include <cstdint>

namespace cinnabar::bench {

class Clock {
  public:
    // Compares the counter with CLOCK_MONOTONIC for some milliseconds.
    static Clock calibrated();

    bool counts_cycles() const { return cycles_; }
    double ns_of(uint64_t ticks) const { return static_cast<double>(ticks) * ns_per_tick_; }
    uint64_t ticks_of(uint64_t ns) const {
        return static_cast<uint64_t>(static_cast<double>(ns) / ns_per_tick_);
    }

    // A reading that neither waits for earlier instructions nor holds up later ones.
    uint64_t now() const { return cycles_ ? __rdtsc() : monotonic_ns(); }

    // A pair around one operation. begin() lets nothing behind it start early; end() waits until
    // everything before it was carried out, the stores that a force's fence pushes out included.
    // Neither rdtscp nor lfence waits for them, not even behind an sfence: without the mfence an
    // engine was charged for them only if it has an atomic operation behind its fence.
    uint64_t begin() const {
        if (!cycles_) return monotonic_ns();
        const uint64_t ticks = __rdtsc();
        _mm_lfence();
        return ticks;
    }
    uint64_t end() const {
        if (!cycles_) return monotonic_ns();
        _mm_mfence();
        unsigned processor;
        const uint64_t ticks = __rdtscp(&processor);
        _mm_lfence();
        return ticks;
    }

    // What a begin() and end() around nothing shows, in ns: the least that a latency can read.
    double timer_ns() const;
    // What readings differ by is a multiple of it, in ns: some counters move in steps.
    double step_ns() const;

    static uint64_t monotonic_ns() {
        timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
    }

  private:
    bool cycles_ = false;
    double ns_per_tick_ = 1.0;
};

}  // namespace cinnabar::bench
