// The run: starts the workers, gives each its slices in turn, and gathers what they report.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "force/environment.hpp"
#include "force/force_bench.hpp"
#include "force/place.hpp"
#include "force/plan.hpp"
#include "force/stop.hpp"
#include "force/worker_process.hpp"

namespace cinnabar::bench {

namespace {

std::string text_of(const Cell& cell) {
    return (cell.record_bytes == 0 ? "trace" : std::to_string(cell.record_bytes) + " B") + ", " +
           std::to_string(cell.threads) + (cell.threads == 1 ? " thread, " : " threads, ") +
           std::to_string(cell.records_per_force) + " per force" +
           (cell.segments == Segments::recycled ? ", recycled" : "");
}

std::string text_of_seconds(double seconds) {
    if (seconds < 90) return std::to_string(std::lround(std::max(seconds, 1.0))) + " s";
    const long halves = std::lround(seconds / 30);
    return std::to_string(halves / 2) + (halves % 2 == 0 ? " min" : ".5 min");
}

std::string number_of(size_t number, const char* things) {
    return std::to_string(number) + " " + things + (number == 1 ? "" : "s");
}

struct Competitor {
    const EngineInfo* info = nullptr;
    std::unique_ptr<WorkerProcess> process;  // none: out of the run
    Taken taken;
    std::string file_system;
    std::optional<Row> row;  // of the present cell
    bool hung = false;       // not asked again: each time it would cost a minute
};

class Conductor {
  public:
    Conductor(const ForceBenchOptions& options, Plan plan, Progress& progress)
        : options_(options), plan_(std::move(plan)), progress_(progress) {}

    // A signal from the terminal reaches the workers too, and whatever fails then fails by it.
    Result<ForceBenchReport> run() {
        auto report = measure();
        if (auto ok = stop_.go_on(); !ok) return fail(ok.error());
        return report;
    }

  private:
    Result<ForceBenchReport> measure() {
        const uint64_t started = Clock::monotonic_ns();
        report_.environment = find_environment(Clock::calibrated());
        report_.environment.modelled = options_.modelled;
        report_.quick = options_.quick;
        report_.slice_ms = plan_.slice_ms;
        report_.trace = options_.trace;
        if (auto ok = read_sizes(); !ok) return fail(ok.error());
        if (auto ok = choose_places(); !ok) return fail(ok.error());
        say_what_begins();
        if (auto ok = open_engines(); !ok) return fail(ok.error());
        const uint64_t end_ns = started + static_cast<uint64_t>(plan_.budget_s * 1e9);
        for (size_t i = 0; i < plan_.cells.size(); ++i) {
            if (plan_.budget_s != 0 && !share_time(end_ns, i)) break;
            if (auto ok = run_cell(i); !ok) return fail(ok.error());
        }
        measure_noise();
        report_.environment.seconds = static_cast<double>(Clock::monotonic_ns() - started) * 1e-9;
        return std::move(report_);
    }

    // The cell at `next` gets its part of what is left; false, and those from there on are skipped,
    // if nothing is left. The first is measured whatever the time.
    bool share_time(uint64_t end_ns, size_t next) {
        const uint64_t now = Clock::monotonic_ns();
        if (now >= end_ns && next > 0) {
            for (size_t i = next; i < plan_.cells.size(); ++i) {
                report_.skipped.push_back(
                    {"all", "a quick run had no time left for it", plan_.cells[i]});
            }
            return false;
        }
        deadline_ns_ = now + (end_ns > now ? (end_ns - now) / (plan_.cells.size() - next) : 0);
        return true;
    }

    Result<void> read_sizes() {
        if (options_.trace.empty()) return {};
        auto sizes = read_trace(options_.trace);
        if (!sizes) return fail(sizes.error());
        trace_sizes_ = std::move(*sizes);
        return {};
    }

    static std::vector<std::string> directories_or(const std::string& given,
                                                   std::vector<std::string> usual) {
        return given.empty() ? usual : std::vector<std::string>{given};
    }

