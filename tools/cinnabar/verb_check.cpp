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
    say("'" + options.path + "' is damaged in " + std::to_string(damage.size()) +
        (damage.size() == 1 ? " place" : " places") +
        "; what verifies can be read with: cinnabar dump");
    return end_with(ExitCode::corrupt, options.json);
}

}  // namespace

void add_check(CLI::App& program, Chosen& chosen) {
    auto* app = program.add_subcommand("check", "Verify every record, header, row and mark");
    auto options = std::make_shared<PoolOptions>();
    add_pool_options(*app, *options);
    run_when_chosen(*app, chosen, [options] { return check(*options); });
}

}  // namespace cinnabar::tool
