// cinnabar check POOL: reads and verifies everything, changes nothing.
#include <algorithm>
#include <memory>

#include "output.hpp"
#include "pool_options.hpp"

namespace cinnabar::tool {

namespace {

bool same_place(const Damage& a, const Damage& b) {
    return a.stream == b.stream && a.verdict == b.verdict && a.lsn == b.lsn && a.range == b.range;
}

// What the open found and what the check found, each once.
std::vector<Damage> all_damage(const OpenReport& report, std::vector<Damage> found) {
    std::vector<Damage> all = report.damage;
    for (Damage& damage : found)
        if (std::none_of(all.begin(), all.end(),
                         [&](const Damage& known) { return same_place(known, damage); }))
            all.push_back(std::move(damage));
    return all;
}

// Says what it comes to. Gaps are what an earlier salvage could not save: no damage of this pool.
ExitCode verdict_on(const std::string& path, const std::vector<Damage>& damage) {
    const auto places = [](size_t count, const std::string& what) {
        return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
    };
    const size_t gaps = static_cast<size_t>(std::count_if(
        damage.begin(), damage.end(), [](const Damage& one) { return one.verdict == "gap"; }));
    if (gaps != 0)
        say("'" + path + "' has " + places(gaps, "gap") +
            " that a salvage left: what stood there is lost");
    if (gaps == damage.size()) {
        say("'" + path + "': everything else verifies");
        return ExitCode::salvaged_with_gaps;
    }
    say("'" + path + "' is damaged in " + places(damage.size() - gaps, "place") +
        "; what verifies can be saved with: cinnabar salvage");
    return ExitCode::corrupt;
}

ExitCode check(const PoolOptions& options) {
    auto log = options.open(true);
    if (!log) return end_with(log.error(), options.json);
    auto found = log->check();
    if (!found) return end_with(found.error(), options.json);
    const OpenReport& report = log->report();
    const std::vector<Damage> damage = all_damage(report, std::move(*found));

    Json out = document();
    out["pool"] = options.path;
    out["streams"] = Json::array();
    out["damage"] = Json::array();
    out["notes"] = report.notes;
    for (const StreamReport& stream : report.streams)
        out["streams"].push_back({{"name", stream.name},
                                  {"begin_lsn", stream.begin.value},
                                  {"low_water_lsn", stream.low_water.value},
                                  {"testified_lsn", stream.testified.value},
                                  {"end_lsn", stream.end.value},
                                  {"end_verdict", stream.end_verdict}});
    for (const Damage& one : damage) out["damage"].push_back(json_of(one));
    if (options.json) put_json(out);

    for (const Damage& one : damage)
        if (!options.json) put_line(text_of(one));
    for (const std::string& note : report.notes) say(note);
    if (damage.empty()) {
        say("'" + options.path + "': everything verifies");
        return end_with(ExitCode::ok, options.json);
    }
    return end_with(verdict_on(options.path, damage), options.json);
}

}  // namespace

void add_check(CLI::App& program, Chosen& chosen) {
    auto* app = program.add_subcommand("check", "Verify every record, header, row and mark");
    auto options = std::make_shared<PoolOptions>();
    add_pool_options(*app, *options);
    run_when_chosen(*app, chosen, [options] { return check(*options); });
}

}  // namespace cinnabar::tool
