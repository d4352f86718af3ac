// Which file is mapped where, for the handler of bus errors (cinnabar/bus_error.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace cinnabar::pool {

// While it lives, a bus error of this thread that lies in no known mapping is this file's:
// libpmemobj maps a file and reads it before anybody learns where, and unmaps it when nobody may
// know it any more.
class FileAtHand {
  public:
    explicit FileAtHand(const std::filesystem::path& path);
    FileAtHand(const FileAtHand&) = delete;
    FileAtHand& operator=(const FileAtHand&) = delete;
    ~FileAtHand();

  private:
    const std::string name_;
};

// A mapping that the handler knows while this lives; none where all places are taken.
class KnownMapping {
  public:
    KnownMapping() = default;
    KnownMapping(const KnownMapping&) = delete;
    KnownMapping& operator=(const KnownMapping&) = delete;
    ~KnownMapping() { forget(); }

    void know(const std::filesystem::path& path, const void* base, uint64_t length);
    void forget();

  private:
    struct Place;
    friend struct BusErrorHandler;
    static Place places[];

    Place* place_ = nullptr;
};

}  // namespace cinnabar::pool
