// Where the engines' files go: by free space, and a directory of the run's own that is removed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "force/force_bench.hpp"

namespace cinnabar::bench {

inline constexpr uint64_t kAreaBytesMin = uint64_t{8} << 20;

// The area that each engine should have.
struct AreaWish {
    uint64_t memory_bytes = uint64_t{256} << 20;  // where it lies in memory
    uint64_t disk_bytes = uint64_t{64} << 20;
    bool exactly = false;  // no less will do; otherwise kAreaBytesMin does
};

// The name of the file system that holds a path ("tmpfs", "ext4"), "unknown" for one without a
// name here.
std::string file_system_of(const std::string& path);
bool is_memory(const std::string& file_system);

// Where a run's files may go if nobody says where: memory first, then temporary folders. Never the
// present folder, which is somebody's work.
std::vector<std::string> usual_directories();
// The same for files that must lie on a disk; none where there is only memory.
std::vector<std::string> usual_disk_directories();

// Room for a run's files: what is free, and for tmpfs no more than the memory that is left here.
Result<uint64_t> room_at(const std::string& directory);

// Chooses among `directories` the first in which `engines` engines have the area they like, else
// the one that allows the largest.
// Errors: disk_full, naming every directory with its room; not_found, permission if there is but
// one directory.
Result<MediumPlace> choose_place(const std::vector<std::string>& directories, unsigned engines,
                                 const AreaWish& wish);

// A new directory in `parent`, removed with what is left in it when this goes.
class ScratchDirectory {
  public:
    static Result<ScratchDirectory> make(const std::string& parent);
    ScratchDirectory(ScratchDirectory&& other) noexcept : path_(std::move(other.path_)) {
        other.path_.clear();
    }
    ScratchDirectory& operator=(ScratchDirectory&&) = delete;
    ~ScratchDirectory();
    const std::string& path() const { return path_; }

  private:
    explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

}  // namespace cinnabar::bench
