// The log: streams of records in one pool file on storage-class memory, or on an ordinary file.
//
// Threads. A Log and its Streams may be used from any thread at any time, except that a stream
// created with one writer is appended to and forced by one thread, the first that does so (another
// one is refused, wrong_thread; one that was started when that one had ended may be taken for it).
// close(), moving and destruction need that no other call is running. The library starts no thread
// but those of its parallel recovery, and installs no signal handler (bus_error.hpp has one to ask
// for). In a child process after fork every call on the parent's log fails with `forked`; the child
// may open logs of its own, which recover in one thread (oneTBB does not survive a fork: a program
// that uses it itself opens no log in a forked child).
//
// Ownership. A Stream and a Reader keep the log's insides alive; after Log::close they fail with
// `failed`. Bytes handed to append are copied before it returns. Bytes of a Record stay valid as
// long as its Reader stands on that record or a later one of the same segment, and never longer
// than the Reader or the open log.
//
// Errors that any call may return: forked; failed (the log was closed, or an earlier force failed:
// what was not durable then may be lost; reopen the log to learn what survived); io (this force
// failed: as `failed`, with the system's reason).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cinnabar/medium.hpp"
#include "cinnabar/result.hpp"
#include "cinnabar/types.hpp"

namespace cinnabar {

struct CreateOptions {
    uint64_t pool_bytes = uint64_t{64} << 20;    // size of the file
    uint64_t segment_bytes = uint64_t{1} << 20;  // power of two, 2 KiB to 1 GiB
};

// The pool runs out of segments.
struct LowSpace {
    std::string stream;          // that took the last one
    uint32_t segments_free = 0;  // beyond those kept back
    std::string holder;          // who holds the pool's space, in words
};

struct OpenOptions {
    // Nothing is written to the file, damage does not refuse the open (the report has it), and the
    // verified part can be read. Records that could not be made durable are marked in Record.
    bool read_only = false;
    Emulate emulate = Emulate::no;
    ModelledLatency modelled;
    std::chrono::milliseconds lock_timeout{0};  // how long to wait for another process
    // Segments that are prepared ahead, at open and by release, for all streams together.
    uint32_t spare_segments = 4;
    // Called when a stream takes a segment and fewer than `low_space_segments` are left free, in
    // the thread whose append took it, outside of every lock: release() and carry_forward() may be
    // called from it. Not for segments that carried copies take.
    uint32_t low_space_segments = 0;
    std::function<void(const LowSpace&)> on_low_space;
    // Write forced frames with cached stores and flushes instead of non-temporal stores.
    bool forced_cached = false;
};

// How a stream is appended to, fixed at its creation.
enum class Writers : uint8_t { one, many };

// Does the pool keep segments back for a stream, so that a full log can still be written to by who
// must: by reservations, carried copies, and one checkpoint of each service until a segment is
// released? Fixed at the stream's creation. It costs a segment for each such stream, and two more
// for the pool; only from a full log on does it make a difference. A checkpoint that a killed life
// wrote has used its space: release with the one that is found in the log instead of writing
// another, or lives that end between the two use up the reserve.
enum class Reserve : uint8_t { no, yes };

class Reservation;

struct AppendOptions {
    Durability durability = Durability::forced;
    ServiceId service = {};              // 0: none. Kept with the record; not looked up
    uint16_t kind = 0;                   // the service's own
    std::optional<Lsn> previous = {};    // origin of the same transaction's previous record
    Reservation* reservation = nullptr;  // draws its space from here
    bool checkpoint = false;  // this is the checkpoint with which `service` will release space
};

// A record is known by its origin, the LSN that append returned for it. Carried forward, it stands
// at another LSN and keeps its origin.
struct Record {
    Lsn lsn;     // where it stands; equals origin, but for a copy
    Lsn origin;  // where it was first written
    Durability durability = Durability::lazy;
    ServiceId service;
    uint16_t kind = 0;
    std::optional<Lsn> previous;  // origin of the same transaction's previous record
    bool known_durable = true;    // false: seen by a read-only open that could not flush it
    Bytes payload;
};

// Damage: bytes that must verify and do not.
struct Damage {
    std::string stream;   // empty: not a stream's
    std::string verdict;  // "corrupt_sum", ...: FORMAT.md lists them
    std::optional<Lsn> lsn;
    ByteRange range;
};

// What recovery found in one stream, and did.
struct StreamReport {
    std::string name;
    uint32_t segments = 0;
    Lsn begin;                     // of the oldest segment kept
    Lsn low_water;                 // nothing below it is needed
    Lsn testified;                 // greatest durable frontier that any frame states
    Lsn end;                       // recovery's cut: the log ends here
    std::string end_verdict;       // why: "unwritten", "stale", "torn", or "end of segment"
    uint64_t frames_verified = 0;  // from the testified frontier on, link frames and pads too
    uint64_t bytes_verified = 0;
    uint64_t bytes_flushed = 0;     // made durable before anything was delivered
    uint64_t lines_erased = 0;      // behind the cut
    uint32_t segments_renewed = 0;  // behind the cut: given a new generation
};

struct OpenReport {
    std::vector<StreamReport> streams;
    std::vector<Damage> damage;  // empty unless the open is read-only
    // Survivable oddities, one sentence each; also what serves where the system lacks membarrier
    // or wiping on fork.
    std::vector<std::string> notes;
    uint64_t recovery_ns = 0;
    bool clean() const { return damage.empty(); }
};

// Work done on the medium since open. Maintenance (new segments, marks) is counted apart.
struct Counters {
    uint64_t records = 0;
    uint64_t forces = 0;  // forced appends and force() calls that had work to do
    uint64_t payload_bytes = 0;
    uint64_t fences = 0;  // in the page domain: msync calls
    uint64_t lines = 0;   // 64-byte lines flushed or stored non-temporally
    uint64_t bytes = 0;   // stored, headers and fill included
    uint64_t maintenance_fences = 0;
    uint64_t maintenance_lines = 0;
    uint64_t maintenance_bytes = 0;
};

class StreamCoreBase;
class ReaderCore;
class LogCore;
struct ReservedSpace;

// Log space promised by a stream: records that draw on it are not refused for a full log. Gives
// back at destruction what was not used. Held in this process only: after a restart, whoever must
// still write reserves again, before ordinary work is admitted (Stream::reserve_again). One thread
// at a time. Keeps the log's insides alive.
class Reservation {
  public:
    Reservation(Reservation&&) noexcept;
    Reservation& operator=(Reservation&&) noexcept;
    ~Reservation();