    // A quick run has smaller areas: they are touched and read once for every row.
    AreaWish area_wish(uint64_t beside_bytes) const {
        AreaWish wish;
        wish.beside_bytes = beside_bytes;
        wish.exactly = options_.area_bytes != 0;
        if (wish.exactly) {
            wish.memory_bytes = wish.disk_bytes = options_.area_bytes;
        } else if (options_.quick) {
            wish.memory_bytes = uint64_t{128} << 20;
            wish.disk_bytes = uint64_t{16} << 20;
        }
        return wish;
    }

    Result<void> choose_places() {
        unsigned in_memory = 0, on_disk = 0;
        uint64_t beside_bytes = 0;  // on a disk there is nothing beside
        for (const std::string& name : plan_.engines) {
            ++(info_of(name)->on_disk ? on_disk : in_memory);
            beside_bytes += uint64_t{info_of(name)->beside_mib} << 20;
        }
        auto place = choose_place(directories_or(options_.directory, usual_directories()),
                                  in_memory, area_wish(beside_bytes));
        if (!place) return fail(place.error());
        report_.environment.medium = *place;
        auto scratch = ScratchDirectory::make(place->directory);
        if (!scratch) return fail(scratch.error());
        scratch_.emplace(std::move(*scratch));
        return on_disk == 0 ? Result<void>{} : choose_disk(on_disk);
    }

    // A machine without a disk that has room still gets its other rows.
    Result<void> choose_disk(unsigned engines) {
        const MediumPlace& medium = report_.environment.medium;
        std::vector<std::string> usual;
        if (!is_memory(medium.file_system)) usual = {medium.directory};
        for (std::string& d : usual_disk_directories()) usual.push_back(std::move(d));
        auto place =
            choose_place(directories_or(options_.disk_directory, usual), engines, area_wish(0));
        if (place) {
            auto scratch = ScratchDirectory::make(place->directory);
            if (!scratch) return fail(scratch.error());
            disk_scratch_.emplace(std::move(*scratch));
            report_.environment.disk = *place;
            return {};
        }
        if (!options_.disk_directory.empty()) return fail(place.error());
        no_disk_ = usual.empty() ? "no disk here, only memory" : place.error().message;
        return {};
    }

    void say_what_begins() const {
        const MediumPlace& medium = report_.environment.medium;
        progress_.begins(number_of(plan_.cells.size(), "cell") + " of " +
                         number_of(plan_.engines.size(), "engine") + ", on " + medium.file_system +
                         " at " + medium.directory + ": about " +
                         text_of_seconds(estimated_s(plan_, medium.area_bytes)));
        if (!medium.remark.empty()) progress_.begins(medium.remark);
    }

    static const EngineInfo* info_of(const std::string& name) {
        return &*std::find_if(engines().begin(), engines().end(),
                              [&](const EngineInfo& e) { return name == e.name; });
    }

    Result<void> open_engines() {
        for (size_t i = 0; i < plan_.engines.size(); ++i) {
            const EngineInfo* info = info_of(plan_.engines[i]);
            if (auto ok = stop_.go_on(); !ok) return ok;
            progress_.at(0, std::string("preparing ") + info->name);
            if (auto reason = reason_to_skip(*info); !reason.empty()) {
                report_.skipped.push_back({info->name, reason, {}});
                continue;
            }
            Competitor competitor;
            competitor.info = info;
            if (auto ok = open_engine(competitor); !ok) {
                if (info->ours) return ok;
                report_.skipped.push_back({info->name, ok.error().message, {}});
                continue;
            }
            if (i == 0) decide_emulation(competitor.taken);
            competitors_.push_back(std::move(competitor));
        }
        return {};
    }

    std::string reason_to_skip(const EngineInfo& info) const {
        if (info.absent != nullptr) return info.absent;
        if (info.on_disk && !disk_scratch_) return no_disk_;
        if (options_.modelled.any() && !info.models) return "cannot add modelled latency";
        return "";
    }

