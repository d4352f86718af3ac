#include "pool/raw_pool.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include "format/codec.hpp"
#include "pool/pool.hpp"
#include "pool/probe.hpp"
#include "pool/superblock.hpp"

namespace cinnabar::pool {

namespace {

using format::Catalogue;
using format::kPageBytes;
using format::RegisterRole;
using format::Superblock;

constexpr std::chrono::milliseconds kLockPoll{10};
constexpr uint64_t kCopyBOffset = offsetof(Catalogue, superblock_b);

// A file of which `bytes` are there.
struct View {
    const std::byte* at;
    uint64_t bytes;

    std::optional<Superblock> superblock_at(uint64_t offset) const {
        Superblock found;
        if (offset > bytes || bytes - offset < sizeof found) return std::nullopt;
        const std::byte* from = at + offset;
        if (std::memcmp(from, format::kSuperblockMagic.data(), sizeof found.magic) != 0)
            return std::nullopt;
        std::memcpy(&found, from, sizeof found);
        if (!is_intact(found)) return std::nullopt;
        return found;
    }

    bool register_at(uint64_t offset, RegisterRole role, const format::PoolId& id) const {
        format::RegisterLine line;
        if (offset > bytes || bytes - offset < sizeof line) return false;
        std::memcpy(&line, at + offset, sizeof line);
        return format::read_register(id, format::register_key(role), line).has_value();
    }
};

struct Place {
    Superblock superblock;
    uint64_t catalogue_offset = 0;
    bool one_copy = false;
};

// Is what stands at `offset` copy A? The registers behind copy A tell it from copy B.
Place place_of(const View& file, uint64_t offset, const Superblock& found) {
    if (file.superblock_at(offset + kCopyBOffset)) return {found, offset, false};
    const bool copy_a = file.register_at(offset + offsetof(Catalogue, generation_ceiling),
                                         RegisterRole::generation_ceiling, found.pool_id) ||
                        file.register_at(offset + offsetof(Catalogue, last_stream),
                                         RegisterRole::last_stream, found.pool_id);
    return {found, copy_a || offset < kCopyBOffset ? offset : offset - kCopyBOffset, true};
}

// The catalogue lies before all extents; a superblock in a record's payload does not.
std::optional<Place> find_catalogue(const View& file) {
    for (uint64_t offset = 0; offset < file.bytes; offset += kPageBytes) {
        const auto found = file.superblock_at(offset);
        if (!found) continue;
        const Place place = place_of(file, offset, *found);
        if (end_of_segments(*found, place.catalogue_offset + sizeof(Catalogue))) return place;
    }
    return std::nullopt;
}

// Why no superblock was found. What opening the file says of it is more exact, but for the advice.
Error explain(const std::filesystem::path& path) {
    auto probed = probe(path);
    if (!probed && probed.error().code != Errc::corrupt && probed.error().code != Errc::truncated)
        return std::move(probed.error());
    Error error{Errc::corrupt,
                quoted(path) +
                    " has no superblock that verifies, and without one nothing else can "
                    "be found in it; restore it from a copy",
                std::nullopt, std::nullopt};
    if (!probed) error.range = probed.error().range;
    return error;
}

}  // namespace

RawPool::Mapping::~Mapping() {
    if (at_ != nullptr) ::munmap(at_, length_);
}

Result<void> RawPool::lock(const std::string& name, std::chrono::milliseconds timeout) const {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail(system_error(errno, "lock " + name));
        if (std::chrono::steady_clock::now() >= deadline) {
            struct stat status = {};
            ::fstat(file_.get(), &status);
            return fail(Errc::locked, name + " is open in " +
                                          lock_holder({status.st_dev, status.st_ino}) +
                                          "; wait until it is closed there");
        }
        std::this_thread::sleep_for(kLockPoll);
    }
    return {};
}

// Maps the file over zeros, so that every segment can be read where the file is shorter.
Result<void> RawPool::map(const std::string& name, uint64_t present_bytes, uint64_t wanted_bytes) {
    const uint64_t length = std::max(present_bytes, wanted_bytes);
    void* at =
        ::mmap(nullptr, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return fail(system_error(errno, "map " + name));
    mapping_ = Mapping(at, length);
    if (::mmap(at, present_bytes, PROT_READ, MAP_SHARED | MAP_FIXED, file_.get(), 0) == MAP_FAILED)
        return fail(system_error(errno, "map " + name));
    unreadable_bytes_ = 0;
    for (const Bytes& lost : find_unreadable(mapping_.at(), present_bytes)) {
        auto* page = const_cast<std::byte*>(lost.data());
        if (::mmap(page, lost.size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
            MAP_FAILED)
            return fail(system_error(errno, "map " + name));
        unreadable_bytes_ += lost.size();
    }
    return {};
}

// False where no superblock is found.
Result<bool> RawPool::lay_out(const std::string& name, uint64_t present_bytes) {
    if (auto done = map(name, present_bytes, 0); !done) return fail(std::move(done.error()));
    const auto place = find_catalogue({mapping_.at(), present_bytes});
    if (!place) return false;
    if (auto known = check_versions(place->superblock, name); !known)
        return fail(std::move(known.error()));
    const uint64_t end =
        *end_of_segments(place->superblock, place->catalogue_offset + sizeof(Catalogue));
    file_bytes_ = std::max(present_bytes, end);
    if (auto done = map(name, present_bytes, file_bytes_); !done)
        return fail(std::move(done.error()));
    space_ = space_of(place->superblock, mapping_.at(), place->catalogue_offset);
    if (place->one_copy)
        notes_.emplace_back(
            "one of the two copies of the superblock does not verify; the other one "
            "was used");
    if (unreadable_bytes_ != 0)
        notes_.push_back(std::to_string(unreadable_bytes_) +
                         " bytes of the file cannot be read; they were taken for zeros");
    if (end > present_bytes)
        notes_.push_back("the file has " + std::to_string(present_bytes) +
                         " bytes, and its segments ended at " + std::to_string(end) +
                         ": what stood behind is lost");
    return true;
}

Result<RawPool> RawPool::open(const std::filesystem::path& path,
                              std::chrono::milliseconds lock_timeout) {
    const std::string name = quoted(path);
    struct stat status = {};
    if (::stat(path.c_str(), &status) != 0) return fail(system_error(errno, "open " + name));
    if (!S_ISREG(status.st_mode) || status.st_size == 0) return fail(explain(path));
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return fail(system_error(errno, "open " + name));
    const OpeningFile opening(path);
    RawPool pool(std::move(file));
    if (auto done = pool.lock(name, lock_timeout); !done) return fail(std::move(done.error()));
    if (::fstat(pool.file_.get(), &status) != 0)
        return fail(system_error(errno, "examine " + name));
    auto found = pool.lay_out(name, static_cast<uint64_t>(status.st_size));
    if (!found) return fail(std::move(found.error()));
    if (!*found) return fail(explain(path));
    pool.known_ = std::make_unique<KnownMapping>();
    pool.known_->know(path, pool.mapping_.at(), pool.file_bytes_);
    return pool;
}

}  // namespace cinnabar::pool
