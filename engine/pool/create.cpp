// Pool::create: a whole pool file under a name of its own, then renamed.
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "format/codec.hpp"
#include "pool/find_catalogue.hpp"
#include "pool/pool.hpp"
#include "pool/root.hpp"
#include "pool/superblock.hpp"
#include "pool/system.hpp"

namespace cinnabar::pool {

namespace {

using format::Catalogue;
using format::kExtentsMax;
using format::kPageBytes;

constexpr mode_t kMode = 0600;
constexpr uint64_t kHugePageBytes = uint64_t{2} << 20;

// What libpmemobj 1.12 does with a file: it allocates whole chunks, at most one zone of them at a
// time, and its own data, our root and the catalogue come before the first free chunk.
constexpr uint64_t kChunkBytes = 256 << 10;
constexpr uint64_t kChunksPerZone = 65528;
constexpr uint64_t kChunkHeaderBytes = 16;
constexpr uint64_t kFirstFreeBytes = 0x502410;
static_assert(kFirstFreeBytes <= kCatalogueEndMax);

enum TypeNumber : uint64_t { kCatalogueType = 1, kExtentType = 2 };

constexpr uint64_t round_up(uint64_t value, uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

// Where extents start, in the file: segments lie on huge pages if they are as large.
constexpr uint64_t extent_alignment(uint64_t segment_bytes) {
    return std::clamp<uint64_t>(segment_bytes, kPageBytes, kHugePageBytes);
}

// The temporary file; removed unless it was renamed.
class TemporaryFile {
  public:
    explicit TemporaryFile(std::filesystem::path path) : path_(std::move(path)) {}
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() {
        if (!path_.empty()) ::unlink(path_.c_str());
    }

    const std::filesystem::path& path() const { return path_; }
    void release() { path_.clear(); }

  private:
    std::filesystem::path path_;
};

// Closes the pool on every way out.
class OpenPool {
  public:
    OpenPool(const std::filesystem::path& path, uint64_t pool_bytes)
        : pool_(pmem::obj::pool<Root>::create(path.string(), kLayoutName, pool_bytes, kMode)) {}
    OpenPool(const OpenPool&) = delete;
    OpenPool& operator=(const OpenPool&) = delete;
    ~OpenPool() {
        try {
            pool_.close();
        } catch (const std::exception&) {
            // It is closed already: there is nothing left to undo.
        }
    }

    pmem::obj::pool<Root>& operator*() { return pool_; }
    pmem::obj::pool<Root>* operator->() { return &pool_; }

  private:
    pmem::obj::pool<Root> pool_;
};

Result<void> random_bytes(void* to, size_t length) {
    if (::getrandom(to, length, 0) != static_cast<ssize_t>(length))
        return fail(system_error(errno, "draw random bytes"));
    return {};
}

Result<void> check_options(const CreateOptions& options) {
    const uint64_t segment_bytes = options.segment_bytes;
    if (!std::has_single_bit(segment_bytes) || segment_bytes < format::kSegmentBytesMin ||
        segment_bytes > format::kSegmentBytesMax)
        return fail(Errc::invalid_argument, "a segment of " + size_text(segment_bytes) +
                                                " is not possible; choose a power of two from " +
                                                size_text(format::kSegmentBytesMin) + " to " +
                                                size_text(format::kSegmentBytesMax));
    const uint64_t bytes_min = pool_bytes_min(segment_bytes, options.segments_min);
    if (options.pool_bytes < bytes_min)
        return fail(Errc::invalid_argument,
                    "a pool of " + size_text(options.pool_bytes) + " is too small; with " +
                        std::to_string(options.segments_min) + " segments of " +
                        size_text(segment_bytes) + " it needs " + size_text(bytes_min));
    if (options.pool_bytes > kPoolBytesMax)
        return fail(Errc::invalid_argument, "a pool of " + size_text(options.pool_bytes) +
                                                " is too large; it may have " +
                                                size_text(kPoolBytesMax));
    return {};
}

// The directory, open, if a pool can be made there under the name.
Result<Descriptor> check_place(const std::filesystem::path& path) {
    struct stat status = {};
    if (::lstat(path.c_str(), &status) == 0)
        return fail(Errc::already_exists,
                    quoted(path) + " exists already; remove it or choose another name");
    if (errno != ENOENT) return fail(system_error(errno, "create " + quoted(path)));
    if (path.filename().empty() || path.filename() == "." || path.filename() == "..")
        return fail(Errc::invalid_argument, quoted(path) + " names no file");
    const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
    Descriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid())
        return fail(
            system_error(errno, "create " + quoted(path) + ": its directory does not open"));
    const FileSystem file_system = file_system_of(directory.get());
    if (file_system.pseudo)
        return fail(Errc::cannot_map, quoted(path) + " would lie on " + file_system.name +
                                          ", which holds no files that can be mapped; choose a "
                                          "file system on a disk, on persistent memory, or tmpfs");
    return directory;
}

Result<std::filesystem::path> temporary_name(const std::filesystem::path& path) {
    uint64_t random = 0;
    if (auto done = random_bytes(&random, sizeof(random)); !done) return fail(done.error());
    char name[64];
    std::snprintf(name, sizeof(name), "cinnabar-creating.%d.%016" PRIx64, ::getpid(), random);
    return path.parent_path() / name;
}

[[noreturn]] void throw_allocation_error() {
    throw std::runtime_error(std::string("allocation in the new pool: ") + pmemobj_errormsg());
}

// Allocates all of the greatest free block into `id`; false if none holds a segment. Greater sizes
// than there are get tried first and nothing is given back: libpmemobj keeps its notes on a free
// block inside the block, so splitting one would leave them where segments must be zero.
bool allocate_largest(PMEMobjpool* handle, PMEMoid* id, const CreateOptions& options) {
    uint64_t chunks = std::min(options.pool_bytes / kChunkBytes, kChunksPerZone);
    for (; chunks * kChunkBytes >= options.segment_bytes && chunks != 0; --chunks) {
        const uint64_t bytes = chunks * kChunkBytes - kChunkHeaderBytes;
        if (pmemobj_alloc(handle, id, bytes, kExtentType, nullptr, nullptr) == 0) return true;
    }
    return false;
}

// Allocates extents until the pool is full, and returns where segments lie.
std::array<format::Extent, kExtentsMax> allocate_extents(pmem::obj::pool<Root>& pool, Root& root,
                                                         const CreateOptions& options) {
    std::array<format::Extent, kExtentsMax> extents = {};
    const uint64_t alignment = extent_alignment(options.segment_bytes);
    for (size_t i = 0; i < kExtentsMax; ++i) {
        PMEMoid* id = root.extents[i].raw_ptr();
        if (!allocate_largest(pool.handle(), id, options)) break;
        const uint64_t begin = round_up(id->off, alignment);
        const uint64_t end = id->off + pmemobj_alloc_usable_size(*id);
        const uint64_t segments = begin < end ? (end - begin) / options.segment_bytes : 0;
        if (segments == 0) {
            pmemobj_free(id);
            break;
        }
        extents[i] = {begin, static_cast<uint32_t>(segments), 0};
    }
    return extents;
}

// Returns where it lies in the file.
uint64_t write_catalogue(pmem::obj::pool<Root>& pool, Root& root, const format::Superblock& block) {
    auto fresh = std::make_unique<Catalogue>();
    const auto slot = [&](format::RegisterRole role) {
        return format::register_slot(block.pool_id, format::register_key(role), 0);
    };
    fresh->superblock_a = fresh->superblock_b = block;
    fresh->generation_ceiling.slot[0] = slot(format::RegisterRole::generation_ceiling);
    fresh->last_stream.slot[0] = slot(format::RegisterRole::last_stream);
    const uint64_t offset = round_up(root.catalogue.raw().off, kPageBytes);
    auto* to = reinterpret_cast<std::byte*>(pool.handle()) + offset;
    pool.memcpy_persist(to, fresh.get(), sizeof(Catalogue));
    return offset;
}

Result<void> make(const std::filesystem::path& path, const CreateOptions& options,
                  const Fill& fill) {
    format::Superblock block;
    if (auto done = random_bytes(block.pool_id.data(), block.pool_id.size()); !done) return done;

    OpenPool pool(path, options.pool_bytes / kPageBytes * kPageBytes);
    Root& root = *pool->root().get();
    if (pmemobj_alloc(pool->handle(), root.catalogue.raw_ptr(), sizeof(Catalogue) + kPageBytes,
                      kCatalogueType, nullptr, nullptr) != 0)
        throw_allocation_error();
    block.segment_bytes = options.segment_bytes;
    block.stream_rows = format::kStreamRows;
    block.service_rows = format::kServiceRows;
    block.extents = allocate_extents(*pool, root, options);
    uint64_t segments = 0;
    for (const format::Extent& extent : block.extents) {
        block.extent_count += extent.segment_count != 0 ? 1 : 0;
        segments += extent.segment_count;
    }
    if (segments < options.segments_min)
        return fail(Errc::invalid_argument, "a pool of " + size_text(options.pool_bytes) +
                                                " holds only " + std::to_string(segments) +
                                                " segments of " + size_text(options.segment_bytes) +
                                                ", and " + std::to_string(options.segments_min) +
                                                " are needed; make it larger");
    block.sum = format::superblock_sum(block);
    const uint64_t catalogue_offset = write_catalogue(*pool, root, block);
    if (!fill) return {};
    auto* base = reinterpret_cast<std::byte*>(pool->handle());
    return fill(space_of(block, base, catalogue_offset));  // made durable as a file, at the end
}

// libpmemobj's exceptions as errors. errno is what its failing call left.
Result<void> make_or_explain(const std::filesystem::path& temporary,
                             const std::filesystem::path& path, const CreateOptions& options,
                             const Fill& fill) {
    const std::string doing = "create " + quoted(path);
    try {
        errno = 0;
        return make(temporary, options, fill);
    } catch (const pmem::pool_error& error) {
        const int number = errno;
        if (number == ENOSPC || number == EDQUOT || number == EFBIG || number == EACCES ||
            number == EPERM || number == EROFS || number == ENODEV || number == ENOENT)
            return fail(system_error(number, doing + " with " + size_text(options.pool_bytes)));
        return fail(Errc::io, "cannot " + doing + ": " + error.what());
    } catch (const std::exception& error) {
        return fail(Errc::io, "cannot " + doing + ": " + error.what());
    }
}

Result<void> sync_file(const std::filesystem::path& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid() || ::fsync(file.get()) != 0)
        return fail(system_error(errno, "write the new pool to its medium"));
    return {};
}

// Gives the file its final name, which must be free.
int rename_to_free_name(const std::filesystem::path& from, const std::filesystem::path& to) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    if (::link(from.c_str(), to.c_str()) != 0) return errno;  // fails if the name is taken
    ::unlink(from.c_str());
    return 0;
}