    Result<void> open_engine(Competitor& competitor) {
        const bool disk = competitor.info->on_disk;
        const Environment& e = report_.environment;
        const MediumPlace& place = disk ? *e.disk : e.medium;
        competitor.file_system = place.file_system;
        Order order;
        order.verb = Verb::open;
        put_text(order.engine, competitor.info->name);
        const auto& scratch = disk ? *disk_scratch_ : *scratch_;
        const std::string path =
            std::filesystem::absolute(scratch.path()).string() + "/" + competitor.info->name;
        std::error_code nothing_there;
        std::filesystem::remove(path, nothing_there);  // what a worker that was killed left
        put_text(order.path, path);
        order.area_bytes = place.area_bytes;
        order.emulate = e.emulate;
        order.modelled = options_.modelled;
        const bool is_floor = std::string_view(competitor.info->name) == "floor";
        auto process = WorkerProcess::start(e.emulate != Emulate::no && !disk && !is_floor);
        if (!process) return fail(process.error());
        auto reply = (*process)->call(order);
        if (!reply) return fail(reply.error());
        competitor.taken = (*reply)->taken;
        competitor.process = std::move(*process);
        return {};
    }

    // The floor's worker runs without any switch, so it knows what the medium is.
    void decide_emulation(const Taken& floor) {
        Environment& e = report_.environment;
        e.floor = floor;
        const Emulate usual = is_memory(e.medium.file_system) ? Emulate::cache_line : Emulate::no;
        e.emulate = floor.emulated ? options_.emulate.value_or(usual) : Emulate::no;
    }

    Order order_of(Verb verb, const Cell& cell) const {
        Order order;
        order.verb = verb;
        order.cell = cell;
        const auto sizes = cell.record_bytes == 0 ? trace_sizes_ : fixed_sizes(cell.record_bytes);
        order.size_count = static_cast<uint32_t>(sizes.size());
        std::copy(sizes.begin(), sizes.end(), order.sizes.begin());
        return order;
    }

    static Row empty_row(const Competitor& competitor, const Cell& cell) {
        Row row;
        row.engine = competitor.info->name;
        row.cell = cell;
        row.taken = competitor.taken;
        row.file_system = competitor.file_system;
        return row;
    }

    // Costs the engine this cell alone: the next one opens it anew.
    void fail_cell(Competitor& competitor, const Cell& cell, const Error& error) {
        competitor.row = empty_row(competitor, cell);
        competitor.row->error = error;
        competitor.process.reset();
        competitor.hung = error.code == Errc::timed_out;
        if (!competitor.hung) return;
        report_.skipped.push_back(
            {competitor.info->name, "it hung at " + text_of(cell) + ", and is left out since", {}});
    }

    void configure(Competitor& competitor, const Cell& cell) {
        competitor.row.reset();
        if (competitor.hung || !measured_in(competitor.info->name, cell)) return;
        if (!competitor.process) {
            if (auto ok = open_engine(competitor); !ok) {
                return fail_cell(competitor, cell, ok.error());
            }
        }
        auto ready = competitor.process->call(order_of(Verb::configure, cell));
        const bool no_room =
            !ready && (ready.error().code == Errc::disk_full || ready.error().code == Errc::full);
        if (no_room) {
            report_.skipped.push_back({competitor.info->name, ready.error().message, cell});
            return;
        }
        if (!ready) return fail_cell(competitor, cell, ready.error());
        competitor.row = empty_row(competitor, cell);
    }

    Result<void> run_cell(size_t index) {
        const Cell& cell = plan_.cells[index];
        for (Competitor& c : competitors_) configure(c, cell);
        for (Competitor& c : competitors_) {
            if (auto ok = run_slices(c, cell, true); !ok) return ok;
        }
        for (uint32_t round = 0; round < plan_.rounds; ++round) {
            if (round > 0 && Clock::monotonic_ns() > deadline_ns_) break;
            const double done = static_cast<double>(index) +
                                static_cast<double>(round) / static_cast<double>(plan_.rounds);
            progress_.at(done / static_cast<double>(plan_.cells.size()), text_of(cell));
            // Another engine begins each round, and every other round runs backwards, so that no
            // engine always follows the same one.
            const size_t n = competitors_.size();
            for (size_t k = 0; k < n; ++k) {
                const size_t forward = (round / 2 + k) % n;
                Competitor& c = competitors_[round % 2 == 0 ? forward : n - 1 - forward];
                if (auto ok = run_slices(c, cell, false); !ok) return ok;
            }
        }
        finish_cell(cell);
        return {};
    }

