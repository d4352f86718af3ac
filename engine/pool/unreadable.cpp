// Finding pages that cannot be read, without reading them.
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>

#include "pool/pool.hpp"

namespace cinnabar::pool {

namespace {

constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, which older headers lack
#ifdef MADV_POPULATE_READ
static_assert(kPopulateRead == MADV_POPULATE_READ);
#endif

// The system would raise SIGBUS (EFAULT) or knows the page to be poisoned (EHWPOISON). Any other
// failure says nothing about the medium.
bool is_unreadable(uintptr_t page, uint64_t length) {
    int number = 0;
    do {
        number = ::madvise(reinterpret_cast<void*>(page), length, kPopulateRead) == 0 ? 0 : errno;
    } while (number == EINTR || number == EAGAIN);
    return number == EFAULT || number == EHWPOISON;
}

// Halves a range in which something cannot be read, down to pages.
void search(uintptr_t begin, uintptr_t end, std::vector<Bytes>& found) {
    if (!is_unreadable(begin, end - begin)) return;
    if (end - begin > format::kPageBytes) {
        const uintptr_t middle =
            begin + (end - begin) / 2 / format::kPageBytes * format::kPageBytes;
        search(begin, middle, found);
        search(middle, end, found);
        return;
    }
    const auto* page = reinterpret_cast<const std::byte*>(begin);
    if (!found.empty() && found.back().data() + found.back().size() == page)
        found.back() = Bytes(found.back().data(), found.back().size() + format::kPageBytes);
    else
        found.emplace_back(page, format::kPageBytes);
}

}  // namespace

std::vector<Bytes> find_unreadable(const std::byte* begin, uint64_t length) {
    std::vector<Bytes> found;
    if (length == 0) return found;
    constexpr uintptr_t in_page = format::kPageBytes - 1;
    const uintptr_t first = reinterpret_cast<uintptr_t>(begin) & ~in_page;
    search(first, (reinterpret_cast<uintptr_t>(begin) + length + in_page) & ~in_page, found);
    return found;
}

}  // namespace cinnabar::pool
