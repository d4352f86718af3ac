#include "medium/domain.hpp"

#include <cpuid.h>
#include <libpmem.h>
#include <sys/mman.h>

#include <string_view>

namespace cinnabar::medium {

Domain find_domain(int descriptor) {
    void* const page = ::mmap(nullptr, 1, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, descriptor, 0);
    if (page == MAP_FAILED) return Domain::page;
    ::munmap(page, 1);
    return pmem_has_auto_flush() == 1 ? Domain::byte : Domain::cache_line;
}

bool libpmem_pretends(const void* mapped) {
    return pmem_is_pmem(mapped, 1) != 0;
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