    // One slice for the mean, one half as long for the percentiles; or a quarter of one to warm up.
    Result<void> run_slices(Competitor& competitor, const Cell& cell, bool warm_up) {
        if (auto ok = stop_.go_on(); !ok) return ok;
        if (!competitor.row || competitor.row->error) return {};
        Row& row = *competitor.row;
        Order order;
        order.verb = Verb::slice;
        const uint64_t slice_ns = uint64_t{plan_.slice_ms} * 1'000'000;
        order.slice = {warm_up ? slice_ns / 4 : slice_ns, false};
        auto mean = competitor.process->call(order);
        if (!mean) fail_cell(competitor, cell, mean.error());
        if (!mean || warm_up) return {};
        const Reply& reply = **mean;
        row.work += reply.work;
        row.round_record_ns.push_back(reply.thread_ns / static_cast<double>(reply.work.records));
        order.slice = {slice_ns / 2, true};
        auto timed = competitor.process->call(order);
        if (timed) {
            row.force_ns.merge((*timed)->force_ns);
        } else {
            fail_cell(competitor, cell, timed.error());
        }
        return {};
    }

    // An engine that did not verify is opened anew for the next cell: what it is in is not known.
    static void verify(Competitor& competitor) {
        Row& row = *competitor.row;
        Order order;
        order.verb = Verb::verify;
        auto same = competitor.process->call(order);
        row.verified = same.has_value();
        if (same) return;
        row.verify_message = same.error().message;
        competitor.process.reset();
    }

    void finish_cell(const Cell& cell) {
        const size_t first = report_.rows.size();
        for (Competitor& c : competitors_) {
            if (!c.row) continue;
            if (!c.row->error) {
                verify(c);
                c.row->record_ns_mean = quartiles(c.row->round_record_ns).median;
                c.row->records_per_s = 1e9 * cell.threads / c.row->record_ns_mean;
                c.row->bytes_mean = static_cast<double>(c.row->work.bytes) /
                                    static_cast<double>(c.row->work.records);
            }
            report_.rows.push_back(std::move(*c.row));
        }
        const Row* floor = report_.find("floor", cell);
        const Row* pmemlog = report_.find("libpmemlog", cell);
        for (size_t i = first; i < report_.rows.size(); ++i) {
            Row& row = report_.rows[i];
            row.ratio_to_floor = ratio(row, floor);
            row.ratio_to_libpmemlog = ratio(row, pmemlog);
        }
    }

    // Absent where one of them was not measured.
    static std::optional<Quartiles> ratio(const Row& row, const Row* reference) {
        if (row.error || reference == nullptr || reference->error) return std::nullopt;
        return ratio_quartiles(row.round_record_ns, reference->round_record_ns);
    }

    void measure_noise() {
        std::vector<double> relative;
        for (const Row& row : report_.rows) {
            if (row.engine != "floor" || row.error) continue;
            for (double ns : row.round_record_ns) relative.push_back(ns / row.record_ns_mean);
        }
        report_.environment.noise = quartiles(relative);
    }

    const StopBySignal stop_;
    const ForceBenchOptions& options_;
    Plan plan_;
    Progress& progress_;
    ForceBenchReport report_;
    std::vector<uint32_t> trace_sizes_;
    // Outlive the workers, whose files lie in them.
    std::optional<ScratchDirectory> scratch_;
    std::optional<ScratchDirectory> disk_scratch_;
    std::string no_disk_;
    std::vector<Competitor> competitors_;
    uint64_t deadline_ns_ = UINT64_MAX;
};

}  // namespace

Result<ForceBenchReport> run_force_bench(const ForceBenchOptions& options, Progress& progress) {
    auto plan = make_plan(options, cores_allowed());
    if (!plan) return fail(plan.error());
    return Conductor(options, std::move(*plan), progress).run();
}

bool ForceBenchReport::all_verified() const {
    return std::all_of(rows.begin(), rows.end(),
                       [](const Row& row) { return row.verified || row.error; });
}

const Row* ForceBenchReport::first_failed() const {
    for (const Row& row : rows) {
        if (row.error) return &row;
    }
    return nullptr;
}

const Row* ForceBenchReport::find(std::string_view engine, const Cell& cell) const {
    for (const Row& row : rows) {
        if (row.engine == engine && row.cell == cell) return &row;
    }
    return nullptr;
}

}  // namespace cinnabar::bench
