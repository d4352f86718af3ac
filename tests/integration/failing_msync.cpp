// Preloaded into the program: the msync with the number in FAIL_MSYNC reports an error.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

extern "C" int msync(void* at, size_t length, int flags) noexcept {
    static std::atomic<int> calls{0};
    const char* failing = std::getenv("FAIL_MSYNC");
    if (failing != nullptr && ++calls == std::atoi(failing)) {
        errno = EIO;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_msync, at, length, flags));
}
