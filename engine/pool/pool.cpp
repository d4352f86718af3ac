#include "pool/pool.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <libpmemobj/ctl.h>
#include <cerrno>
#include <cstring>
#include <libpmemobj++/transaction.hpp>
#include <mutex>
#include <thread>

#include "base/check.hpp"
#include "base/crc32c.hpp"
#include "base/fork_guard.hpp"
#include "format/codec.hpp"
#include "medium/domain.hpp"
#include "pool/bus_error.hpp"
#include "pool/probe.hpp"
#include "pool/root.hpp"
#include "pool/superblock.hpp"
#include "pool/system.hpp"
#include "pool/tables.hpp"

namespace cinnabar::pool {

namespace {

using format::Catalogue;
using format::RegisterRole;
using format::ServiceRow;
using format::StreamRow;

constexpr std::chrono::milliseconds kLockPoll{10};
constexpr char kCopyOnWrite[] = "copy_on_write.at_open";

// Opens of this process, one at a time: what decides between sharing and copying is a switch of
// the whole process, set for the length of the call and put back.
pmem::obj::pool<Root> open_pmemobj(const std::filesystem::path& path, bool read_only) {
    static std::mutex switch_mutex;
    const std::lock_guard lock(switch_mutex);
    int before = 0;
    int wanted = read_only ? 1 : 0;
    const bool known = pmemobj_ctl_get(nullptr, kCopyOnWrite, &before) == 0;
    if (!known || (wanted != before && pmemobj_ctl_set(nullptr, kCopyOnWrite, &wanted) != 0))
        throw pmem::pool_error("libpmemobj has no switch ").with_pmemobj_errormsg();
    struct PutBack {
        int value;
        ~PutBack() {
            const int number = errno;
            pmemobj_ctl_set(nullptr, kCopyOnWrite, &value);
            errno = number;
        }
    } put_back{before};
    errno = 0;
    return pmem::obj::pool<Root>::open(path.string(), kLayoutName);
}

// Why libpmemobj refused a file that the probe let pass.
Error explain(int number, const std::string& what, const std::filesystem::path& path,
              bool read_only) {
    const auto error = [](Errc code, std::string sentence) {
        return Error{code, std::move(sentence), std::nullopt, std::nullopt};
    };
    const std::string name = quoted(path);
    if (number == EAGAIN) return error(Errc::locked, name + " is open elsewhere");
    if ((number == EACCES || number == EPERM || number == EROFS) && read_only)
        return error(
            Errc::permission,
            "cannot open " + name +
                " read-only: libpmemobj opens every pool file for writing, even to read it, and "
                "this one may not be written to here; copy the file to a place where you "
                "may write, and read the copy");
    if (number == EINVAL || number <= 0)  // it leaves -1 where its heap's header does not verify
        return error(Errc::corrupt, name + " is damaged where libpmemobj keeps its own data (" +
                                        what +
                                        "); restore it from a copy, or salvage what can be "
                                        "read");
    return system_error(number, "open " + name);
}

Result<pmem::obj::pool<Root>> try_open(const std::filesystem::path& path, bool read_only) {
    const FileAtHand at_hand(path);
    try {
        return open_pmemobj(path, read_only);
    } catch (const pmem::pool_error& error) {
        const int number = errno;
        return fail(explain(number, error.what(), path, read_only));
    } catch (const std::exception& error) {
        return fail(Errc::io, "cannot open " + quoted(path) + ": " + error.what());
    }
}

}  // namespace

struct Pool::Impl {
    pmem::obj::pool<Root> pool;
    const uint32_t life = begin_life();
    const pid_t owner = ::getpid();
    std::filesystem::path path;
    std::string name;  // quoted
    bool read_only = false;
    uint64_t file_bytes = 0;
    Space space;
    MediumInfo medium;
    format::Superblock superblock;
    std::vector<std::string> notes;
    mutable std::mutex tables;
    KnownMapping mapping;

