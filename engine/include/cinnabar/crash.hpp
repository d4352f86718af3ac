// Does your own structure survive a crash? You say what it does (a workload) and how it is
// recovered; the kit shows your recovery every kind of image that a power failure could leave, and
// asks an oracle about what came out. What is assumed of the processor, which images are tried and
// which are not: engine/doc/CRASH.md.
//
//   region     the persistent memory, simulated: the workload stores, flushes and fences there
//   history    the operations of the workload: begun, acknowledged
//   image      what a crash at one moment may leave of the region
//   digest     the recovered state as text, made by your recovery
//   oracle     says of a digest and a history what is wrong, or nothing
//
// For tests: nothing here belongs into a program that ships, and cinnabar::cinnabar has none of it.
// Link cinnabar::crash; for run_file cinnabar::crash_interposer; for plain stores one by one
// cinnabar::crash_hooks (gcc).
//
// Threads: all of a run happens in the thread that called it, the workload too. Processes: the
// recovery runs in worker processes, forked from a copy of this one as it was before the workload
// began. So it may crash, hang or allocate without end, and sees no variable that the workload has
// changed. Call run while the process has one thread: a lock that another one holds at the fork
// stays locked in the workers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cinnabar/result.hpp"
#include "cinnabar/types.hpp"

namespace cinnabar::crash {

// Where a call stands in the source: always left to its default.
struct Where {
    const char* file = "";
    unsigned line = 0;

    static constexpr Where current(const char* file = __builtin_FILE(),
                                   unsigned line = __builtin_LINE()) {
        return {file, line};
    }
};

class Recorder;

// Persistent memory, simulated. Whatever it holds when a run begins counts as durable; when the run
// ends it holds that again. A pointer into the region means the same address in every run, but
// recovery sees the image elsewhere: structures keep offsets.
//
// Plain stores by the workload are noticed at the next call of the region, by comparing: all that
// changed since the last call is one bag, of which any subset of words may be there after a crash.
// Where the order of two stores to a line matters, say store(), or link cinnabar::crash_hooks: the
// sources of that program are compiled so that each store of theirs is told. Each call compares the
// region, at some 10 GB/s: keep it small.
//
// Calls outside of a run do what they say and record nothing. A range that does not lie within the
// region is not stored to, and the run reports it as misuse.
class Region {
  public:
    // Zeroed memory of its own. Errors: invalid_argument (size zero, or no multiple of 4096).
    static Result<Region> create(size_t bytes, Domain domain);
    // Memory that is there and outlives the region. Errors: invalid_argument (size zero, or no
    // multiple of 4096; an address that is none).
    static Result<Region> attach(std::span<std::byte> memory, Domain domain);
    Region(Region&& other) noexcept;
    Region& operator=(Region&& other) noexcept;
    ~Region();

    std::span<std::byte> bytes() const { return memory_; }
    Domain domain() const { return domain_; }

    // One aligned store: there after a crash, or not, and never before an earlier one of its line.
    template <class T>
    void store(T* to, const std::type_identity_t<T>& value, Where where = Where::current()) {
        static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8 &&
                      (sizeof(T) & (sizeof(T) - 1)) == 0);
        store_word(to, &value, sizeof(T), where);
    }
    // Stores in no stated order, torn into words of 8 bytes.
    void copy(void* to, const void* from, size_t length, Where where = Where::current());
    void zero(void* to, size_t length, Where where = Where::current());
    // The same past the caches: durable by this thread's next fence without a flush.
    void copy_nt(void* to, const void* from, size_t length, Where where = Where::current());
    // Starts the write-back of each line that the range touches; done at the next fence. In the
    // byte domain it does nothing, in the page domain it is misuse.
    void flush(const void* from, size_t length, Where where = Where::current());
    void fence(Where where = Where::current());
    // In the page domain: msync of the pages that the range touches. Elsewhere misuse.
    void sync(const void* from, size_t length, Where where = Where::current());
    // What makes the range durable in the region's domain: flush and fence, or sync.
    void persist(const void* from, size_t length, Where where = Where::current());

