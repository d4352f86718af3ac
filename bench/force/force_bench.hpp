// What a log force costs on this machine: cinnabar, the floor and what people use today, in one
// run, on one medium, in interleaved slices. This is the benchmark behind `cinnabar bench force`.
//
// A cell is one combination of record size, threads, records per force and kind of segments. Every
// engine lives in a process of its own for the whole run (some are configured by process-wide
// switches), is told to run one slice at a time, and waits while the others run theirs. A round is
// one slice of every engine; the mean time of a record comes from slices in which the clock is read
// once per batch, the percentiles from separate slices in which every force is timed: the append
// that carries the force, its timer included. Ratios are taken round by round. At the end of each
// cell every engine closes, opens again and compares what is on its medium with what it was told to
// append.
#pragma once

#include <cstdio>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cinnabar/medium.hpp"
#include "cinnabar/result.hpp"
#include "force/histogram.hpp"
#include "force/statistics.hpp"
#include "rivals/engine.hpp"

namespace cinnabar::bench {

// What a program started with kWorkerVerb as its first argument returns from main at once. The
// engines run in such children of the program that calls run_force_bench, started as itself.
inline constexpr const char* kWorkerVerb = "bench-worker";
int bench_worker_main(int argc, char** argv);

struct ForceBenchOptions {
    // Where the engines' files go; empty: where the most room is, memory before disks.
    std::string directory;
    // Where the rivals on disk go; empty: the same if it is on a disk, else a disk that has room.
    std::string disk_directory;
    // How a medium that is not persistent memory is treated. Absent: cache_line on tmpfs, which is
    // then labelled emulated everywhere, and no elsewhere.
    std::optional<Emulate> emulate;
    ModelledLatency modelled;  // engines that cannot add it are left out

    // Few cells, done in less than 20 s: what there is no time for is in `skipped`.
    bool quick = false;
    // A given axis replaces the planned cells by all combinations of the four axes; those left
    // empty then hold 256 B, one thread, a force every record, warm segments.
    std::vector<uint32_t> record_bytes;       // 8 to 65536
    std::vector<uint32_t> threads;            // 1 to 256
    std::vector<uint32_t> records_per_force;  // 1 to 1024
    std::vector<Segments> segments;
    std::string trace;              // a file whose line lengths are record sizes too
    std::vector<std::string> only;  // engines by name; empty: all. floor always runs

    uint32_t rounds = 0;      // 0: 5 if quick, else 11
    uint32_t slice_ms = 0;    // 1 to 50; 0: 20, or what a quick run has time for
    uint64_t area_bytes = 0;  // of each engine; 0: 256 MiB (128 if quick), or what the room allows
};

struct Row {
    std::string engine;
    Cell cell;
    Taken taken;
    std::string file_system;
    double bytes_mean = 0;                // of a record
    std::vector<double> round_record_ns;  // per thread: what one caller sees
    double record_ns_mean = 0;            // the median of the rounds
    double records_per_s = 0;             // of all threads
    Histogram force_ns;
    Work work;                                     // over all untimed slices
    std::optional<Quartiles> ratio_to_floor;       // absent: the floor failed in this cell
    std::optional<Quartiles> ratio_to_libpmemlog;  // below 1: faster than libpmemlog
    bool verified = false;
    std::string verify_message;  // why not
    // The engine failed in this cell: nothing was measured. The other cells are not touched by it.
    std::optional<Error> error;
};

struct Skipped {
    std::string engine;
    std::string reason;
    std::optional<Cell> cell;  // absent: of the whole run
};

struct MediumPlace {
    std::string directory;
    std::string file_system;
    uint64_t free_bytes = 0;
    uint64_t area_bytes = 0;  // of each engine
    std::string remark;       // why it is not what one would expect; empty: it is
};

struct Environment {
    std::string cpu;
    std::string kernel;
    std::string governor;  // "unknown" where it cannot be read
    std::string compiler;
    std::string build_type;
    std::string version;
    std::string checksum_path;
    std::string clock;
    double timer_ns = 0;       // of each timed force is the clock's own
    double timer_step_ns = 0;  // timed forces differ by multiples of it
    uint32_t cores = 0;
    bool pinned = false;
    MediumPlace medium;
    std::optional<MediumPlace> disk;
    Taken floor;  // what the medium was found to be, without any switch
    Emulate emulate = Emulate::no;
    ModelledLatency modelled;
    Quartiles noise;  // of the floor's rounds, each over its cell's median
    double seconds = 0;
};

struct ForceBenchReport {
    Environment environment;
    bool quick = false;
    uint32_t slice_ms = 0;
    std::string trace;
    std::vector<Row> rows;
    std::vector<Skipped> skipped;

    bool all_verified() const;  // what was measured
    const Row* first_failed() const;
    const Row* find(std::string_view engine, const Cell& cell) const;
};

// Told where the run stands.
class Progress {
  public:
    virtual ~Progress() = default;
    virtual void begins(std::string_view) {}  // what is to be done, and about how long it takes
    virtual void at(double fraction, std::string_view what) = 0;
};

// One line that is written over. Where `out` is no terminal: a line every `apart_s`; so a short run
// has none.
class TerminalProgress final : public Progress {
  public:
    explicit TerminalProgress(std::FILE* out = stderr, double apart_s = 10);
    ~TerminalProgress() override;
    void begins(std::string_view what) override;
    void at(double fraction, std::string_view what) override;
    // Where nobody knows how much there is to do: on a terminal alone.
    void by_now(std::string_view what);

  private:
    std::FILE* out_;
    bool terminal_;
    uint64_t apart_ns_;
    uint64_t said_ns_;
};

// Runs the benchmark. The files it makes are gone at return. A rival that cannot run here is in
// `skipped` with its reason; a row that failed or did not verify is in the report, not an error.
// While it runs SIGINT, SIGTERM and SIGHUP are handlers of its own.
// Errors: failed (such a signal came), invalid_argument (an option), not_found, permission (a
// directory, the trace), disk_full (no place with room; each is named), io, and why the floor or
// cinnabar could not be prepared.
Result<ForceBenchReport> run_force_bench(const ForceBenchOptions& options, Progress& progress);

// "  name   what it does", a line for each engine there is.
std::string engine_lines();

void print_table(const ForceBenchReport& report, std::ostream& out);

// {"schema": 1, "environment": {...}, "results": [...], "skipped": [...]}
nlohmann::json to_json(const ForceBenchReport& report);

// The part of the environment that every benchmark's results have.
nlohmann::json to_json(const Environment& environment);

}  // namespace cinnabar::bench
