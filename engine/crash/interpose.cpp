// libpmem's functions, msync and mmap, as the kit has them: a program that holds these, and every
// library in it, calls them instead of libpmem's own and the C library's. Addresses in the watched
// file go to the recorder, all others on to where they were meant for.
#include <dlfcn.h>
#include <libpmem.h>
#include <sys/mman.h>

#include <cstring>

#include "base/check.hpp"
#include "crash/foreign.hpp"

namespace cinnabar::crash {
namespace {

Foreign* the_watched = nullptr;

// From here on libpmem itself goes past the caches where no flag says how to store.
constexpr size_t kPastCachesFrom = 256;

template <class Function>
Function* next(const char* name) {
    void* function = ::dlsym(RTLD_NEXT, name);
    // Where libpmem was loaded for one library alone, as an interpreter's module is.
    if (function == nullptr) function = ::dlsym(::dlopen("libpmem.so.1", RTLD_LAZY), name);
    CNB_CHECK(function != nullptr);
    return reinterpret_cast<Function*>(function);
}

// The call of the function in which this stands.
#define CALL(name) (Call{#name, __builtin_return_address(0)})

// libpmem's own.
#define NEXT(name) next<decltype(name)>(#name)

Foreign* holder_of(const void* address) {
    Foreign* foreign = Foreign::watched();
    return foreign != nullptr && foreign->holds(address) ? foreign : nullptr;
}

bool is_mapped(const void* address) {
    Foreign* foreign = Foreign::watched();
    return foreign != nullptr && foreign->maps(address);
}

void* note_mapping(void* at, int prot, int flags, int file) {
    Foreign* foreign = Foreign::watched();
    const bool is_shared = (flags & MAP_SHARED) != 0 && (flags & MAP_ANONYMOUS) == 0;
    if (foreign != nullptr && at != MAP_FAILED && is_shared && (prot & PROT_WRITE) != 0)
        foreign->note_mapping(file);
    return at;
}

void persist(Foreign& foreign, const Call& call, const void* at, size_t length) {
    foreign.flush(call, at, length);
    foreign.fence(call);
}

// Writes whole pages back.
void sync_pages(Foreign& foreign, const Call& call, const void* at, size_t length) {
    constexpr uintptr_t page = 4096;
    const auto before = reinterpret_cast<uintptr_t>(at) % page;
    const size_t pages = (before + length + page - 1) / page;
    persist(foreign, call, static_cast<const char*>(at) - before, pages * page);
}

bool goes_past_caches(size_t length, unsigned flags) {
    if ((flags & (PMEM_F_MEM_NONTEMPORAL | PMEM_F_MEM_WC)) != 0) return true;
    if ((flags & (PMEM_F_MEM_TEMPORAL | PMEM_F_MEM_WB | PMEM_F_MEM_NOFLUSH)) != 0) return false;
    return length >= kPastCachesFrom;
}

template <class Store>
void* store(Foreign& foreign, const Call& call, void* to, size_t length, unsigned flags,
            const Store& store) {
    const bool flushed = (flags & PMEM_F_MEM_NOFLUSH) == 0;
    const bool past_caches = flushed && goes_past_caches(length, flags);
    foreign.store(call, to, length, past_caches, flushed, store);
    if (flushed && (flags & PMEM_F_MEM_NODRAIN) == 0) foreign.fence(call);
    return to;
}

void* copy(Foreign& foreign, const Call& call, void* to, const void* from, size_t length,
           unsigned flags) {
    // libpmem neither stores nor flushes then, and drains all the same.
    if (to == from) length = 0;
    return store(foreign, call, to, length, flags, [&] { std::memmove(to, from, length); });
}

void* set(Foreign& foreign, const Call& call, void* to, int value, size_t length, unsigned flags) {
    return store(foreign, call, to, length, flags, [&] { std::memset(to, value, length); });
}

}  // namespace

Foreign* Foreign::watched() {
    return the_watched;
}

void Foreign::watch(Foreign* foreign) {
    if (the_watched != nullptr) the_watched->hooked_.reset();
    the_watched = foreign;
}

}  // namespace cinnabar::crash

using cinnabar::crash::Call;
using cinnabar::crash::copy;
using cinnabar::crash::Foreign;
using cinnabar::crash::holder_of;
using cinnabar::crash::is_mapped;
using cinnabar::crash::next;
using cinnabar::crash::note_mapping;
using cinnabar::crash::persist;
using cinnabar::crash::set;
using cinnabar::crash::sync_pages;

