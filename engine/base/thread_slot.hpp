// A small number for each live thread, so that counters can be kept per thread without a locked
// instruction and still be exact.
#pragma once

#include <cstdint>

namespace cinnabar {

inline constexpr uint32_t kThreadSlots = 64;

namespace detail {

inline constexpr uint32_t kNoSlotYet = 0xFFFFFFFF;
inline constinit thread_local uint32_t slot_of_this_thread = kNoSlotYet;
uint32_t claim_thread_slot();

}  // namespace detail

// 0 .. kThreadSlots-1, held by one live thread at a time; kThreadSlots for every thread that came
// when all were taken. A slot passes to its next holder with everything its last one wrote.
inline uint32_t thread_slot() {
    const uint32_t slot = detail::slot_of_this_thread;
    return slot != detail::kNoSlotYet ? slot : detail::claim_thread_slot();
}

// Tells live threads apart, without limit.
inline const void* thread_token() {
    return &detail::slot_of_this_thread;
}

}  // namespace cinnabar
