// A run of pages of its own between two pages that fault: whoever reads or writes one byte too far
// dies of it.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>

namespace cinnabar::medium {

inline constexpr size_t kPage = 4096;

class GuardedPages {
  public:
    explicit GuardedPages(size_t pages) : bytes_(pages * kPage) {
        void* all =
            mmap(nullptr, bytes_ + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED) std::abort();
        start_ = static_cast<std::byte*>(all) + kPage;
        if (mprotect(start_, bytes_, PROT_READ | PROT_WRITE) != 0) std::abort();
    }
    GuardedPages(const GuardedPages&) = delete;
    GuardedPages& operator=(const GuardedPages&) = delete;
    ~GuardedPages() { munmap(start_ - kPage, bytes_ + 2 * kPage); }

    std::byte* begin() const { return start_; }
    std::byte* end() const { return start_ + bytes_; }
    size_t size() const { return bytes_; }

  private:
    size_t bytes_;
    std::byte* start_;
};

}  // namespace cinnabar::medium
