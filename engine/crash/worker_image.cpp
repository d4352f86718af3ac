#include "crash/worker_image.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "crash/unavailable.hpp"

namespace cinnabar::crash {

namespace {

constexpr size_t kPageBytes = 4096;
constexpr mode_t kMode = 0600;

// An entry of /proc/self/pagemap: the page is in memory or swapped out, and is no page of the file.
bool is_copy(uint64_t entry) {
    constexpr uint64_t present = uint64_t{1} << 63, swapped = uint64_t{1} << 62;
    constexpr uint64_t of_file = uint64_t{1} << 61;
    return (entry & swapped) != 0 || ((entry & present) != 0 && (entry & of_file) == 0);
}

std::span<std::byte> map(int file, size_t bytes, int protection, int flags, void* at = nullptr) {
    at = ::mmap(at, bytes, protection, flags, file, 0);
    if (at == MAP_FAILED)
        throw Unavailable("no mapping of the image: " + std::string(std::strerror(errno)));
    return {static_cast<std::byte*>(at), bytes};
}

}  // namespace

ImageMemory::ImageMemory(int shared_image, size_t bytes)
    : shared_image_(shared_image),
      pages_(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)),
      bytes_(map(shared_image, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE)),
      entries_((bytes + kPageBytes - 1) / kPageBytes) {}

// False: a part of it is unmapped.
bool ImageMemory::make_accessible() {
    return ::mprotect(bytes_.data(), bytes_.size(), PROT_READ | PROT_WRITE) == 0;
}

void ImageMemory::renew() {
    if (!make_accessible())
        bytes_ = map(shared_image_, bytes_.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
                     bytes_.data());
    drop_copies(true);
}

bool ImageMemory::drop_copies(bool drop) {
    const auto offset = reinterpret_cast<uintptr_t>(bytes_.data()) / kPageBytes * sizeof(uint64_t);
    const size_t length = entries_.size() * sizeof(uint64_t);
    if (pages_ < 0 || ::pread(pages_, entries_.data(), length, static_cast<off_t>(offset)) !=
                          static_cast<ssize_t>(length)) {
        // Without the table any page may be a copy.
        if (drop) ::madvise(bytes_.data(), bytes_.size(), MADV_DONTNEED);
        return true;
    }
    bool any = false;
    for (size_t page = 0; page < entries_.size(); ++page) {
        size_t end = page;
        while (end < entries_.size() && is_copy(entries_[end])) ++end;
        if (end == page) continue;
        any = true;
        if (drop)
            ::madvise(bytes_.data() + page * kPageBytes, (end - page) * kPageBytes, MADV_DONTNEED);
        page = end;
    }
    return any;
}

ImageFile::ImageFile(int shared_image, size_t bytes, const std::string& folder)
    : image_(map(shared_image, bytes, PROT_READ, MAP_SHARED)), folder_(folder) {
    open();
}

void ImageFile::open() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
    if (file_ >= 0) ::close(file_);
    if (folder_.empty()) {
        file_ = ::memfd_create("cinnabar-crash-file", MFD_CLOEXEC);
        path_ = "/proc/self/fd/" + std::to_string(file_);
    } else {
        path_ = folder_ + "/cinnabar-image";
        ::unlink(path_.c_str());
        file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kMode);
    }
    if (file_ < 0 || ::ftruncate(file_, static_cast<off_t>(image_.size())) != 0)
        throw Unavailable("no file for the image at " + path_ + ": " + std::strerror(errno));
    // Or a store that finds the disk full would end the recovery.
    if (const int error = ::posix_fallocate(file_, 0, static_cast<off_t>(image_.size()));
        error != 0)
        throw Unavailable("no room for the image at " + path_ + ": " + std::strerror(error));
    bytes_ = map(file_, image_.size(), PROT_READ | PROT_WRITE, MAP_SHARED);
}

// The same file under its name, and as long as it was.
bool ImageFile::is_there() const {
    struct stat by_name = {}, by_number = {};
    return ::stat(path_.c_str(), &by_name) == 0 && ::fstat(file_, &by_number) == 0 &&
           by_name.st_ino == by_number.st_ino && by_name.st_dev == by_number.st_dev &&
           static_cast<size_t>(by_name.st_size) == image_.size();
}

bool ImageFile::written() {
    return !is_there() || std::memcmp(bytes_.data(), image_.data(), image_.size()) != 0;
}

void ImageFile::renew() {
    if (!is_there()) open();
    for (size_t page = 0; page < image_.size(); page += kPageBytes) {
        const size_t length = std::min(kPageBytes, image_.size() - page);
        if (std::memcmp(bytes_.data() + page, image_.data() + page, length) != 0)
            std::memcpy(bytes_.data() + page, image_.data() + page, length);
    }
}

Recovery::Recovery(int shared_image, const Test& test, const std::string& folder) : test_(test) {
    struct stat status = {};
    ::fstat(shared_image, &status);
    const size_t bytes = static_cast<size_t>(status.st_size);
    if (test.recover)
        memory_.emplace(shared_image, bytes);
    else
        file_.emplace(shared_image, bytes, folder);
}

}  // namespace cinnabar::crash