  private:
    friend class Run;
    struct Free {
        void operator()(std::byte* memory) const;
    };

    Region(std::span<std::byte> memory, Domain domain) : memory_(memory), domain_(domain) {}
    void store_word(void* to, const void* value, size_t length, const Where& where);
    void store_range(void* to, const void* from, size_t length, int kind, const Where& where);

    std::unique_ptr<std::byte, Free> owned_;
    std::span<std::byte> memory_;
    Domain domain_;
    Recorder* recorder_ = nullptr;  // during a run
    uint64_t recorded_at_ = 0;      // where the recorder's memory has the first byte
};

// What the workload says of itself. Both calls are crash points: just before an operation begins,
// and just after one is acknowledged.
class History {
  public:
    struct Operation {
        std::string what;           // what the oracle compares: for the ready ones, lines of text
        bool acknowledged = false;  // its effect was promised to survive
    };

    // From now on a crash may leave the operation done, undone or, where the structure allows it,
    // half done; what was stored before is not its effect. Returns its number, which counts from 0.
    size_t begin(std::string what);
    // From now on it must survive. A number that was never given, or is acknowledged already, is
    // misuse.
    void acknowledge(size_t operation);

    const std::vector<Operation>& operations() const { return operations_; }
    // How many operations from the first on must be there: the last acknowledged one and all
    // before.
    size_t acknowledged_prefix() const;

  private:
    friend class Run;
    std::vector<Operation> operations_;
    std::function<void(const std::string& event)> notice_;
    std::function<void(const std::string& event, std::optional<size_t> acknowledged)> tell_;
    std::function<void(const std::string& what)> misuse_;
};

// What is wrong with a recovered state, in words; nothing where it is right.
using Oracle = std::function<std::string(std::string_view digest, const History& history)>;

// The ready oracles. A digest holds the recovered records, a line of text for each, in order; the
// text of an operation is the record that it adds, or several lines for several records; no text is
// one empty record. Equal lines count: of two operations that add "a", two lines have to be there,
// and which of them is whose does not matter.
//
// The digest is the first n operations, in order, and n covers everything acknowledged.
Oracle prefix_of_appends();
// All lines of acknowledged operations are there, once each, in any order; others only of
// operations that have begun.
Oracle acknowledged_subset();
// Of each operation all lines are there or none; of acknowledged ones all. In any order. Where the
// lines of one operation are among those of another, what is right may be called wrong: number
// them.
Oracle atomic_records();
// The digest is what `model` says of the first n operations, for an n that covers everything
// acknowledged: whatever is in flight is done, or not done.
Oracle equal_to_a_run(std::function<std::string(std::span<const History::Operation>)> model);
// Bytes as text on one line: what is not printable, and the backslash, as \xNN.
std::string line_of(Bytes bytes);

struct Test {
    // To the end: where it, or the oracle, calls exit, quick_exit, _exit or _Exit, the process says
    // so and ends with code 1; abort is said too. (Programs that link the kit have its _exit.)
    std::function<void(History& history)> workload = {};
    // One of the two. The image may be written to; or it is a file of that path, which may be
    // opened and written to, and is as long as the region. The digest is returned.
    //
    // One that stores there is a workload too: power fails inside of it as well, and what that
    // leaves is recovered by the same recovery (Options::recovery_crashes_max). It has to say what
    // it makes durable: by a region that it attaches to the image, or to whole pages of it, each
    // time, of the domain that the workload's region has; in a file, under run_file, by libpmem's
    // functions. Where it does not, the report has a remark. One thread of one process, there too.
    std::function<std::string(std::span<std::byte> image)> recover = {};
    std::function<std::string(const std::string& path)> recover_file = {};
    // Of what it says 64 KiB are kept.
    Oracle check = {};
};

