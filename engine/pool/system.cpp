#include "pool/system.hpp"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <system_error>

namespace cinnabar::pool {

namespace {

struct KnownFileSystem {
    uint64_t magic;
    const char* name;
    bool pseudo;
};

// Numbers that have no name in <linux/magic.h> stand as numbers.
constexpr KnownFileSystem kFileSystems[] = {
    {EXT4_SUPER_MAGIC, "ext4", false},
    {XFS_SUPER_MAGIC, "xfs", false},
    {BTRFS_SUPER_MAGIC, "btrfs", false},
    {TMPFS_MAGIC, "tmpfs", false},
    {RAMFS_MAGIC, "ramfs", false},
    {OVERLAYFS_SUPER_MAGIC, "overlayfs", false},
    {NFS_SUPER_MAGIC, "nfs", false},
    {F2FS_SUPER_MAGIC, "f2fs", false},
    {V9FS_MAGIC, "9p", false},
    {0x65735546, "fuse", false},
    {0x2FC12FC1, "zfs", false},
    {MSDOS_SUPER_MAGIC, "vfat", false},
    {HUGETLBFS_MAGIC, "hugetlbfs", false},
    {0xFF534D42, "cifs", false},
    {PROC_SUPER_MAGIC, "proc", true},
    {SYSFS_MAGIC, "sysfs", true},
    {CGROUP_SUPER_MAGIC, "cgroup", true},
    {CGROUP2_SUPER_MAGIC, "cgroup2", true},
    {DEBUGFS_MAGIC, "debugfs", true},
    {TRACEFS_MAGIC, "tracefs", true},
    {SECURITYFS_MAGIC, "securityfs", true},
    {DEVPTS_SUPER_MAGIC, "devpts", true},
    {BPF_FS_MAGIC, "bpf", true},
};

const char* advice(Errc code) {
    switch (code) {
        case Errc::not_found: return "; check the path";
        case Errc::permission: return "; use a place, or a user, that has the right";
        case Errc::disk_full: return "; free some space, or make the pool smaller";
        case Errc::cannot_map: return "; choose a file system that can be mapped into memory";
        default: return "";
    }
}

Errc code_of(int number) {
    switch (number) {
        case ENOENT:
        case ENOTDIR: return Errc::not_found;
        case EACCES:
        case EPERM:
        case EROFS: return Errc::permission;
        case ENOSPC:
        case EDQUOT:
        case EFBIG: return Errc::disk_full;
        case ENODEV: return Errc::cannot_map;
        case EEXIST: return Errc::already_exists;
        case ENAMETOOLONG:
        case ELOOP: return Errc::invalid_argument;
        default: return Errc::io;
    }
}

std::string command_of(long process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/comm");
    std::string name;
    std::getline(file, name);
    return name;
}

std::string process_sentence(long process) {
    const std::string number = std::to_string(process);
    if (process == ::getpid()) return "this process itself (" + number + ")";
    if (process <= 0) return "a process outside this container";
    const std::string command = command_of(process);
    if (command.empty()) return "a child of process " + number + ", which has ended";
    return "process " + number + " (" + command + ")";
}

}  // namespace

std::string quoted(const std::filesystem::path& path) {
    return "'" + path.string() + "'";
}

Error system_error(int number, const std::string& doing) {
    const Errc code = code_of(number);
    return Error{code,
                 "cannot " + doing + ": " + std::generic_category().message(number) + advice(code),
                 std::nullopt, std::nullopt};
}

FileSystem file_system_of(int descriptor) {
    struct statfs status = {};
    if (::fstatfs(descriptor, &status) != 0) return {};
    const auto magic = static_cast<uint64_t>(static_cast<uint32_t>(status.f_type));
    for (const KnownFileSystem& known : kFileSystems)
        if (known.magic == magic) return {known.name, known.pseudo};
    return {};
}

// A line of /proc/locks: "1: FLOCK  ADVISORY  WRITE 5791 00:1b:7 0 EOF". Where the device differs
// (some file systems tell files another device than the kernel's own), the inode decides alone.
std::string lock_holder(const FileIdentity& file) {
    std::ifstream locks("/proc/locks");
    std::string line;
    long by_inode = -1;
    while (std::getline(locks, line)) {
        std::istringstream words(line);
        std::string ordinal, kind, mode, access, place;
        long process = 0;
        if (!(words >> ordinal >> kind >> mode >> access >> process >> place)) continue;
        unsigned device_major = 0, device_minor = 0;
        unsigned long long inode = 0;
        if (kind != "FLOCK" ||
            std::sscanf(place.c_str(), "%x:%x:%llu", &device_major, &device_minor, &inode) != 3)
            continue;
        if (inode != file.inode) continue;
        by_inode = process;
        if (makedev(device_major, device_minor) == file.device) break;
    }
    return by_inode < 0 ? "a process that cannot be seen from here" : process_sentence(by_inode);
}

}  // namespace cinnabar::pool
