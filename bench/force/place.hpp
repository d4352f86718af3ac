// Where the engines' files go: by free space, and a directory of the run's own that is removed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "force/force_bench.hpp"

namespace cinnabar::bench {

inline constexpr uint64_t kAreaBytesMin = uint64_t{1} << 20;

// The area that each engine should have.
struct AreaWish {
    uint64_t memory_bytes = uint64_t{256} << 20;  // where it lies in memory
    uint64_t disk_bytes = uint64_t{64} << 20;
    bool exactly = false;           // no less will do; otherwise kAreaBytesMin does
    uint64_t beside_bytes = 0;      // what the engines' files take in all, beside the areas
    std::string option = "--area";  // of the command line, to ask for less; empty: there is none
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

struct Room {
    uint64_t free_bytes = 0;    // and for tmpfs no more than the memory that is left here
    uint64_t usable_bytes = 0;  // by a run: the machine has other work
};
Result<Room> room_at(const std::string& directory);

// Chooses among `directories` the first in which `engines` engines have the area they like, else
// the one that allows the largest; and one in memory, however small the areas, rather than one on a
// disk. The place says in its remark where it is not what the wish was.
// Errors: disk_full, naming every directory with its room and the area for which there is room;
// not_found, permission if there is but one directory.
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