// Seen by every library of the process, also where all else is hidden.
#pragma GCC visibility push(default)
extern "C" {

void pmem_flush(const void* addr, size_t len) {
    if (Foreign* foreign = holder_of(addr)) return foreign->flush(CALL(pmem_flush), addr, len);
    NEXT(pmem_flush)(addr, len);
}

void pmem_deep_flush(const void* addr, size_t len) {
    if (Foreign* foreign = holder_of(addr)) return foreign->flush(CALL(pmem_deep_flush), addr, len);
    NEXT(pmem_deep_flush)(addr, len);
}

// Without an address: it is a fence of whatever the thread has flushed.
void pmem_drain(void) {
    if (Foreign* foreign = Foreign::watched()) foreign->fence(CALL(pmem_drain));
    NEXT(pmem_drain)();
}

int pmem_deep_drain(const void* addr, size_t len) {
    if (Foreign* foreign = holder_of(addr)) return foreign->fence(CALL(pmem_deep_drain)), 0;
    return NEXT(pmem_deep_drain)(addr, len);
}

void pmem_persist(const void* addr, size_t len) {
    if (Foreign* foreign = holder_of(addr)) return persist(*foreign, CALL(pmem_persist), addr, len);
    NEXT(pmem_persist)(addr, len);
}

int pmem_deep_persist(const void* addr, size_t len) {
    if (Foreign* foreign = holder_of(addr))
        return persist(*foreign, CALL(pmem_deep_persist), addr, len), 0;
    return NEXT(pmem_deep_persist)(addr, len);
}

int pmem_msync(const void* addr, size_t len) {
    if (Foreign* foreign = holder_of(addr))
        return sync_pages(*foreign, CALL(pmem_msync), addr, len), 0;
    return NEXT(pmem_msync)(addr, len);
}

// The real one says what is wrong with a range. That one begins to write back forces nothing.
int msync(void* addr, size_t len, int flags) {
    Foreign* foreign = holder_of(addr);
    const int result = NEXT(msync)(addr, len, flags);
    if (foreign != nullptr && result == 0 && (flags & MS_SYNC) != 0)
        sync_pages(*foreign, CALL(msync), addr, len);
    return result;
}

void* mmap(void* addr, size_t len, int prot, int flags, int fd, off_t offset) noexcept {
    return note_mapping(NEXT(mmap)(addr, len, prot, flags, fd, offset), prot, flags, fd);
}

void* mmap64(void* addr, size_t len, int prot, int flags, int fd, off64_t offset) noexcept {
    return note_mapping(NEXT(mmap64)(addr, len, prot, flags, fd, offset), prot, flags, fd);
}

int pmem_is_pmem(const void* addr, size_t len) {
    return is_mapped(addr) ? 1 : NEXT(pmem_is_pmem)(addr, len);
}

int pmem_has_auto_flush(void) {
    return Foreign::watched() != nullptr ? 0 : NEXT(pmem_has_auto_flush)();
}

void* pmem_map_file(const char* path, size_t len, int flags, mode_t mode, size_t* mapped_lenp,
                    int* is_pmemp) {
    void* at = NEXT(pmem_map_file)(path, len, flags, mode, mapped_lenp, is_pmemp);
    if (at == nullptr || (is_pmemp == nullptr && !cinnabar::sim::hooked())) return at;
    const bool is_watched = is_mapped(at);  // and what is stored there told from now on
    if (is_watched && is_pmemp != nullptr) *is_pmemp = 1;
    return at;
}

void* pmem_memmove(void* pmemdest, const void* src, size_t len, unsigned flags) {
    if (Foreign* foreign = holder_of(pmemdest))
        return copy(*foreign, CALL(pmem_memmove), pmemdest, src, len, flags);
    return NEXT(pmem_memmove)(pmemdest, src, len, flags);
}

void* pmem_memcpy(void* pmemdest, const void* src, size_t len, unsigned flags) {
    if (Foreign* foreign = holder_of(pmemdest))
        return copy(*foreign, CALL(pmem_memcpy), pmemdest, src, len, flags);
    return NEXT(pmem_memcpy)(pmemdest, src, len, flags);
}

void* pmem_memset(void* pmemdest, int c, size_t len, unsigned flags) {
    if (Foreign* foreign = holder_of(pmemdest))
        return set(*foreign, CALL(pmem_memset), pmemdest, c, len, flags);
    return NEXT(pmem_memset)(pmemdest, c, len, flags);
}

void* pmem_memmove_persist(void* pmemdest, const void* src, size_t len) {
    if (Foreign* foreign = holder_of(pmemdest))
        return copy(*foreign, CALL(pmem_memmove_persist), pmemdest, src, len, 0);
    return NEXT(pmem_memmove_persist)(pmemdest, src, len);
}

void* pmem_memcpy_persist(void* pmemdest, const void* src, size_t len) {
    if (Foreign* foreign = holder_of(pmemdest))
        return copy(*foreign, CALL(pmem_memcpy_persist), pmemdest, src, len, 0);
    return NEXT(pmem_memcpy_persist)(pmemdest, src, len);
}

void* pmem_memset_persist(void* pmemdest, int c, size_t len) {
    if (Foreign* foreign = holder_of(pmemdest))
        return set(*foreign, CALL(pmem_memset_persist), pmemdest, c, len, 0);
    return NEXT(pmem_memset_persist)(pmemdest, c, len);
}

void* pmem_memmove_nodrain(void* pmemdest, const void* src, size_t len) {
    if (Foreign* foreign = holder_of(pmemdest))
        return copy(*foreign, CALL(pmem_memmove_nodrain), pmemdest, src, len, PMEM_F_MEM_NODRAIN);
    return NEXT(pmem_memmove_nodrain)(pmemdest, src, len);
}

void* pmem_memcpy_nodrain(void* pmemdest, const void* src, size_t len) {
    if (Foreign* foreign = holder_of(pmemdest))
        return copy(*foreign, CALL(pmem_memcpy_nodrain), pmemdest, src, len, PMEM_F_MEM_NODRAIN);
    return NEXT(pmem_memcpy_nodrain)(pmemdest, src, len);
}

void* pmem_memset_nodrain(void* pmemdest, int c, size_t len) {
    if (Foreign* foreign = holder_of(pmemdest))
        return set(*foreign, CALL(pmem_memset_nodrain), pmemdest, c, len, PMEM_F_MEM_NODRAIN);
    return NEXT(pmem_memset_nodrain)(pmemdest, c, len);
}

}  // extern "C"
#pragma GCC visibility pop