    // Bytes of the log that are left; a record takes its size and 32 bytes, rounded up to 64.
    uint64_t bytes_left() const;

  private:
    friend class StreamCoreBase;
    explicit Reservation(std::unique_ptr<ReservedSpace> space);
    std::unique_ptr<ReservedSpace> space_;
};

// Reads the records of a stream in LSN order, up to the frontier it was opened with at the time of
// each call. Pins the segment it stands on; never blocks a writer. One thread at a time.
class Reader {
  public:
    Reader(Reader&&) noexcept;
    Reader& operator=(Reader&&) noexcept;
    ~Reader();

    // The next record, or nothing when the frontier is reached (call again later). Of a record and
    // its copies that were carried forward, the first that the reader meets is delivered.
    // Errors: corrupt (lsn and range say where; a further call says the same), gap (records stood
    // here that a salvage could not save; lsn and range say where; a further call goes on behind
    // it), below_low_water (the position was released before the reader stood on it).
    Result<std::optional<Record>> next();

    // The LSN that the next call starts from.
    Lsn position() const;

  private:
    friend class Stream;
    explicit Reader(std::unique_ptr<ReaderCore> core);
    std::unique_ptr<ReaderCore> core_;
};

// How far a reader goes.
enum class Frontier : uint8_t {
    durable,    // what survives a crash
    published,  // what is written; must not leave this process before it is durable
};

class Stream {
  public:
    const std::string& name() const;
    Writers writers() const;