Result<void> publish(TemporaryFile& file, const std::filesystem::path& path,
                     const Descriptor& directory) {
    if (const int number = rename_to_free_name(file.path(), path); number == EEXIST)
        return fail(Errc::already_exists,
                    quoted(path) + " was made by someone else meanwhile; it is theirs");
    else if (number != 0)
        return fail(system_error(number, "give the new pool its name " + quoted(path)));
    file.release();
    if (::fsync(directory.get()) != 0 && errno != EINVAL) {
        const int number = errno;
        ::unlink(path.c_str());
        return fail(system_error(number, "write the directory of " + quoted(path)));
    }
    return {};
}

}  // namespace

uint64_t pool_bytes_min(uint64_t segment_bytes, uint32_t segments) {
    const uint64_t end =
        round_up(kFirstFreeBytes, extent_alignment(segment_bytes)) + segments * segment_bytes;
    return std::max<uint64_t>(PMEMOBJ_MIN_POOL, round_up(end + kChunkBytes, kChunkBytes));
}

Result<void> Pool::create(const std::filesystem::path& path, const CreateOptions& options,
                          const Fill& fill) {
    if (auto done = check_options(options); !done) return done;
    auto directory = check_place(path);
    if (!directory) return fail(directory.error());
    auto name = temporary_name(path);
    if (!name) return fail(name.error());

    TemporaryFile file(*name);
    if (auto done = make_or_explain(file.path(), path, options, fill); !done) return done;
    if (auto done = sync_file(file.path()); !done) return done;
    return publish(file, path, *directory);
}

}  // namespace cinnabar::pool
