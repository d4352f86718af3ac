#include "medium/pmem_medium.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace cinnabar::medium {

Result<void> PmemMedium::sync(Site, const std::byte* from, size_t length) {
    if (length == 0) return {};
    const size_t into_page = reinterpret_cast<uintptr_t>(from) % format::kPageBytes;
    // msync takes a pointer to memory that it may change, and changes nothing.
    auto* const page = const_cast<std::byte*>(from - into_page);
    if (msync(page, into_page + length, MS_SYNC) == 0) return {};
    return fail(Errc::io, "msync of " + std::to_string(length) +
                              " bytes failed: " + std::generic_category().message(errno));
}

}  // namespace cinnabar::medium
