// A file of an engine, mapped or open, and removed with its owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "cinnabar/result.hpp"

namespace cinnabar::bench {

// Removes the file of an engine when the engine goes.
class FileGuard {
  public:
    FileGuard() = default;
    ~FileGuard();
    FileGuard(const FileGuard&) = delete;
    FileGuard& operator=(const FileGuard&) = delete;
    void own(std::string path) { path_ = std::move(path); }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// A shared mapping of a whole file through libpmem, which finds out what the file is.
class Mapping {
  public:
    Mapping() = default;
    ~Mapping() { unmap(); }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    Result<void> create(const std::string& path, uint64_t bytes);
    Result<void> open(const std::string& path);
    void unmap();

    std::byte* data() const { return data_; }
    uint64_t size() const { return size_; }
    bool is_pmem() const { return is_pmem_; }

  private:
    std::byte* data_ = nullptr;
    uint64_t size_ = 0;
    bool is_pmem_ = false;
};

// Is the file persistent memory to libpmem? Of a mapping that another of PMDK's libraries made,
// pmem_is_pmem says no.
bool is_pmem_file(const std::string& path);

// Makes every page of a shared, writable mapping present and writable; its bytes stay.
void prefault(void* begin, uint64_t bytes);

// A plain file of `bytes` zeros that were written and made durable: later writes change no
// metadata. Returns its descriptor, opened with `flags` beside O_RDWR.
Result<int> create_written_file(const std::string& path, uint64_t bytes, int flags);

std::string errno_text(const std::string& what);
Errc errc_of_errno();

}  // namespace cinnabar::bench
