// A small number for each live thread, so that counters can be kept per thread without a locked
// instruction and still be exact.
#pragma once

#include <cstdint>

namespace cinnabar {

inline constexpr uint32_t kThreadSlots = 64;

// 0 .. kThreadSlots-1, held by one live thread at a time; kThreadSlots for every thread that came
// when all were taken. A slot passes to its next holder with everything its last one wrote.
uint32_t thread_slot();

// Tells live threads apart, without limit.
const void* thread_token();

}  // namespace cinnabar
