// Small services of the operating system: descriptors that close themselves, error numbers as
// errors, the names of file systems, the name of the process that holds a lock.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "cinnabar/result.hpp"

namespace cinnabar::pool {

class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }

    int get() const { return number_; }
    bool valid() const { return number_ >= 0; }

  private:
    int number_;
};

// "'/a/b'": how a path stands in a sentence.
std::string quoted(const std::filesystem::path& path);

// The error for `number` (an errno value) met while `doing` ("open '/a/b'"), with advice.
Error system_error(int number, const std::string& doing);

// The file system that holds the file or directory.
struct FileSystem {
    std::string name = "unknown";  // "ext4", "tmpfs", ...
    bool pseudo = false;           // made of the kernel's own data, no place for files
};
FileSystem file_system_of(int descriptor);

// A year is for ever, and can be added to the present.
inline std::chrono::steady_clock::time_point deadline_after(std::chrono::milliseconds timeout) {
    constexpr std::chrono::milliseconds kForEver = std::chrono::hours(24 * 365);
    return std::chrono::steady_clock::now() + std::min(timeout, kForEver);
}

// A file as the kernel knows it.
struct FileIdentity {
    dev_t device = 0;
    ino_t inode = 0;
};

// Who holds the flock of this file: "process 123 (cinnabar)", or what can be said instead.
std::string lock_holder(const FileIdentity& file);

}  // namespace cinnabar::pool