struct Options {
    uint64_t seed = 1;
    // Where there are more images than that: the one in which nothing survives, and of the rest an
    // equal share for single lines (with all prefixes in store order), pairs of lines, and random
    // images. What one of these does not need the others have; within one, one image is as likely
    // as another.
    uint64_t images_per_crash_point_max = 20'000;
    uint64_t random_images = 100;  // at each crash point, beside the levels that have an order
    // Lines in pairs: where so many or fewer are pending each pair by itself; where more are, in
    // images that have each pair somewhere, and with thousands of them (4 million pairs of their
    // contents) not at all.
    size_t pair_lines_max = 2;
    std::chrono::milliseconds recovery_time_max{10'000};
    uint64_t recovery_memory_bytes_max = uint64_t{1} << 30;  // of address space, beyond the start's
    // Images; after so many no further one is tried, nor after three of which recovery hangs; and
    // after so many inside of recoveries none of those.
    uint64_t violations_max = 10;
    // Power fails again inside of so many recoveries, of those that store to their image; 0: of
    // none. Looked at are the first image of each crash point and one in sixteen: of these the
    // first ones, and then fewer and fewer of them, so that some are left for the end of the run;
    // and none while more images were tried inside of recoveries than outside. What is seen of a
    // recovery: Test.
    uint64_t recovery_crashes_max = 40;
    // For the smallest image that fails as well, in each of two directions; 0: as it was found.
    uint64_t reduction_images_max = 200;
    // Further runs, with a flush and a fence put in; 0: none, and none that looks whether what was
    // found is there at an earlier crash point.
    uint64_t fixes_max = 3;
    // Where set, a folder that is there: the file that is recovered lies in it ("cinnabar-image"),
    // and one of each violation stays ("violation-N.image"), with holes for pages of zeros, until
    // the next run.
    std::string image_folder = {};
    // Where set, a folder that is there: a page for the browser of each violation lies in it then
    // ("violation-N.html"). The run remembers all that the workload does, in memory, and recovers
    // the image once more for each line that the page shows, to see whether the outcome depends on
    // it: for one page so long as three recoveries may take. The next run removes these files.
    std::string page_folder = {};
};

enum class ViolationKind : uint8_t {
    wrong,          // the oracle's words
    crashed,        // the recovery's process ended by a signal, or by exit (of the command of
                    // `cinnabar crash run` such an end is `wrong`)
    hung,           // it did not end in time
    out_of_memory,  // std::bad_alloc within the limit of its memory
    threw,          // another exception left the recovery
    // A second recovery of the same image, in this process or a new one, came to something else, or
    // failed. (A hang is called that.)
    not_deterministic,
    not_idempotent,  // a recovery of what the recovery had left: likewise
    oracle_threw,
    workload_threw,
    misuse,  // of the region or the history by the workload
};
std::string_view name_of(ViolationKind kind);

struct Violation {
    ViolationKind kind = ViolationKind::wrong;
    std::string what;
    uint64_t crash_point = 0;  // its number, from 1; 0 where no image is to blame
    // Where power failed a second time, inside of the recovery of an image of that crash point:
    // where in there, from 1; 0: it did not. The image is then what that has left, and so is all
    // that is said of it below.
    uint64_t recovery_crash_point = 0;
    std::string where;        // the crash point: "fence at file:line", which has not taken effect
    uint64_t operations = 0;  // of the history, begun by then: the fewest with which it was found
    std::string since;        // from which operation on, and what is known of crash points before
    uint64_t images = 1;      // that were tried and come to this one when reduced
    // At which it was found: by the same calls, or where none are known, in words that differ alone
    // in numbers and in what they quote ('...'). The first one is told. Where power failed inside
    // of recovery, crash points in there.
    uint64_t crash_points = 1;
    // The smallest image that was found to fail so at this crash point, for image_of.
    std::string replay;
    // Its lines of the region, with the call that stored there: what has to be lost where all else
    // survives, and what has to survive where all else is lost. Recoveries that hang, or are not
    // deterministic, are not reduced: `lost` names all that the image misses.
    std::string lost;
    std::string survived;
    std::string order;  // of the two calls: which one has to be durable before which
    // What a run came to in which a flush and a fence followed the first of them.
    std::string fix;
    // Where a folder for them is set: the file of the smallest image, and of the page. A file that
    // cannot be written is not named, and why stands below; so does what the page does not say
    // because recovery took too long.
    std::string image_file;
    std::string page_file;
    std::string not_written;
};

// What no image shows, or does not need to: found by watching alone. No violation by itself.
struct Remark {
    std::string rule;
    std::string where;  // the call, or nothing
    uint64_t times = 1;
};

struct Report {
    std::vector<Violation> violations;
    std::vector<Remark> remarks;
    uint64_t operations = 0;
    uint64_t region_bytes = 0;
    uint64_t crash_points = 0;
    uint64_t images_distinct = 0;  // at its crash point each is another one
    uint64_t images_repeated = 0;  // reached again, and not recovered again
    // More than images: one in sixteen is recovered three times, and what fails once more in a new
    // process; reductions, fixes, pages, and crashes inside of recovery count too.
    uint64_t recoveries = 0;
    // Inside of which power failed again, at how many crash points in there, and with how many
    // images; at most 200 at each.
    uint64_t recoveries_crashed = 0;
    uint64_t recovery_crash_points = 0;
    uint64_t recovery_images = 0;
    double recovery_not_tried_log10 = 0;  // as below, of those crash points
    double recovery_seconds = 0;          // of these alone
    double states_log10 = 0;              // of the images that the fault model allows, and 1 more
                                          // at each crash point ("states_represented_log10")
    double not_tried_log10 = 0;           // of 1 + those that were not tried; 0: all were
    // By violations_max, or by an error that a remark names, with images left that were to be
    // tried.
    bool stopped = false;
    // Of a workload in a process of its own, where it did not end as it should: "the workload died:
    // Killed". What one throws here is a violation.
    std::string workload_end;
    double seconds = 0;  // in recoveries and their checks, without those crashes
    double images_per_s = 0;

