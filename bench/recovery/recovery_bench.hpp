// What recovery costs on this machine. This is the benchmark behind `cinnabar bench recovery`.
//
// The scan: streams whose records no testimony covers, one segment each, verified from end to end
// by what recovery verifies with (log/scan.hpp), on a mapping whose pages are there; on one thread
// and on two, in turns with a bare read-and-sum of the same bytes by as many threads. Each round
// gives one ratio.
//
// Reopening: a process of its own fills a log, keeps appending and is killed by SIGKILL; then the
// log is opened for append, on a fresh mapping as always. Every record that was acknowledged before
// the kill must be there, and all that is there must be an exact prefix of what was appended.
#pragma once

#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cinnabar/log.hpp"
#include "force/force_bench.hpp"

namespace cinnabar::bench {

// What a program started with this as its first argument returns from main at once.
inline constexpr const char* kRecoveryWriterVerb = "bench-recovery-writer";
int recovery_writer_main(int argc, char** argv);

struct RecoveryBenchOptions {
    std::string directory;           // empty: where the most room is, memory first
    std::optional<Emulate> emulate;  // absent: cache_line on tmpfs, no elsewhere
    bool quick = false;              // smaller logs, fewer rounds
    uint64_t scan_bytes = 0;         // about, of all streams; 0: 256 MiB, or 64 if quick
    uint64_t log_bytes = 0;          // of the log that is reopened; 0: 1 GiB, or 128 MiB if quick
    uint32_t rounds = 0;             // 0: 9, or 3 if quick
};

struct ScanRow {
    unsigned threads = 1;
    uint64_t bytes = 0;  // of frames
    uint64_t frames = 0;
    std::vector<double> round_scan_ns;
    std::vector<double> round_read_ns;
    bool verified = false;  // every round found every frame, and no damage

    Quartiles scan_gb_per_s() const;
    Quartiles read_gb_per_s() const;
    Quartiles ratio_to_read() const;  // of the speeds: 1 means as fast as reading
};

struct ReopenRow {
    Durability durability = Durability::forced;
    uint64_t log_bytes = 0;  // at the first kill; later rounds add a little
    std::vector<double> round_open_ns;
    std::vector<double> round_recovery_ns;  // of it, the log's own part
    uint64_t bytes_verified = 0;            // by the last open, and so on
    uint64_t bytes_flushed = 0;
    bool verified = false;
};

struct RecoveryBenchReport {
    Environment environment;
    bool quick = false;
    std::vector<ScanRow> scans;
    std::vector<ReopenRow> reopens;

    bool all_verified() const;
};

// The files it makes are gone at return. A row that did not verify is in the report.
// Errors: invalid_argument, not_found, permission, disk_full, io, and what the log's own was.
Result<RecoveryBenchReport> run_recovery_bench(const RecoveryBenchOptions& options,
                                               Progress& progress);

void print_table(const RecoveryBenchReport& report, std::ostream& out);
nlohmann::json to_json(const RecoveryBenchReport& report);

}  // namespace cinnabar::bench
