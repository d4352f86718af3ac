#include "pool/raw_pool.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "pool/find_catalogue.hpp"
#include "pool/pool.hpp"
#include "pool/probe.hpp"
#include "pool/superblock.hpp"

namespace cinnabar::pool {

namespace {

constexpr std::chrono::milliseconds kLockPoll{10};

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
    const auto deadline = deadline_after(timeout);
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
    const auto found = find_catalogue({mapping_.at(), present_bytes});
    if (!found) return false;
    if (auto known = check_versions(found->superblock, name); !known)
        return fail(std::move(known.error()));
    const uint64_t end =
        *end_of_segments(found->superblock, found->offset + sizeof(format::Catalogue));
    file_bytes_ = std::max(present_bytes, end);
    if (auto done = map(name, present_bytes, file_bytes_); !done)
        return fail(std::move(done.error()));
    space_ = space_of(found->superblock, mapping_.at(), found->offset);
    if (found->one_copy)
        notes_.emplace_back(
            "one of the two copies of the superblock does not verify; the other one "
            "was used");
    if (unreadable_bytes_ != 0)
        notes_.push_back(std::to_string(unreadable_bytes_) +
                         " bytes of the file cannot be read; they were taken for zeros");
    bytes_missing_ = file_bytes_ - present_bytes;
    if (bytes_missing_ != 0)
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
    const FileAtHand at_hand(path);
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