    // Appends one record and returns its LSN. Forced: the record and everything before it in this
    // stream is durable at return. Lazy: it is published at return, as soon as its predecessors
    // are. On error nothing was appended, but for `failed` and `io`: then the record may or may not
    // survive.
    // Errors: invalid_argument (an empty record; `previous` not below this record or more than
    // 2^31 lines back; a reservation of another stream or with too little left; a checkpoint of no
    // service), record_too_large (over record_bytes_max()), full (who holds the space is named, and
    // what makes room; not with a reservation; also at the end of a stream's LSNs, after 2^32 - 2
    // segments), read_only, wrong_thread, failed.
    Result<Lsn> append(Bytes record, const AppendOptions& options = {});
    // The same with the record gathered from several pieces.
    Result<Lsn> append(std::span<const Bytes> pieces, const AppendOptions& options = {});

    // Promises space for `records` records of up to `record_bytes` each. Any thread.
    // Errors: invalid_argument (a size or number of 0; the stream was created without
    // Reserve::yes), record_too_large, full, read_only.
    Result<Reservation> reserve(uint64_t record_bytes, uint32_t records = 1);
    // The same for what an earlier life of the log had promised. It cannot fail with `full` if no
    // more is asked for than was promised then, and nothing was appended before in this life.
    Result<Reservation> reserve_again(uint64_t record_bytes, uint32_t records = 1);

    // Copies records that are still needed to the end of the stream, so that the space where they
    // stand can be released: copies first, then release(). Records are named by the LSN where they
    // stand, a record's or a copy's, and not below the low-water mark; a copy keeps origin,
    // service, kind and payload. Returns where each record stands then, durable. The first call
    // reads the log once, for copies that are there already. A crash between the copies and the
    // release leaves both; a reader delivers the first it meets. Say in `release_to` how far you
    // mean to release: what stands at or above that already is not copied again, so that lives
    // which end before they release do not fill the log with copies. Nothing may be carried of
    // work whose outcome is in the log already: the copy would outlive the outcome.
    // Errors: below_low_water, never_appended, invalid_argument (no record stands there), corrupt,
    // full, read_only, wrong_thread, failed. Some copies may have been made then; they do no harm.
    Result<std::vector<Lsn>> carry_forward(std::span<const Lsn> records,
                                           std::optional<Lsn> release_to = {});

    // The end of the oldest segment: that segment is free once every service released up to it.
    Lsn oldest_end() const;

    // Where a record stands now: at its origin, or, if that is below the low-water mark, at its
    // newest copy. The first call after a release reads the log once.
    // Errors: below_low_water (it was released, and not carried forward), never_appended, corrupt.
    Result<Lsn> locate(Lsn origin) const;

    // Makes the record at `lsn`, and everything before it, durable. Any thread may force a stream
    // of many writers; a one-writer stream is forced by its writer.
    // Errors: never_appended, read_only, wrong_thread, failed.
    Result<void> force(Lsn lsn);

    // Waits until the record at `lsn` is durable because somebody else forced it.
    // Errors: never_appended, timed_out, failed.
    Result<void> wait_durable(Lsn lsn, std::optional<std::chrono::nanoseconds> timeout = {});

    // The same without a thread that waits. The callback is called once, with the durable frontier
    // when it has passed the record at `lsn`, or with `failed` when the pool failed or was closed
    // before: in the thread that raised durable, or in this call if it is durable already. It must
    // not block, and must not call this log. Errors (then it is never called): never_appended;
    // invalid_argument (an empty function).
    Result<void> on_durable(Lsn lsn, std::function<void(Result<Lsn>)> callback);
    // Adds 1 to an eventfd at that moment; the caller owns it and reads durable() or tries again
    // to learn which of the two happened.
    Result<void> signal_durable(Lsn lsn, int event_fd);

    // The frontiers; durable() <= published() <= appended().
    Lsn durable() const;
    Lsn published() const;
    Lsn appended() const;
    Lsn low_water() const;  // the oldest LSN that may still be read

    uint64_t record_bytes_max() const;
    Counters counters() const;