    ~Impl();
    bool is_owner() const;
    Result<void> close();
    void lay_out(const Probed& probed);
    void find_medium(const Probed& probed, const OpenOptions& options);
    Result<void> keep_medium();
    Result<void> try_reads();
    void replace_damaged_copy(const Probed& probed);
    Result<void> writable() const;
    Catalogue& catalogue() const { return *space.catalogue; }

    template <class Row>
    Result<void> change(Row& row, Row value);
    Result<void> keep_mark_of_last(const ServiceRow& last);
    void store_slot(format::RegisterSlot& slot, const format::RegisterSlot& value);
    void raise(RegisterRole role, uint32_t row, format::RegisterLine& line, uint64_t value);
};

Pool::Impl::~Impl() {
    if (pool.handle() != nullptr) (void)close();
}

// The process number tells where the word cannot: after a bare clone without wipe-on-fork.
bool Pool::Impl::is_owner() const {
    return alive_word().load(std::memory_order_relaxed) == life && owner == ::getpid();
}

// In a child after fork the pool belongs to the parent: libpmemobj would write to it.
Result<void> Pool::Impl::close() {
    if (pool.handle() == nullptr) return {};
    // Before it is unmapped: what is mapped at this place afterwards is somebody else's.
    mapping.forget();
    if (!is_owner()) {
        ::munmap(space.base, file_bytes);
        pool = {};
        return {};
    }
    const FileAtHand at_hand(path);
    try {
        pool.close();
    } catch (const std::exception& error) {
        return fail(Errc::io, "cannot close " + name + ": " + error.what());
    }
    pool = {};
    return {};
}

void Pool::Impl::lay_out(const Probed& probed) {
    superblock = probed.superblock;
    notes = probed.notes;
    file_bytes = probed.file_bytes;
    space =
        space_of(superblock, reinterpret_cast<std::byte*>(pool.handle()), probed.catalogue_offset);
}

void Pool::Impl::find_medium(const Probed& probed, const OpenOptions& options) {
    medium.domain = probed.domain;
    if (medium.domain == Domain::page && options.emulate != Emulate::no) {
        medium.emulated = true;
        medium.domain = options.emulate == Emulate::byte ? Domain::byte : Domain::cache_line;
    }
    medium.modelled = options.modelled;
    medium.file_system = probed.file_system;
    medium.checksum_path = name_of(crc32c_path());
    switch (medium.domain) {
        case Domain::byte: medium.flush = "none"; break;
        case Domain::cache_line: medium.flush = medium::flush_instruction(); break;
        case Domain::page: medium.flush = "msync"; break;
    }
}

// Reading is tried before it is done: where nothing is written, bytes that cannot be read are
// damage like any other. An open for writing asks for its catalogue alone, since asking takes time.
Result<void> Pool::Impl::try_reads() {
    if (read_only) space.find_unreadable = find_unreadable;
    const auto lost =
        find_unreadable(reinterpret_cast<const std::byte*>(space.catalogue), sizeof(Catalogue));
    if (lost.empty()) return {};
    const uint64_t at = space.offset_of(lost.front().data());
    const uint64_t length = lost.front().size();
    return fail({Errc::corrupt,
                 name + " is damaged: its catalogue cannot be read (bytes " + std::to_string(at) +
                     " to " + std::to_string(at + length) + "); restore it from a copy",
                 std::nullopt, ByteRange{at, length}});
}

// From here on both copies verify.
void Pool::Impl::replace_damaged_copy(const Probed& probed) {
    Catalogue& to = catalogue();
    if (probed.copy_a_damaged)
        pool.memcpy_persist(&to.superblock_a, &superblock, sizeof(superblock));
    if (probed.copy_b_damaged)
        pool.memcpy_persist(&to.superblock_b, &superblock, sizeof(superblock));
}

// The pool remembers what its medium was when it was last opened for writing.
Result<void> Pool::Impl::keep_medium() {
    format::MediumRow row;
    row.domain = static_cast<uint32_t>(medium.domain);
    row.emulated = medium.emulated ? 1 : 0;
    row.modelled_fence_ns = medium.modelled.fence_ns;
    row.modelled_line_ns = medium.modelled.line_ns;
    row.sum = row_sum(superblock.pool_id, row);
    if (std::memcmp(&row, &catalogue().medium, sizeof(row)) == 0) return {};
    return change(catalogue().medium, row);
}

Result<void> Pool::Impl::writable() const {
    if (read_only)
        return fail(Errc::read_only, name + " was opened read-only; open it for writing");
    return {};
}

// Makes `row` hold `value`, whole or not at all whatever happens.
template <class Row>
Result<void> Pool::Impl::change(Row& row, Row value) {
    try {
        pmem::obj::transaction::run(pool, [&] {
            pmem::obj::transaction::snapshot(&row);
            row = value;
        });
    } catch (const std::exception& error) {
        return fail(Errc::io, "cannot change the tables of " + name + ": " + error.what());
    }
    return {};
}

// A stream whose last service goes keeps that one's mark in its own row: what was released stays
// released. The row is read only where there is no service, so a crash between the two changes is
// harmless.
Result<void> Pool::Impl::keep_mark_of_last(const ServiceRow& last) {
    for (const ServiceRow& row : catalogue().services)
        if (row.stream == last.stream && &row != &last) return {};
    const uint32_t mark_row = last.service - 1u;
    const auto mark =
        read_register(superblock.pool_id, format::register_key(RegisterRole::mark, mark_row),
                      catalogue().marks[mark_row]);
    CNB_CHECK(mark.has_value(), {"service", last.service});
    for (StreamRow& row : catalogue().streams) {
        if (row.stream != last.stream) continue;
        StreamRow kept = row;
        kept.kept_from = mark->value;
        kept.sum = row_sum(superblock.pool_id, kept);
        return change(row, kept);
    }
    return {};
}

void Pool::Impl::store_slot(format::RegisterSlot& slot, const format::RegisterSlot& value) {
    pool.memcpy_persist(&slot, &value, sizeof(slot));
}

// The greater value goes where the valid one is not, so that a torn write costs nothing.
void Pool::Impl::raise(RegisterRole role, uint32_t row, format::RegisterLine& line,
                       uint64_t value) {
    const uint32_t key = format::register_key(role, row);
    const auto now = read_register(superblock.pool_id, key, line);
    CNB_CHECK(now && now->value < value, {"value", value});
    store_slot(line.slot[1 - now->slot], format::register_slot(superblock.pool_id, key, value));
}

// --- open and close -----------------------------------------------------------------------------

Pool::Pool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Pool::Pool(Pool&&) noexcept = default;
Pool& Pool::operator=(Pool&&) noexcept = default;
Pool::~Pool() = default;

namespace {

struct Opened {
    Probed probed;
    pmem::obj::pool<Root> pool;
};

Result<Opened> probe_and_open(const std::filesystem::path& path, const OpenOptions& options) {
    const auto deadline = deadline_after(options.lock_timeout);
    for (;;) {
        auto probed = probe(path);
        if (!probed) return fail(probed.error());
        auto pool = try_open(path, options.read_only);
        if (pool) return Opened{std::move(*probed), *pool};
        if (pool.error().code != Errc::locked) return fail(pool.error());
        if (std::chrono::steady_clock::now() >= deadline)
            return fail(Errc::locked, quoted(path) + " is open in " + lock_holder(probed->file) +
                                          "; wait until it is closed there");
        std::this_thread::sleep_for(kLockPoll);
    }
}

}  // namespace

Result<Pool> Pool::open(const std::filesystem::path& path, const OpenOptions& options) {
    auto opened = probe_and_open(path, options);
    if (!opened) return fail(opened.error());

    auto impl = std::make_unique<Impl>();
    impl->pool = opened->pool;
    impl->path = path;
    impl->name = quoted(path);
    impl->read_only = options.read_only;
    impl->lay_out(opened->probed);
    impl->mapping.know(path, impl->space.base, impl->file_bytes);
    if (auto done = impl->try_reads(); !done) return fail(done.error());
    const Catalogue& catalogue = impl->catalogue();
    if (impl->superblock != catalogue.superblock_a && impl->superblock != catalogue.superblock_b)
        return fail(Errc::io, impl->name + " was replaced while it was opened; try again");
    // A read-only open takes damage as it is: whoever reads reports it.
    if (!options.read_only) {
        if (opened->probed.domain == Domain::page && options.emulate == Emulate::no &&
            medium::libpmem_pretends(impl->space.base))
            return fail(Errc::invalid_argument,
                        impl->name +
                            " is no persistent memory, and PMEM_IS_PMEM_FORCE has libpmemobj take "
                            "it for that: a new stream would not reach the file; unset the "
                            "variable, or open the pool emulated");
        impl->replace_damaged_copy(opened->probed);
        if (auto done = check_tables(impl->space, impl->superblock.pool_id, impl->name); !done)
            return fail(done.error());
    }
    impl->find_medium(opened->probed, options);
    return Pool(std::move(impl));
}

Result<void> Pool::keep_medium() {
    const std::lock_guard lock(impl_->tables);
    if (auto done = impl_->writable(); !done) return done;
    return impl_->keep_medium();
}

Result<void> Pool::close() {
    return impl_ ? impl_->close() : Result<void>{};
}

const Space& Pool::space() const {
    return impl_->space;
}
const MediumInfo& Pool::medium() const {
    return impl_->medium;
}
const format::PoolId& Pool::id() const {
    return impl_->superblock.pool_id;
}
const format::Superblock& Pool::superblock() const {
    return impl_->superblock;
}
uint64_t Pool::file_bytes() const {
    return impl_->file_bytes;
}
const std::vector<std::string>& Pool::notes() const {
    return impl_->notes;
}

// --- tables -------------------------------------------------------------------------------------

Result<uint32_t> Pool::add_stream(std::string_view name, bool shared, bool reserve) {
    const std::lock_guard lock(impl_->tables);
    if (auto done = impl_->writable(); !done) return fail(done.error());
    if (auto done = check_name(name); !done) return fail(done.error());
    Catalogue& catalogue = impl_->catalogue();
    if (find_named(catalogue.streams, name))
        return fail(Errc::already_exists, impl_->name + " has a stream '" + std::string(name) +
                                              "' already; choose another name");
    const auto free = find_free(catalogue.streams);
    if (!free)
        return fail(Errc::full, impl_->name + " holds as many streams as it can, " +
                                    std::to_string(format::kStreamRows) + "; remove one");

    const uint32_t key = format::register_key(RegisterRole::last_stream);
    const auto last = read_register(impl_->superblock.pool_id, key, catalogue.last_stream);
    CNB_CHECK(last.has_value());
    if (last->value >= UINT32_MAX)
        return fail(Errc::full, impl_->name + " has given every stream number; copy the pool");
    StreamRow row;
    row.stream = static_cast<uint32_t>(last->value) + 1;
    row.flags = (shared ? format::kStreamShared : 0) | (reserve ? format::kStreamReserve : 0);
    put_name(row, name);
    row.sum = row_sum(impl_->superblock.pool_id, row);
    impl_->raise(RegisterRole::last_stream, 0, catalogue.last_stream, row.stream);
    if (auto done = impl_->change(catalogue.streams[*free], row); !done) return fail(done.error());
    return row.stream;
}

Result<void> Pool::remove_stream(uint32_t stream) {
    const std::lock_guard lock(impl_->tables);
    if (auto done = impl_->writable(); !done) return done;
    Catalogue& catalogue = impl_->catalogue();
    const auto index =
        stream == 0 ? std::nullopt : find_row(catalogue.streams, [&](const StreamRow& row) {
            return row.stream == stream;
        });
    if (!index)
        return fail(Errc::not_found, impl_->name + " has no stream " + std::to_string(stream));
    std::string services;
    for (const ServiceRow& row : catalogue.services)
        if (row.stream == stream) services += (services.empty() ? "'" : ", '") + name_in(row) + "'";
    if (!services.empty())
        return fail(Errc::pinned, "stream '" + name_in(catalogue.streams[*index]) +
                                      "' still has services; remove them first: " + services);
    return impl_->change(catalogue.streams[*index], StreamRow{});
}

Result<ServiceId> Pool::add_service(uint32_t stream, std::string_view name, uint64_t mark) {
    const std::lock_guard lock(impl_->tables);
    if (auto done = impl_->writable(); !done) return fail(done.error());
    if (auto done = check_name(name); !done) return fail(done.error());
    Catalogue& catalogue = impl_->catalogue();
    const bool known = stream != 0 && find_row(catalogue.streams, [&](const StreamRow& row) {
                           return row.stream == stream;
                       });
    if (!known)
        return fail(Errc::not_found, impl_->name + " has no stream " + std::to_string(stream));
    if (find_named(catalogue.services, name))
        return fail(Errc::already_exists, impl_->name + " has a service '" + std::string(name) +
                                              "' already; choose another name");
    const auto free = find_free(catalogue.services);
    if (!free)
        return fail(Errc::full, impl_->name + " holds as many services as it can, " +
                                    std::to_string(format::kServiceRows) + "; remove one");

    ServiceRow row;
    row.stream = stream;
    row.service = static_cast<uint16_t>(*free + 1);
    put_name(row, name);
    row.sum = row_sum(impl_->superblock.pool_id, row);
    // The row's last service may have left greater marks, so the line starts anew. Nobody reads it
    // before the row is in use.
    format::RegisterLine line;
    line.slot[0] = format::register_slot(impl_->superblock.pool_id,
                                         format::register_key(RegisterRole::mark, *free), mark);
    impl_->pool.memcpy_persist(&catalogue.marks[*free], &line, sizeof(line));
    if (auto done = impl_->change(catalogue.services[*free], row); !done) return fail(done.error());
    return ServiceId{row.service};
}

Result<void> Pool::remove_service(ServiceId service) {
    const std::lock_guard lock(impl_->tables);
    if (auto done = impl_->writable(); !done) return done;
    Catalogue& catalogue = impl_->catalogue();
    const size_t index = static_cast<size_t>(service.value) - 1;
    if (service.value == 0 || index >= catalogue.services.size() ||
        !in_use(catalogue.services[index]))
        return fail(Errc::not_found,
                    impl_->name + " has no service " + std::to_string(service.value));
    if (auto done = impl_->keep_mark_of_last(catalogue.services[index]); !done) return done;
    return impl_->change(catalogue.services[index], ServiceRow{});
}

std::vector<StreamInfo> Pool::streams() const {
    const std::lock_guard lock(impl_->tables);
    std::vector<StreamInfo> found;
    for (uint32_t i = 0; i < format::kStreamRows; ++i) {
        const StreamRow& row = impl_->catalogue().streams[i];
        if (in_use(row) && stream_row_verifies(impl_->space, i))
            found.push_back({row.stream, name_in(row), (row.flags & format::kStreamShared) != 0,
                             (row.flags & format::kStreamReserve) != 0});
    }
    return found;
}

std::vector<ServiceInfo> Pool::services() const {
    const std::lock_guard lock(impl_->tables);
    std::vector<ServiceInfo> found;
    for (uint32_t i = 0; i < format::kServiceRows; ++i) {
        const ServiceRow& row = impl_->catalogue().services[i];
        if (in_use(row) && service_row_verifies(impl_->space, i))
            found.push_back({ServiceId{row.service}, row.stream, name_in(row)});
    }
    return found;
}

}  // namespace cinnabar::pool
