// The report of the recovery benchmark: numbers, table, JSON.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <ostream>

#include "recovery/recovery_bench.hpp"
#include "recovery/writer.hpp"

namespace cinnabar::bench {

namespace {

using nlohmann::json;

Quartiles speeds(uint64_t bytes, const std::vector<double>& round_ns) {
    std::vector<double> speeds;
    speeds.reserve(round_ns.size());
    for (const double ns : round_ns) speeds.push_back(static_cast<double>(bytes) / ns);
    return quartiles(speeds);
}

Quartiles in_ms(const std::vector<double>& round_ns) {
    std::vector<double> ms;
    ms.reserve(round_ns.size());
    for (const double ns : round_ns) ms.push_back(ns * 1e-6);
    return quartiles(ms);
}

json quartiles_json(const Quartiles& q) {
    return {{"q1", q.q1}, {"median", q.median}, {"q3", q.q3}};
}

std::string text(const Quartiles& q) {
    char buffer[96];
    std::snprintf(buffer, sizeof buffer, "%.2f [%.2f, %.2f]", q.median, q.q1, q.q3);
    return buffer;
}

const char* word(Durability durability) {
    return durability == Durability::forced ? "forced" : "lazy";
}

}  // namespace

Quartiles ScanRow::scan_gb_per_s() const {
    return speeds(bytes, round_scan_ns);
}
Quartiles ScanRow::read_gb_per_s() const {
    return speeds(bytes, round_read_ns);
}
Quartiles ScanRow::ratio_to_read() const {
    return ratio_quartiles(round_read_ns, round_scan_ns);
}

bool RecoveryBenchReport::all_verified() const {
    const auto verified = [](const auto& row) { return row.verified; };
    return std::all_of(scans.begin(), scans.end(), verified) &&
           std::all_of(reopens.begin(), reopens.end(), verified);
}

void print_table(const RecoveryBenchReport& report, std::ostream& out) {
    const Environment& e = report.environment;
    const bool persistent = !e.floor.emulated;
    out << "cinnabar " << e.version << ", recovery on " << e.cpu << ", " << e.cores
        << (e.cores == 1 ? " core, " : " cores, ") << e.kernel << "\n"
        << "medium: " << e.medium.file_system << " at " << e.medium.directory << ", "
        << (persistent                 ? "persistent memory"
            : e.emulate != Emulate::no ? "EMULATED: this is no persistent memory"
                                       : "page cache: durable by msync only")
        << "\nchecksum: " << e.checksum_path << "; build: " << e.build_type << ", " << e.compiler
        << "; medians and quartiles; " << static_cast<int>(e.seconds) << " s\n\n"
        << "Scan with verification, records of " << kRecoveryRecordBytes << " B, pages present\n";
    for (const ScanRow& row : report.scans)
        out << "  " << row.threads << (row.threads == 1 ? " thread:  " : " threads: ")
            << text(row.scan_gb_per_s()) << " GB/s; a bare read-and-sum "
            << text(row.read_gb_per_s()) << " GB/s; " << text(row.ratio_to_read())
            << " times its speed" << (row.verified ? "" : "  NOT VERIFIED") << "\n";
    out << "\nOpening for append after SIGKILL\n";
    for (const ReopenRow& row : report.reopens)
        out << "  " << (row.log_bytes >> 20) << " MiB, " << word(row.durability) << ": "
            << text(in_ms(row.round_open_ns)) << " ms, of which recovery "
            << text(in_ms(row.round_recovery_ns)) << " ms; verified " << (row.bytes_verified >> 10)
            << " KiB, flushed " << (row.bytes_flushed >> 10) << " KiB"
            << (row.verified ? "" : "  NOT VERIFIED") << "\n";
    out << (report.all_verified()
                ? "\nEvery scan found every frame; every acknowledged record was there.\n"
                : "\nRows marked NOT VERIFIED did not hold what they should.\n");
}

json to_json(const RecoveryBenchReport& report) {
    json results = json::array();
    for (const ScanRow& row : report.scans)
        results.push_back({{"what", "scan"},
                           {"threads", row.threads},
                           {"record_bytes", kRecoveryRecordBytes},
                           {"bytes", row.bytes},
                           {"frames", row.frames},
                           {"rounds", row.round_scan_ns.size()},
                           {"scan_gb_per_s", quartiles_json(row.scan_gb_per_s())},
                           {"read_gb_per_s", quartiles_json(row.read_gb_per_s())},
                           {"ratio_to_read", quartiles_json(row.ratio_to_read())},
                           {"verified", row.verified}});
    for (const ReopenRow& row : report.reopens)
        results.push_back({{"what", "reopen"},
                           {"durability", word(row.durability)},
                           {"record_bytes", kRecoveryRecordBytes},
                           {"log_bytes", row.log_bytes},
                           {"rounds", row.round_open_ns.size()},
                           {"open_ms", quartiles_json(in_ms(row.round_open_ns))},
                           {"recovery_ms", quartiles_json(in_ms(row.round_recovery_ns))},
                           {"bytes_verified", row.bytes_verified},
                           {"bytes_flushed", row.bytes_flushed},
                           {"verified", row.verified}});
    json environment = to_json(report.environment);
    environment["quick"] = report.quick;
    return {{"schema", 1}, {"environment", environment}, {"results", results}};
}

}  // namespace cinnabar::bench
