// The pool file: creating it, opening it, and its tables of streams and services. The file is a
// libpmemobj pool whose root holds one catalogue and few large extents (format/layout.hpp); this
// room is the only one that knows so. Everything here is cold: nothing is called per record.
//
// A Pool may be used by several threads; its table calls take a lock of their own. A pool file is
// open in one process at a time, read-only opens included. In a child after fork, a Pool may only
// be destroyed, which unmaps it and writes nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cinnabar/medium.hpp"
#include "cinnabar/result.hpp"
#include "cinnabar/types.hpp"
#include "format/layout.hpp"
#include "pool/space.hpp"

namespace cinnabar::pool {

inline constexpr uint32_t kSegmentsMin = 4;

struct CreateOptions {
    uint64_t pool_bytes = 0;               // of the whole file; rounded down to a page
    uint64_t segment_bytes = 0;            // a power of two
    uint32_t segments_min = kSegmentsMin;  // fewer are an error
};

// Puts content into a pool that has no name yet, by ordinary stores to its catalogue and to its
// segments. What it stored is durable before the pool has its name; on an error there is no pool.
using Fill = std::function<Result<void>(const Space& space)>;

struct OpenOptions {
    bool read_only = false;  // changes stay in this process; the file is never written
    Emulate emulate = Emulate::no;
    ModelledLatency modelled = {};
    std::chrono::milliseconds lock_timeout{0};  // how long to wait for another process
};

struct StreamInfo {
    uint32_t stream = 0;
    std::string name;
    bool shared = false;
    bool reserve = false;
};

struct ServiceInfo {
    ServiceId service;
    uint32_t stream = 0;
    std::string name;
};

// The smallest and the greatest pool_bytes that create() takes.
uint64_t pool_bytes_min(uint64_t segment_bytes, uint32_t segments = kSegmentsMin);
inline constexpr uint64_t kPoolBytesMax = uint64_t{255} << 30;

class Pool {
  public:
    // Makes a pool file of mode 0600, whole and on the medium at return. It is made under another
    // name in the same directory ("cinnabar-creating.PID.RANDOM") and then renamed: `path` names a
    // whole pool or nothing, and an existing file is never replaced. After a failure nothing is
    // left; a process killed meanwhile leaves the file of the other name.
    // `fill` may be empty: then the pool has no streams.
    // invalid_argument, already_exists, not_found, permission, disk_full, cannot_map, io; what
    // `fill` returns.
    static Result<void> create(const std::filesystem::path& path, const CreateOptions& options,
                               const Fill& fill = {});

    // not_found, permission, not_a_pool, wrong_layout, truncated, unsupported_version, corrupt
    // (with the range), cannot_map, locked (naming the holder), io, invalid_argument (for writing,
    // not emulated, where PMEM_IS_PMEM_FORCE keeps libpmemobj from writing pages back). A file
    // whose head is not that of a pool is corrupt if a superblock verifies in it. A writable open
    // verifies every row and register and replaces a damaged copy of the superblock; a read-only
    // one takes both as they are, so that what can be read of a damaged pool can be saved.
    static Result<Pool> open(const std::filesystem::path& path, const OpenOptions& options);

    Pool(Pool&&) noexcept;
    Pool& operator=(Pool&&) noexcept;
    ~Pool();  // as close()

    // These hold until the pool is closed; nothing but close() may be called afterwards.
    const Space& space() const;
    const MediumInfo& medium() const;
    const format::PoolId& id() const;
    const format::Superblock& superblock() const;
    uint64_t file_bytes() const;

    // What open found and survived, a sentence each.
    const std::vector<std::string>& notes() const;

    // The pool remembers what its medium is now, for whoever opens it later. Not done by open: a
    // pool whose log turns out to be damaged is left as it was. read_only, io.
    Result<void> keep_medium();

    // Table changes are durable at return, and whole or not at all after a crash. Each may return
    // read_only, and io where the change could not be made.
    //
    // Gives the stream a number that no stream of this pool ever had, also after a crash.
    // invalid_argument (name), already_exists, full.
    Result<uint32_t> add_stream(std::string_view name, bool shared, bool reserve = false);

    // not_found; pinned, naming its services, while it has any.
    Result<void> remove_stream(uint32_t stream);

    // A service of `stream` whose low-water mark is `mark` at once. Numbers of removed services
    // are used again. invalid_argument (name), not_found, already_exists, full.
    Result<ServiceId> add_service(uint32_t stream, std::string_view name, uint64_t mark);

    // not_found.
    Result<void> remove_service(ServiceId service);

    std::vector<StreamInfo> streams() const;
    std::vector<ServiceInfo> services() const;

    // Unmaps the pool and lets others open it. A second call does nothing.
    Result<void> close();

  private:
    struct Impl;
    explicit Pool(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

// Makes every page of the range present and writable, so that no later store waits for one.
// Changes no byte, whatever other threads store there meanwhile.
void prefault(std::byte* begin, size_t length);

// The pages of a mapped range, whole pages and in order, that cannot be read: reading one would
// end in SIGBUS. None where the kernel cannot say (before Linux 5.14). Makes the others present.
std::vector<Bytes> find_unreadable(const std::byte* begin, uint64_t length);

}  // namespace cinnabar::pool
