// A file of an engine, mapped or open.
#include "rivals/mapping.hpp"

#include <fcntl.h>
#include <libpmem.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace cinnabar::bench {

FileGuard::~FileGuard() {
    if (!path_.empty()) ::unlink(path_.c_str());
}

std::string errno_text(const std::string& what) {
    return what + ": " + std::strerror(errno);
}

Errc errc_of_errno() {
    switch (errno) {
        case ENOENT:
        case ENOTDIR: return Errc::not_found;
        case EEXIST: return Errc::already_exists;
        case EACCES:
        case EPERM:
        case EROFS: return Errc::permission;
        case ENOSPC:
        case EDQUOT:
        case EFBIG: return Errc::disk_full;
        default: return Errc::io;
    }
}

Result<void> Mapping::create(const std::string& path, uint64_t bytes) {
    int is_pmem = 0;
    size_t mapped = 0;
    void* at = pmem_map_file(path.c_str(), bytes, PMEM_FILE_CREATE | PMEM_FILE_EXCL, 0600, &mapped,
                             &is_pmem);
    if (at == nullptr) return fail(errc_of_errno(), path + ": " + pmem_errormsg());
    data_ = static_cast<std::byte*>(at);
    size_ = mapped;
    is_pmem_ = is_pmem != 0;
    prefault(data_, size_);
    return {};
}

Result<void> Mapping::open(const std::string& path) {
    int is_pmem = 0;
    size_t mapped = 0;
    void* at = pmem_map_file(path.c_str(), 0, 0, 0, &mapped, &is_pmem);
    if (at == nullptr) return fail(errc_of_errno(), path + ": " + pmem_errormsg());
    data_ = static_cast<std::byte*>(at);
    size_ = mapped;
    is_pmem_ = is_pmem != 0;
    return {};
}

void Mapping::unmap() {
    if (data_ != nullptr) pmem_unmap(data_, size_);
    data_ = nullptr;
    size_ = 0;
}

bool is_pmem_file(const std::string& path) {
    Mapping mapping;
    return mapping.open(path) && mapping.is_pmem();
}

void prefault(void* begin, uint64_t bytes) {
#ifdef MADV_POPULATE_WRITE
    if (::madvise(begin, bytes, MADV_POPULATE_WRITE) == 0) return;
#endif
    auto* at = static_cast<volatile char*>(begin);
    for (uint64_t i = 0; i < bytes; i += 4096) at[i] = at[i];
}

Result<int> create_written_file(const std::string& path, uint64_t bytes, int flags) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return fail(errc_of_errno(), errno_text(path));
    const std::vector<char> zeros(1 << 20);
    bool written = true;
    for (uint64_t at = 0; written && at < bytes;) {
        const size_t length = static_cast<size_t>(std::min<uint64_t>(zeros.size(), bytes - at));
        const ssize_t n = ::pwrite(fd, zeros.data(), length, static_cast<off_t>(at));
        written = n > 0;
        if (written) at += static_cast<uint64_t>(n);
    }
    if (!written || ::fsync(fd) != 0) {
        auto error = fail(errc_of_errno(), errno_text(path));
        ::close(fd);
        ::unlink(path.c_str());
        return error;
    }
    if (flags == 0) return fd;
    ::close(fd);
    const int reopened = ::open(path.c_str(), O_RDWR | O_CLOEXEC | flags);
    if (reopened < 0) return fail(errc_of_errno(), errno_text(path));
    return reopened;
}

}  // namespace cinnabar::bench
