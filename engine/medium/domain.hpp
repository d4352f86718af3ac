// What a mapping really is, and how this processor writes a cache line back.
#pragma once

#include <cstdint>
#include <string_view>

#include "cinnabar/types.hpp"

namespace cinnabar::medium {

// The domain of a shared mapping of this file: persistent memory (byte or cache line) only if the
// kernel grants it synchronous page faults; page otherwise. The descriptor may be read-only.
//
// libpmemobj maps with such faults wherever they are granted. libpmem is not asked: of a mapping
// that it did not make itself pmem_is_pmem always says no, and an environment variable makes it
// pretend.
Domain find_domain(int descriptor);

// Was libpmem told by its environment (PMEM_IS_PMEM_FORCE) to take any mapping for persistent
// memory? Asked with one that is none. Then libpmemobj flushes it, and writes no page back.
bool libpmem_pretends(const void* mapped);

enum class FlushInstruction : uint8_t { clflush, clflushopt, clwb };

// The best one that the processor has: clwb keeps the line in the cache, clflushopt does not,
// clflush also waits for the one before it.
FlushInstruction best_flush_instruction();

// Its name.
std::string_view flush_instruction();

}  // namespace cinnabar::medium
