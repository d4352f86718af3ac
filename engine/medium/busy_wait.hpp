// Waiting for a stated number of nanoseconds without leaving the processor, by its time-stamp
// counter: a clock call costs as much as the delays that are to be modelled.
#pragma once

#include <emmintrin.h>
#include <x86intrin.h>

#include <cstdint>

namespace cinnabar::medium {

// Counter ticks in so many nanoseconds, rounded up. The counter is measured at the first call of
// the process, which takes some milliseconds.
uint64_t ticks_of_ns(uint64_t ns);

// Returns when `ticks` have passed since everything before the call was done.
inline void wait_ticks(uint64_t ticks) {
    if (ticks == 0) return;
    _mm_lfence();  // the counter may be read early otherwise, during a fence still under way
    const uint64_t start = __rdtsc();
    while (__rdtsc() - start < ticks) _mm_pause();
}

}  // namespace cinnabar::medium
