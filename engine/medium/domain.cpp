#include "medium/domain.hpp"

#include <cpuid.h>
#include <libpmem.h>
#include <sys/mman.h>

#include <cstdlib>
#include <string_view>

namespace cinnabar::medium {
namespace {

bool libpmem_pretends() {
    const char* forced = std::getenv("PMEM_IS_PMEM_FORCE");
    return forced != nullptr && std::string_view(forced) == "1";
}

Domain persistent_memory() {
    return pmem_has_auto_flush() == 1 ? Domain::byte : Domain::cache_line;
}

}  // namespace

Domain find_domain(const void* address, size_t length) {
    if (libpmem_pretends() || pmem_is_pmem(address, length) == 0) return Domain::page;
    return persistent_memory();
}

// The kernel grants synchronous page faults on persistent memory alone.
Domain find_domain(int descriptor) {
    if (libpmem_pretends()) return Domain::page;
    void* const page =
        ::mmap(nullptr, 1, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, descriptor, 0);
    if (page == MAP_FAILED) return Domain::page;
    ::munmap(page, 1);
    return persistent_memory();
}

FlushInstruction best_flush_instruction() {
    constexpr unsigned kClflushoptBit = 1u << 23;
    constexpr unsigned kClwbBit = 1u << 24;
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return FlushInstruction::clflush;
    if ((ebx & kClwbBit) != 0) return FlushInstruction::clwb;
    return (ebx & kClflushoptBit) != 0 ? FlushInstruction::clflushopt : FlushInstruction::clflush;
}

std::string_view flush_instruction() {
    switch (best_flush_instruction()) {
        case FlushInstruction::clwb: return "clwb";
        case FlushInstruction::clflushopt: return "clflushopt";
        case FlushInstruction::clflush: return "clflush";
    }
    return "unknown";
}

}  // namespace cinnabar::medium
