// What a mapping really is, and how this processor writes a cache line back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cinnabar/types.hpp"

namespace cinnabar::medium {

// The domain of a mapped range: persistent memory (byte or cache line) only if the whole range was
// mapped with synchronous page faults; page otherwise. The environment variable by which libpmem
// can be told to pretend is not believed: then the answer is page, which is durable on any file.
Domain find_domain(const void* address, size_t length);

// The domain that a shared mapping of this file would have; the descriptor may be read-only. A
// private mapping, as a read-only open has it, cannot be asked.
Domain find_domain(int descriptor);

enum class FlushInstruction : uint8_t { clflush, clflushopt, clwb };

// The best one that the processor has: clwb keeps the line in the cache, clflushopt does not,
// clflush also waits for the one before it.
FlushInstruction best_flush_instruction();

// Its name.
std::string_view flush_instruction();

}  // namespace cinnabar::medium
