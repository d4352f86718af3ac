// Touching pages before anybody waits for them.
#include <sys/mman.h>

#include <atomic>
#include <cstdint>

#include "pool/pool.hpp"

namespace cinnabar::pool {

void prefault(std::byte* begin, size_t length) {
    if (length == 0) return;
    const auto first = reinterpret_cast<uintptr_t>(begin) & ~(uintptr_t{format::kPageBytes} - 1);
    const uintptr_t end = reinterpret_cast<uintptr_t>(begin) + length;
#ifdef MADV_POPULATE_WRITE
    if (::madvise(reinterpret_cast<void*>(first), end - first, MADV_POPULATE_WRITE) == 0) return;
#endif
    // Adding nothing is a store that cannot undo what another thread stores there.
    for (uintptr_t page = first; page < end; page += format::kPageBytes)
        std::atomic_ref(*reinterpret_cast<uint64_t*>(page)).fetch_add(0, std::memory_order_relaxed);
}

}  // namespace cinnabar::pool