    // A reader from `from` on, or from the low-water mark. `from` is the LSN of a record, or a
    // frontier. Errors: below_low_water, never_appended; corrupt (the log of a damaged pool ends
    // below its low-water mark).
    Result<Reader> read(std::optional<Lsn> from = {}, Frontier frontier = Frontier::durable) const;

  private:
    friend class Log;
    explicit Stream(std::shared_ptr<StreamCoreBase> core);
    std::shared_ptr<StreamCoreBase> core_;
};

struct StreamInfo {
    std::string name;
    Writers writers = Writers::one;
    Reserve reserve = Reserve::no;
};

struct ServiceInfo {
    ServiceId service;
    std::string name;
    std::string stream;
    Lsn low_water;
};

class Log {
  public:
    // Creates a pool file, or leaves nothing behind. The file and its directory entry are durable
    // at return. It has no streams. Mode 0600.
    // Errors: already_exists, not_found (the directory), permission, disk_full, cannot_map,
    // invalid_argument (sizes), io.
    static Result<void> create(const std::filesystem::path& path,
                               const CreateOptions& options = {});

    // Opens a pool and recovers every stream: verifies what is not testified durable, makes durable
    // what it accepts, erases what it cuts; only then returns.
    // Errors: not_found, permission, locked (the message names the process), not_a_pool,
    // wrong_layout, truncated, unsupported_version, cannot_map, io; invalid_argument (libpmem is
    // told by PMEM_IS_PMEM_FORCE to take a file for persistent memory, and the open for writing is
    // not emulated); corrupt (nothing of the log was written). Of damage in the log itself a
    // read-only open returns no error: it reads what verifies. What lies before the log no open can
    // do without, and salvage_pool can.
    static Result<Log> open(const std::filesystem::path& path, const OpenOptions& options = {});

    Log(Log&&) noexcept;
    Log& operator=(Log&&) noexcept;
    ~Log();  // as close(), errors ignored

    const OpenReport& report() const;
    const MediumInfo& medium() const;
    uint64_t pool_bytes() const;  // size of the file
    uint64_t segment_bytes() const;
    uint32_t segments_free() const;       // 0 after close and in a forked child
    uint32_t segments_kept_back() const;  // of the free ones: see Reserve
    uint32_t segments_total() const;

    // Streams. Adding and removing is durable at return. (These rows are libpmemobj's transactions:
    // where the system cannot write one back, it ends the process.)
    // Errors: already_exists, not_found, invalid_argument (the name), full (the table; too few free
    // segments for a reserve), read_only, pinned (removing a stream that has services, or that
    // somebody holds).
    Result<Stream> add_stream(std::string_view name, Writers writers,
                              Reserve reserve = Reserve::no);
    Result<void> remove_stream(std::string_view name);
    Result<Stream> stream(std::string_view name);
    std::vector<StreamInfo> streams() const;  // empty after close, as services()

    // Services hold log space: a stream keeps everything from the lowest low-water mark of its
    // services on. A stream without a service releases nothing. A new service's mark is the
    // stream's current one. Removing a service releases what it alone held.
    Result<ServiceId> add_service(std::string_view stream, std::string_view name);
    Result<void> remove_service(ServiceId service);
    std::vector<ServiceInfo> services() const;

    // Raises a service's low-water mark: it needs no record that begins below `to`. Durable at
    // return; segments that nobody needs any more are free at once, oldest first, but not while a
    // reader stands on one or on one before it. A checkpoint that stands in for what is
    // released must be durable before, which is so when `to` is not above its LSN.
    // Errors: not_found, invalid_argument (below the present mark, or above durable), read_only.
    Result<void> release(ServiceId service, Lsn to);

    // Reads and verifies every record of every stream, every header, row and mark. A page that
    // cannot be read is reported like any other damage (Linux 5.14).
    Result<std::vector<Damage>> check() const;

    // Closes: writes a testifying frame to each stream that this life appended to, so that a later
    // loss of its last records is noticed; not where its segment is full or kept back (Reserve).
    // Idempotent. Errors: io, failed.
    Result<void> close();

  private:
    explicit Log(std::shared_ptr<LogCore> core);
    std::shared_ptr<LogCore> core_;
};

}  // namespace cinnabar