    bool clean() const { return violations.empty(); }
    std::string text() const;  // for people, several lines
    std::string json() const;  // one document; "schema": 1
};

// Runs the workload, and at each crash point (before each fence, where an operation begins or is
// acknowledged, at the end) recovers images. Where violations were found it runs once more for each
// fix that is tried, over what the region held at the start. Errors: invalid_argument (a function
// is missing, a budget is zero, a folder is not there), io (the system gives recoveries no process,
// no memory or no room for an image; where violations were found before that they are reported, and
// a remark says what ended the run); everything else is in the report.
Result<Report> run(Region& region, const Test& test, const Options& options = {});

// The image that `replay` of a violation names, bit by bit: the workload runs once more. Errors:
// invalid_argument (no such line; it is of another build of the program, or of another workload;
// the workload stored other values).
Result<std::vector<std::byte>> image_of(Region& region, const Test& test, std::string_view replay);

// The same for code that is not yours: a structure in a file that the workload, and the libraries
// that it calls, map into memory, store to plainly and make durable by libpmem's functions, or by
// msync. Only programs that link cinnabar::crash_interposer have this function: there, and in every
// library of the process, those functions, and mmap, are the kit's.
//
// `path` is the file, which the workload may create, or a folder: then the first file in it that is
// stored to, and one that was there before is misuse. Only shared mappings count. All that changes
// between two such calls is one bag: any part of a line may survive without another, also where the
// program stores them in an order that x86 keeps. Link cinnabar::crash_hooks as well where that
// matters: of the sources that are compiled with it each plain store is then told, from
// pmem_map_file on, or the first such call with an address in a mapping.
//
// What the file holds when it is mapped first counts as durable. Where it is mapped under another
// name and then renamed, where another file takes its place or it changes its size, that is misuse,
// and what comes later is held against nothing. Stores to a mapping without such calls, and
// write(2), are seen at the next call; flushes by instruction are not. The domain is cache_line.
// The file is left as the workload leaves it. Before a further run it becomes again what it was, or
// is removed; of a folder, or of what cannot be read, no further run is made. Errors: as of run();
// io also where the file cannot be opened or mapped once more.
Result<Report> run_file(const std::string& path, const Test& test, const Options& options = {});
// image_of() of such a run. The file has to be what it was then.
Result<std::vector<std::byte>> image_of_file(const std::string& path, const Test& test,
                                             std::string_view replay);

}  // namespace cinnabar::crash
