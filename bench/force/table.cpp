// The report as tables, for people.
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <ostream>

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

std::string size_text(const Row& row) {
    const uint32_t bytes = row.cell.record_bytes;
    if (bytes == 0) return print("~%.0f B", row.bytes_mean);
    return bytes >= 1024 && bytes % 1024 == 0 ? print("%u KiB", bytes / 1024)
                                              : print("%u B", bytes);
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

constexpr int kColumn = 19;

// One table: sizes down, engines across.
void print_group(const ForceBenchReport& report, const Cell& group, std::ostream& out) {
    const auto names = engines_in(report, group);
    out << "\n" << group_text(group) << ": time of a record (times the floor)\n";
    out << print("%8s", "record");
    for (const std::string& name : names) out << print("%*s", kColumn, name.c_str());
    out << "\n";
    for (const Row& floor : report.rows) {
        if (floor.engine != "floor" || !same_group(floor.cell, group)) continue;
        out << print("%8s", size_text(floor).c_str());
        for (const std::string& name : names) {
            const Row* row = report.find(name, floor.cell);
            const std::string text = row == nullptr    ? "-"
                                     : name == "floor" ? duration(row->record_ns_mean)
                                                       : duration(row->record_ns_mean) + " (" +
                                                             factor(row->ratio_to_floor.median) +
                                                             ")" + (row->verified ? "" : "!");
            out << print("%*s", kColumn, text.c_str());
        }
        out << "\n";
    }
}

// The cell that says most: 256 B if measured, the first otherwise.
const Cell* showpiece(const ForceBenchReport& report) {
    const Cell usual{256, 1, 1, Segments::warm};
    for (const Row& row : report.rows) {
        if (row.cell == usual) return &row.cell;
    }
    return report.rows.empty() ? nullptr : &report.rows.front().cell;
}

std::string percentile_text(const Histogram& h, double fraction) {
    const double beyond = (1 - fraction) * static_cast<double>(h.samples());
    return beyond < 0.999 ? "-" : duration(static_cast<double>(h.percentile(fraction)));
}

void print_details(const ForceBenchReport& report, const Cell& cell, std::ostream& out) {
    out << "\none force in detail: "
        << (cell.record_bytes == 0 ? "trace" : print("%u B", cell.record_bytes)) << ", "
        << group_text(cell) << "\n";
    out << print("%-19s%9s%9s%9s%9s%9s%8s%8s%8s  %s\n", "engine", "p50", "p90", "p99", "p99.9",
                 "p99.99", "fences", "lines", "B/B", "medium");
    for (const Row& row : report.rows) {
        if (row.cell != cell) continue;
        out << print("%-19s", row.engine.c_str());
        for (double fraction : {0.5, 0.9, 0.99, 0.999, 0.9999}) {
            out << print("%9s", percentile_text(row.force_ns, fraction).c_str());
        }
        const auto per = [&](uint64_t what, uint64_t of) {
            if (row.taken.counts == Counts::none || of == 0) return std::string("-");
            return count(static_cast<double>(what) / static_cast<double>(of));
        };
        out << print("%8s%8s%8s", per(row.work.fences, row.work.records).c_str(),
                     per(row.work.lines, row.work.records).c_str(),
                     per(row.work.medium_bytes, row.work.bytes).c_str());
        out << "  " << name_of(row.taken.domain) << (row.taken.emulated ? ", emulated" : "")
            << " on " << row.file_system << ": " << row.taken.how.data() << "\n";
    }
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
    if (e.modelled.any()) {
        out << "MODELLED latency: " << e.modelled.fence_ns << " ns per fence and "
            << e.modelled.line_ns << " ns per line are added on purpose\n";
    }
    if (e.disk) {
        out << "disk: " << e.disk->file_system << " at " << e.disk->directory << "\n";
    }
    out << print(
        "checksum: %s; clock: %s, %.0f ns per timed force are its own; "
        "build: %s, %s; half of the floor's rounds within %+.0f%% to %+.0f%%; %.0f s\n",
        e.checksum_path.c_str(), e.clock.c_str(), e.timer_ns, e.build_type.c_str(),
        e.compiler.c_str(), 100 * (e.noise.q1 - 1), 100 * (e.noise.q3 - 1), e.seconds);
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
        if (usual == nullptr || row.round_record_ns.size() < 5) continue;
        const Quartiles ratio = ratio_quartiles(row.round_record_ns, usual->round_record_ns);
        if (ratio.q3 < 0.97) better += (better.empty() ? "" : ", ") + size_text(row);
    }
    if (better.empty()) return;
    out << "Advice: at " << better
        << " forced records are cheaper here through the caches (the option forced_cached).\n";
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
           "median of the rounds' own ratios. libpmemlog forces every record whatever the group;\n"
           "libpmemlog_appendv hands over a group at once.\n";
    if (e.floor.emulated && e.emulate != Emulate::no) {
        out << "Emulated: " << e.medium.file_system
            << " stands in for persistent memory. The processor's stores, flushes and\n"
               "fences are real, the memory behind them is not persistent: nothing measured here\n"
               "survived a power failure, and real persistent memory is slower to write.\n";
    } else if (e.floor.emulated) {
        out << "The floor here stores to the page cache and is not durable at all: on this medium\n"
               "it only says what the bytes cost without durability.\n";
    }
    if (is_memory(e.medium.file_system)) {
        out << "msync has nothing to write on " << e.medium.file_system
            << ": its row is the price of the system call alone.\n";
    }
    print_advice(report, out);
    for (const Skipped& s : report.skipped) {
        out << "Skipped: " << s.engine << (s.cell ? " (" + group_text(*s.cell) + ")" : "") << ": "
            << s.reason << "\n";
    }
    size_t bad = 0;
    for (const Row& row : report.rows) {
        if (row.verified) continue;
        ++bad;
        out << "NOT VERIFIED: " << row.engine << ", " << size_text(row) << ", "
            << group_text(row.cell) << ": " << row.verify_message << "\n";
    }
    out << (bad == 0 ? "Every engine was reopened after every row, and held what it was given.\n"
                     : "Rows marked ! did not hold what they were given.\n");
}

}  // namespace

void print_table(const ForceBenchReport& report, std::ostream& out) {
    print_environment(report, out);
    std::vector<Cell> groups;
    for (const Row& row : report.rows) {
        const auto known = [&](const Cell& group) { return same_group(group, row.cell); };
        if (std::none_of(groups.begin(), groups.end(), known)) groups.push_back(row.cell);
    }
    for (const Cell& group : groups) print_group(report, group, out);
    if (const Cell* cell = showpiece(report)) print_details(report, *cell, out);
    print_words(report, out);
}

TerminalProgress::TerminalProgress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

TerminalProgress::~TerminalProgress() {
    if (terminal_) std::fputs("\r\033[K", stderr);
}

void TerminalProgress::at(double fraction, std::string_view what) {
    if (!terminal_) return;
    std::fprintf(stderr, "\r\033[K[%3.0f%%] %.*s", 100 * fraction, static_cast<int>(what.size()),
                 what.data());
    std::fflush(stderr);
}

}  // namespace cinnabar::bench
