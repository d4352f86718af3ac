#include "msync.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace cinnabar::log_test {

namespace {

std::atomic<WrittenBack*> watcher{nullptr};

}  // namespace

WrittenBack::WrittenBack() {
    watcher = this;
}

WrittenBack::~WrittenBack() {
    watcher = nullptr;
}

void WrittenBack::add(const void* at, size_t length) {
    const auto* begin = static_cast<const std::byte*>(at);
    std::lock_guard lock(mutex_);
    ranges_.emplace_back(begin, begin + length);
}

bool WrittenBack::holds(const void* at, size_t length) const {
    const auto* begin = static_cast<const std::byte*>(at);
    std::lock_guard lock(mutex_);
    return std::ranges::any_of(ranges_, [&](const auto& range) {
        return range.first <= begin && begin + length <= range.second;
    });
}

}  // namespace cinnabar::log_test

extern "C" int msync(void* at, size_t length, int flags) noexcept {
    using namespace cinnabar::log_test;
    if (disk_fails) {
        errno = EIO;
        return -1;
    }
    if (WrittenBack* watching = watcher) watching->add(at, length);
    return static_cast<int>(::syscall(SYS_msync, at, length, flags));
}
