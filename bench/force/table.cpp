// The report as tables, for people.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <ostream>
#include <span>

#include "force/force_bench.hpp"
#include "force/place.hpp"

namespace cinnabar::bench {

namespace {

[[gnu::format(printf, 1, 2)]] std::string print(const char* format, ...) {
    char buffer[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    return buffer;
}

// Three digits and a unit, so that 97 ns and 2.1 ms stand in one column.
std::string duration(double ns) {
    const char* unit = "ns";
    for (const char* next : {"us", "ms", "s"}) {
        if (ns < 9995) break;
        ns /= 1000;
        unit = next;
    }
    return print(ns < 9.95 ? "%.1f %s" : "%.0f %s", ns, unit);
}

std::string count(double per_record) {
    if (per_record == 0) return "0";
    return print(per_record < 0.1 ? "%.3f" : "%.2f", per_record);
}

std::string factor(double ratio) {
    return print(ratio < 9.995 ? "%.2f" : ratio < 99.5 ? "%.1f" : "%.0f", ratio);
}

std::string size_text(uint32_t record_bytes) {
    if (record_bytes == 0) return "trace";
    return record_bytes >= 1024 && record_bytes % 1024 == 0 ? print("%u KiB", record_bytes / 1024)
                                                            : print("%u B", record_bytes);
}

std::string size_text(const Row& row) {
    return row.cell.record_bytes == 0 && !row.error ? print("~%.0f B", row.bytes_mean)
                                                    : size_text(row.cell.record_bytes);
}

std::string group_text(const Cell& cell) {
    return print("%u thread%s, %s, %s segments", cell.threads, cell.threads == 1 ? "" : "s",
                 cell.records_per_force == 1
                     ? "a force every record"
                     : print("a force every %u records", cell.records_per_force).c_str(),
                 cell.segments == Segments::warm ? "warm" : "recycled");
}

bool same_group(const Cell& a, const Cell& b) {
    return a.threads == b.threads && a.records_per_force == b.records_per_force &&
           a.segments == b.segments;
}

std::vector<std::string> engines_in(const ForceBenchReport& report, const Cell& group) {
    std::vector<std::string> names;
    for (const EngineInfo& engine : engines()) {
        const auto is_there = [&](const Row& row) {
            return row.engine == engine.name && same_group(row.cell, group);
        };
        if (std::any_of(report.rows.begin(), report.rows.end(), is_there)) {
            names.emplace_back(engine.name);
        }
    }
    return names;
}

constexpr size_t kSizesAcross = 6;
constexpr int kNameWidth = 19;
constexpr int kColumn = 16;

std::string time_text(const Row* row) {
    if (row == nullptr) return "-";
    if (row->error) return "failed";
    const bool with_ratio = row->engine != "floor" && row->ratio_to_floor;
    return duration(row->record_ns_mean) +
           (with_ratio ? " (" + factor(row->ratio_to_floor->median) + ")" : "") +
           (row->verified ? "" : "!");
}

// Engines down, sizes across, as many sizes as a line holds.
void print_sizes(const ForceBenchReport& report, std::span<const Row* const> floors,
                 std::ostream& out) {
    out << print("%-*s", kNameWidth, "");
    for (const Row* floor : floors) out << print("%*s", kColumn, size_text(*floor).c_str());
    out << "\n";
    for (const std::string& name : engines_in(report, floors.front()->cell)) {
        out << print("%-*s", kNameWidth, name.c_str());
        for (const Row* floor : floors) {
            const Row* row = report.find(name, floor->cell);
            out << print("%*s", kColumn, time_text(row).c_str());
        }
        out << "\n";
    }
}

std::string percentile_text(const Histogram& h, double fraction) {
    const double beyond = (1 - fraction) * static_cast<double>(h.samples());
    return beyond < 0.999 ? "-" : duration(static_cast<double>(h.percentile(fraction)));
}

std::string fences_text(const Row& row) {
    if (row.taken.counts == Counts::none || row.work.records == 0) return "-";
    return count(static_cast<double>(row.work.fences) / static_cast<double>(row.work.records));
}

std::string medium_text(const Row& row, const Environment& e) {
    if (row.taken.emulated && e.emulate == Emulate::no) return "NOT DURABLE on " + row.file_system;
    return std::string(name_of(row.taken.domain)) + (row.taken.emulated ? ", emulated" : "") +
           " on " + row.file_system;
}

// One size: how long forces take, how far the rounds agree, and what medium each engine took.
void print_details(const ForceBenchReport& report, const Cell& cell, std::ostream& out) {
    const std::string size = size_text(cell.record_bytes);
    out << print("\n%-*s%10s%10s%9s%9s%8s%14s%8s  %s\n", kNameWidth, size.c_str(), "record",
                 "force p50", "p99", "p99.99", "floor x", "quartiles", "fences", "medium");
    for (const Row& row : report.rows) {
        if (row.cell != cell) continue;
        out << print("%-*s%10s", kNameWidth, row.engine.c_str(),
                     row.error ? "failed\n" : duration(row.record_ns_mean).c_str());
        if (row.error) continue;
        out << print("%10s%9s%9s", percentile_text(row.force_ns, 0.5).c_str(),
                     percentile_text(row.force_ns, 0.99).c_str(),
                     percentile_text(row.force_ns, 0.9999).c_str());
        const auto& ratio = row.ratio_to_floor;
        const std::string median = ratio ? factor(ratio->median) : "-";
        const std::string quartiles = ratio ? factor(ratio->q1) + " - " + factor(ratio->q3) : "-";
        out << print("%8s%14s%8s  %s\n", median.c_str(), quartiles.c_str(),
                     fences_text(row).c_str(), medium_text(row, report.environment).c_str());
    }
}

// The size whose details say most: 256 B if measured, the first otherwise.
const Cell& showpiece(std::span<const Row* const> floors) {
    for (const Row* floor : floors) {
        if (floor->cell.record_bytes == 256) return floor->cell;
    }
    return floors.front()->cell;
}

void print_group(const ForceBenchReport& report, const Cell& group, std::ostream& out) {
    std::vector<const Row*> floors;
    for (const Row& row : report.rows) {
        if (row.engine == "floor" && same_group(row.cell, group)) floors.push_back(&row);
    }
    if (floors.empty()) return;
    out << "\n== " << group_text(group) << "\n";
    const std::span<const Row* const> all = floors;
    if (all.size() > 1) out << "\ntime of a record (times the floor)\n";
    for (size_t i = 0; all.size() > 1 && i < all.size(); i += kSizesAcross) {
        print_sizes(report, all.subspan(i, std::min(kSizesAcross, all.size() - i)), out);
    }
    print_details(report, showpiece(all), out);
}

void print_environment(const ForceBenchReport& report, std::ostream& out) {
    const Environment& e = report.environment;
    out << "cinnabar " << e.version << ", force cost on " << e.cpu << ", " << e.cores
        << (e.cores == 1 ? " core, " : " cores, ") << e.kernel << "\n";
    out << "medium: " << e.medium.file_system << " at " << e.medium.directory << ", "
        << (e.medium.area_bytes >> 20) << " MiB for each engine, "
        << (!e.floor.emulated          ? "persistent memory"
            : e.emulate != Emulate::no ? "EMULATED: this is no persistent memory"
                                       : "page cache: durable by msync only")
        << "\n";
    if (!e.medium.remark.empty()) out << "  " << e.medium.remark << "\n";
    if (e.modelled.any()) {
        out << "MODELLED latency: " << e.modelled.fence_ns << " ns per fence and "
            << e.modelled.line_ns << " ns per line are added on purpose\n";
    }
    if (e.disk) {
        out << "disk: " << e.disk->file_system << " at " << e.disk->directory << "\n";
    }
    out << print(
        "checksum: %s; build: %s, %s\n"
        "clock: %s, in steps of %.2g ns; %.0f ns of each timed force are its own\n"
        "half of the floor's rounds within %+.0f%% to %+.0f%%; %.0f s\n",
        e.checksum_path.c_str(), e.build_type.c_str(), e.compiler.c_str(), e.clock.c_str(),
        e.timer_step_ns, e.timer_ns, 100 * (e.noise.q1 - 1), 100 * (e.noise.q3 - 1), e.seconds);
}

// Which way of storing forced frames to choose here.
void print_advice(const ForceBenchReport& report, std::ostream& out) {
    std::string better;
    for (const Row& row : report.rows) {
        if (row.engine != "cinnabar_cached" || row.cell.records_per_force != 1 ||
            row.cell.threads != 1 || row.cell.segments != Segments::warm) {
            continue;
        }
        const Row* usual = report.find("cinnabar", row.cell);
        if (usual == nullptr || row.error || usual->error || row.round_record_ns.size() < 5)
            continue;
        const Quartiles ratio = ratio_quartiles(row.round_record_ns, usual->round_record_ns);
        if (ratio.q3 < 0.97) better += (better.empty() ? "" : ", ") + size_text(row);
    }
    if (better.empty()) return;
    out << "Advice: at " << better
        << " forced records are cheaper here through the caches (the option forced_cached).\n";
}

// "64 B, 1 KiB: 2 threads, a force every record, warm segments", a line for each group.
void print_cells(const std::vector<Cell>& cells, std::ostream& out) {
    for (size_t i = 0; i < cells.size();) {
        const Cell& group = cells[i];
        out << "    ";
        for (const char* comma = ""; i < cells.size() && same_group(cells[i], group); ++i) {
            out << comma << size_text(cells[i].record_bytes);
            comma = ", ";
        }
        out << ": " << group_text(group) << "\n";
    }
}

// What was not measured, and why: once for all cells that one reason holds for.
void print_skipped(const ForceBenchReport& report, std::ostream& out) {
    std::vector<const Skipped*> told;
    for (const Skipped& s : report.skipped) {
        const auto same = [&](const Skipped* t) {
            return t->engine == s.engine && t->reason == s.reason;
        };
        if (std::any_of(told.begin(), told.end(), same)) continue;
        told.push_back(&s);
        std::vector<Cell> cells;
        for (const Skipped& other : report.skipped) {
            if (same(&other) && other.cell) cells.push_back(*other.cell);
        }
        out << "Skipped: " << (s.engine == "all" ? "every engine" : s.engine) << ": " << s.reason
            << (cells.empty() ? "\n" : ", at\n");
        print_cells(cells, out);
    }
}

void print_trouble(const ForceBenchReport& report, std::ostream& out) {
    for (const Row& row : report.rows) {
        if (row.verified) continue;
        out << (row.error ? "FAILED: " : "NOT VERIFIED: ") << row.engine << ", " << size_text(row)
            << ", " << group_text(row.cell) << ": "
            << (row.error ? row.error->message : row.verify_message) << "\n";
    }
    const char* rows = report.first_failed() == nullptr ? "row" : "row that was measured";
    if (report.all_verified()) {
        out << "Every engine was reopened after every " << rows
            << ", and held what it was given.\n";
    } else {
        out << "Rows marked ! did not hold what they were given.\n";
    }
}

std::string engine_line(const EngineInfo& engine) {
    return print("  %-*s %s\n", kNameWidth, engine.name, engine.what);
}

void print_rows_meant(const ForceBenchReport& report, std::ostream& out) {
    for (const EngineInfo& engine : engines()) {
        const auto has_its_name = [&](const Row& row) { return row.engine == engine.name; };
        if (std::any_of(report.rows.begin(), report.rows.end(), has_its_name)) {
            out << engine_line(engine);
        }
    }
}

void print_words(const ForceBenchReport& report, std::ostream& out) {
    const Environment& e = report.environment;
    out << "\nThe floor is what a force asks of the hardware and no more: the same padded bytes "
           "stored\n"
           "past the caches, and one fence per force. It checks nothing and recovers nothing. "
           "Where\n"
           "storing through the caches is cheaper, a ratio below 1 can be real.\n"
           "Times are of one record as one thread sees it, the median of the rounds; the ratio is "
           "the\n"
           "median of the rounds' own ratios. Percentiles are of other slices, in which every "
           "force "
           "is\n"
           "timed by itself until it is durable: they contain the clock's own time, no part of it "
           "is "
           "done\n"
           "while the next record is made, and they are rounded up, by 1/32 at most, on top of the "
           "clock's\n"
           "steps. So p50 may be above the time of a record. Lines and bytes written, all "
           "percentiles and\n"
           "what each engine does exactly are in the JSON (--json). The rows:\n";
    print_rows_meant(report, out);
    if (e.floor.emulated && e.emulate != Emulate::no) {
        out << "Emulated: " << e.medium.file_system
            << " stands in for persistent memory. The processor's stores, flushes and\n"
               "fences are real, the memory behind them is not persistent: nothing measured here\n"
               "survived a power failure, and real persistent memory is slower to write.\n";
    } else if (e.floor.emulated) {
        out << "NO FLOOR FOR DURABILITY HERE: on " << e.medium.file_system
            << " the floor stores to the page cache and makes nothing durable.\n"
               "The other rows do, by system calls that write to a disk: ratios of about a "
               "thousand "
               "say that a\n"
               "disk is no persistent memory, and nothing of the engines. Compare the rows with "
               "each other;\n"
               "for ratios to a real floor take persistent memory, or emulate it: --directory "
               "/dev/shm\n";
    }
    if (is_memory(e.medium.file_system)) {
        out << "msync has nothing to write on " << e.medium.file_system
            << ": its row is the price of the system call alone.\n";
    }
    print_advice(report, out);
    print_skipped(report, out);
    print_trouble(report, out);
}

}  // namespace

std::string engine_lines() {
    std::string lines;
    for (const EngineInfo& engine : engines()) lines += engine_line(engine);
    return lines;
}

void print_table(const ForceBenchReport& report, std::ostream& out) {
    print_environment(report, out);
    std::vector<Cell> groups;
    for (const Row& row : report.rows) {
        const auto known = [&](const Cell& group) { return same_group(group, row.cell); };
        if (std::none_of(groups.begin(), groups.end(), known)) groups.push_back(row.cell);
    }
    for (const Cell& group : groups) print_group(report, group, out);
    print_words(report, out);
}

}  // namespace cinnabar::bench
