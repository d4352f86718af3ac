// Which cells a run measures, and for how long.
#include "force/plan.hpp"

#include <algorithm>

namespace cinnabar::bench {

namespace {

constexpr double kQuickBudget_s = 15;      // from start to end; half of it goes to slices
constexpr uint32_t kQuickSliceMax_ms = 6;  // what the smaller areas of a quick run have room for

constexpr double kRow_s = 0.01;  // to reopen an engine and compare, and more with its area
constexpr double kRow_s_per_gib = 0.3;

constexpr uint32_t kSliceMax_ms = 50;
constexpr uint32_t kGroupMax = 1024;
constexpr uint64_t kAreaBytesLeast = uint64_t{1} << 20;

std::vector<Cell> quick_cells(unsigned cores) {
    std::vector<Cell> cells;
    for (uint32_t bytes : {64u, 256u, 1024u, 4096u, 16384u, 65536u}) cells.push_back({bytes});
    cells.push_back({256, 1, 1, Segments::recycled});
    if (cores > 1) {
        for (uint32_t bytes : {64u, 256u, 1024u}) cells.push_back({bytes, 2});
    }
    for (uint32_t bytes : {64u, 256u}) cells.push_back({bytes, 1, 32});
    return cells;
}

std::vector<Cell> full_cells(unsigned cores) {
    std::vector<Cell> cells;
    for (uint32_t bytes :
         {8u, 16u, 32u, 64u, 96u, 128u, 256u, 512u, 1024u, 2048u, 4096u, 16384u, 65536u}) {
        cells.push_back({bytes});
    }
    for (uint32_t bytes : {64u, 256u, 1024u, 4096u}) {
        cells.push_back({bytes, 1, 1, Segments::recycled});
    }
    for (uint32_t threads = 2; threads <= 2 * cores; threads *= 2) {
        for (uint32_t bytes : {64u, 256u, 1024u, 4096u}) cells.push_back({bytes, threads});
    }
    for (uint32_t group : {8u, 32u, 128u}) {
        for (uint32_t bytes : {64u, 256u, 1024u}) cells.push_back({bytes, 1, group});
    }
    return cells;
}

std::vector<Cell> asked_cells(const ForceBenchOptions& o) {
    const auto or_else = [](auto axis, auto value) {
        if (axis.empty()) axis.push_back(value);
        return axis;
    };
    auto sizes = o.record_bytes;
    if (sizes.empty() && o.trace.empty()) sizes.push_back(256);
    if (!o.trace.empty()) sizes.push_back(0);
    std::vector<Cell> cells;
    for (Segments segments : or_else(o.segments, Segments::warm)) {
        for (uint32_t threads : or_else(o.threads, 1u)) {
            for (uint32_t group : or_else(o.records_per_force, 1u)) {
                for (uint32_t bytes : sizes) cells.push_back({bytes, threads, group, segments});
            }
        }
    }
    return cells;
}

Result<void> check_range(const char* option, const std::vector<uint32_t>& values, uint32_t least,
                         uint32_t most) {
    for (uint32_t value : values) {
        if (value < least || value > most) {
            return fail(Errc::invalid_argument, std::string(option) + " " + std::to_string(value) +
                                                    " is not between " + std::to_string(least) +
                                                    " and " + std::to_string(most));
        }
    }
    return {};
}

Result<void> check(const ForceBenchOptions& o) {
    if (auto ok = check_range("record size", o.record_bytes, kRecordBytesMin, kRecordBytesMax); !ok)
        return ok;
    if (auto ok = check_range("threads", o.threads, 1, kThreadsMax); !ok) return ok;
    if (auto ok = check_range("records per force", o.records_per_force, 1, kGroupMax); !ok)
        return ok;
    if (o.slice_ms > kSliceMax_ms) {
        return fail(Errc::invalid_argument, "slices are of 50 ms at most");
    }
    if (o.area_bytes != 0 && o.area_bytes < kAreaBytesLeast) {
        return fail(Errc::invalid_argument, "an area has 1 MiB at least");
    }
    for (const std::string& name : o.only) {
        const auto known = [&](const EngineInfo& engine) { return name == engine.name; };
        if (std::none_of(engines().begin(), engines().end(), known)) {
            return fail(Errc::invalid_argument,
                        "there is no engine named '" + name + "'; there are: " + engine_names());
        }
    }
    return {};
}

std::vector<std::string> engines_asked(const ForceBenchOptions& o) {
    std::vector<std::string> names;
    for (const EngineInfo& engine : engines()) {
        const bool asked = o.only.empty() || std::string_view(engine.name) == "floor" ||
                           std::find(o.only.begin(), o.only.end(), engine.name) != o.only.end();
        if (asked) names.emplace_back(engine.name);
    }
    return names;
}

}  // namespace

Result<Plan> make_plan(const ForceBenchOptions& o, unsigned cores) {
    if (auto ok = check(o); !ok) return fail(ok.error());
    Plan plan;
    const bool asked = !o.record_bytes.empty() || !o.threads.empty() ||
                       !o.records_per_force.empty() || !o.segments.empty();
    plan.cells = asked ? asked_cells(o) : o.quick ? quick_cells(cores) : full_cells(cores);
    if (!asked && !o.trace.empty()) plan.cells.push_back({0});
    plan.engines = engines_asked(o);
    plan.rounds = o.rounds != 0 ? o.rounds : o.quick ? 5 : 11;
    plan.slice_ms = o.slice_ms != 0 ? o.slice_ms : 20;
    if (o.quick) {
        plan.budget_s = kQuickBudget_s;
        const double slices =
            1.75 * static_cast<double>(plan.cells.size() * plan.engines.size()) * plan.rounds;
        const double fitting_ms = 0.5 * 1000 * kQuickBudget_s / slices;
        const uint32_t most = std::min(plan.slice_ms, kQuickSliceMax_ms);
        plan.slice_ms = std::clamp(static_cast<uint32_t>(fitting_ms), 1u, most);
    }
    return plan;
}

double estimated_s(const Plan& plan, uint64_t area_bytes) {
    double rows = 0;
    for (const Cell& cell : plan.cells) {
        for (const std::string& engine : plan.engines) rows += measured_in(engine, cell) ? 1 : 0;
    }
    const double slices = 0.25 + 1.5 * plan.rounds;  // one to warm up; a timed one has half
    const double area_gib = static_cast<double>(area_bytes) / (1u << 30);
    const double row_s = slices * plan.slice_ms / 1000 + kRow_s + kRow_s_per_gib * area_gib;
    const double seconds = rows * row_s;
    return plan.budget_s != 0 ? std::min(seconds, plan.budget_s) : seconds;
}

}  // namespace cinnabar::bench
