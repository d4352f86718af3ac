// Where the engines' files go.
#include "force/place.hpp"

#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "rivals/mapping.hpp"

namespace cinnabar::bench {

namespace {

// Bytes behind a key of /proc/meminfo; UINT64_MAX where it cannot be read.
uint64_t meminfo_bytes(const std::string& key) {
    std::ifstream file("/proc/meminfo");
    std::string name, unit;
    uint64_t kib = 0;
    while (file >> name >> kib && std::getline(file, unit)) {
        if (name == key + ":") return kib * 1024;
    }
    return UINT64_MAX;
}

// What the control group of this process may still take, page cache that it could give back not
// counted; UINT64_MAX without a limit.
uint64_t group_room_bytes() {
    uint64_t limit = 0, used = 0;
    std::ifstream limit_file("/sys/fs/cgroup/memory.max");
    std::ifstream used_file("/sys/fs/cgroup/memory.current");
    if (!(limit_file >> limit) || !(used_file >> used)) return UINT64_MAX;
    return limit > used ? limit - used : 0;
}

std::string mib(uint64_t bytes) {
    return std::to_string(bytes >> 20) + " MiB";
}

}  // namespace

std::string file_system_of(const std::string& path) {
    struct statfs s;
    if (::statfs(path.c_str(), &s) != 0) return "unknown";
    switch (static_cast<uint32_t>(s.f_type)) {
        case 0x01021994: return "tmpfs";
        case 0x858458f6: return "ramfs";
        case 0x958458f6: return "hugetlbfs";
        case 0x0000ef53: return "ext4";
        case 0x58465342: return "xfs";
        case 0x9123683e: return "btrfs";
        case 0x794c7630: return "overlay";
        case 0x2fc12fc1: return "zfs";
        case 0xf2f52010: return "f2fs";
        case 0x6a656a63: return "fakeowner";
        case 0x01021997: return "9p";
        case 0x65735546: return "fuse";
        case 0x00006969: return "nfs";
        default: return "unknown";
    }
}

bool is_memory(const std::string& file_system) {
    return file_system == "tmpfs" || file_system == "ramfs" || file_system == "hugetlbfs";
}

std::vector<std::string> usual_directories() {
    std::vector<std::string> directories = {"/dev/shm"};
    if (const char* variable = std::getenv("TMPDIR"); variable != nullptr && *variable != '\0') {
        directories.emplace_back(variable);
    }
    directories.insert(directories.end(), {"/var/tmp", "/tmp"});
    return directories;
}

std::vector<std::string> usual_disk_directories() {
    std::vector<std::string> directories = usual_directories();
    std::erase_if(directories, [](const std::string& directory) {
        return is_memory(file_system_of(directory));
    });
    return directories;
}

Result<Room> room_at(const std::string& directory) {
    std::error_code error;
    if (!std::filesystem::is_directory(directory, error)) {
        return fail(Errc::not_found, directory + " is not a directory");
    }
    if (::access(directory.c_str(), W_OK | X_OK) != 0) {
        return fail(errc_of_errno(), errno_text(directory));
    }
    struct statvfs s;
    if (::statvfs(directory.c_str(), &s) != 0) {
        return fail(errc_of_errno(), errno_text(directory));
    }
    // A third stays free of what others live on too. Of a file system in memory that is small a
    // sixteenth does, for segments that grow with the area.
    const uint64_t room = uint64_t{s.f_bavail} * s.f_frsize;
    if (!is_memory(file_system_of(directory))) return Room{room, room / 3 * 2};
    const uint64_t memory = std::min(meminfo_bytes("MemAvailable"), group_room_bytes());
    return Room{std::min(room, memory), std::min(room / 16 * 15, memory / 3 * 2)};
}

namespace {

// A directory as a candidate, and what it allows.
struct Candidate {
    MediumPlace place;
    uint64_t liked_bytes = 0;
    uint64_t fitting_bytes = 0;  // whole MiB

    bool in_memory() const { return is_memory(place.file_system); }
    bool as_liked() const { return fitting_bytes >= liked_bytes; }
};

Candidate candidate(const std::string& directory, const Room& room, unsigned engines,
                    const AreaWish& wish) {
    Candidate c;
    c.place = {directory, file_system_of(directory), room.free_bytes, 0, ""};
    c.liked_bytes = c.in_memory() ? wish.memory_bytes : wish.disk_bytes;
    const uint64_t usable = room.usable_bytes - std::min(room.usable_bytes, wish.beside_bytes);
    c.fitting_bytes = usable / engines >> 20 << 20;
    c.place.area_bytes = std::min(c.liked_bytes, c.fitting_bytes);
    return c;
}

// Is `a` to be taken rather than `b`, which was named before it?
bool better(const Candidate& a, const Candidate& b) {
    if (a.in_memory() != b.in_memory()) return a.in_memory();
    if (a.as_liked() || b.as_liked()) return !b.as_liked();
    return a.fitting_bytes > b.fitting_bytes;
}

// "/dev/shm has 64 MiB, enough for --area 2M"
std::string text_of(const Candidate& c, const AreaWish& wish) {
    std::string has = c.place.directory + " has " + mib(c.place.free_bytes);
    if (wish.option.empty()) return has;
    if (c.fitting_bytes < kAreaBytesMin) return has + ", enough for no area at all";
    return has + ", enough for " + wish.option + " " + std::to_string(c.fitting_bytes >> 20) + "M";
}

std::string remark_on(const Candidate& chosen, const std::vector<Candidate>& all,
                      const AreaWish& wish) {
    std::string remark;
    if (!chosen.as_liked()) {
        remark = "areas of " + mib(chosen.place.area_bytes) + " in place of " +
                 mib(chosen.liked_bytes) + ": " + chosen.place.directory + " has " +
                 mib(chosen.place.free_bytes);
    }
    for (const Candidate& c : all) {
        if (chosen.in_memory() || !c.in_memory()) continue;
        remark += (remark.empty() ? "" : "; ") + std::string("on a disk: ") + text_of(c, wish);
    }
    return remark;
}

}  // namespace

Result<MediumPlace> choose_place(const std::vector<std::string>& directories, unsigned engines,
                                 const AreaWish& wish) {
    std::vector<Candidate> all;
    const Candidate* best = nullptr;
    std::string considered;
    for (const std::string& directory : directories) {
        const auto room = room_at(directory);
        if (room) all.push_back(candidate(directory, *room, engines, wish));
        if (!room && directories.size() == 1) return fail(room.error());
    }
    for (const Candidate& c : all) {
        considered += (considered.empty() ? "" : "; ") + text_of(c, wish);
        if (wish.exactly ? !c.as_liked() : c.fitting_bytes < kAreaBytesMin) continue;
        if (best == nullptr || better(c, *best)) best = &c;
    }
    if (best != nullptr) {
        MediumPlace place = best->place;
        place.remark = remark_on(*best, all, wish);
        return place;
    }
    const uint64_t area = wish.exactly ? wish.memory_bytes : kAreaBytesMin;
    const std::string files =
        engines == 1 ? "a file" : "the files of " + std::to_string(engines) + " engines, areas";
    return fail(Errc::disk_full, "no room for " + files + " of " + mib(area) + ": " + considered);
}

Result<ScratchDirectory> ScratchDirectory::make(const std::string& parent) {
    std::string name = parent + "/cinnabar-bench-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) return fail(errc_of_errno(), errno_text(parent));
    return ScratchDirectory(std::move(name));
}

ScratchDirectory::~ScratchDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace cinnabar::bench
