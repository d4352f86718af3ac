// The msync that this program calls in place of the C library's: it can fail, and it can be
// watched.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace cinnabar::log_test {

inline std::atomic<bool> disk_fails{false};

// What was written back while it lives.
class WrittenBack {
  public:
    WrittenBack();
    ~WrittenBack();
    WrittenBack(const WrittenBack&) = delete;
    WrittenBack& operator=(const WrittenBack&) = delete;

    void add(const void* at, size_t length);
    bool holds(const void* at, size_t length) const;

  private:
    mutable std::mutex mutex_;
    std::vector<std::pair<const std::byte*, const std::byte*>> ranges_;
};

}  // namespace cinnabar::log_test
