// Park in production: futex for sleeping, membarrier for fencing other threads.
#pragma once

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>

#include "seam/world.hpp"

namespace cinnabar::log {

struct FutexPark {
    static void wait(std::atomic<uint32_t>& word, uint32_t expected,
                     std::optional<std::chrono::nanoseconds> timeout) {
        timespec limit = {};
        if (timeout) {
            const int64_t ns = std::max<int64_t>(timeout->count(), 0);
            limit.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
            limit.tv_nsec = static_cast<long>(ns % 1'000'000'000);
        }
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, timeout ? &limit : nullptr, nullptr,
                0);
    }

    static void wake_all(std::atomic<uint32_t>& word) {
        syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
    }

    static bool can_fence_others() {
        static const bool registered =
            syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
        return registered;
    }

    static void fence_others() { syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0); }

    static void relax() { __builtin_ia32_pause(); }
};
static_assert(Park<FutexPark>);

}  // namespace cinnabar::log
