// cinnabar check POOL: reads and verifies everything, changes nothing.
#include <algorithm>
#include <memory>

#include "gaps.hpp"
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
ExitCode verdict_on(const Log& log, const std::string& path, size_t gaps, size_t places) {
    if (gaps != 0) say("'" + path + "' has " + gaps_text(gaps));
    if (places == 0) {
        say(labelled(log, "'" + path + "': everything else verifies"));
        return ExitCode::salvaged_with_gaps;
    }
    say(labelled(log, "'" + path + "' is damaged in " + count_text(places, "place") +
                          "; what verifies can be saved with: cinnabar salvage"));
    return ExitCode::corrupt;
}

Json json_of(const Gap& gap) {
    return {{"begin_lsn", gap.begin.value},
            {"end_lsn", gap.end.value},
            {"offset_bytes", gap.range.offset_bytes},
            {"length_bytes", gap.range.length_bytes}};
}

Json json_of(const StreamReport& stream, const std::vector<Gap>& gaps) {
    Json out{{"name", stream.name},
             {"begin_lsn", stream.begin.value},
             {"low_water_lsn", stream.low_water.value},
             {"testified_lsn", stream.testified.value},
             {"end_lsn", stream.end.value},
             {"end_verdict", stream.end_verdict},
             {"gaps", Json::array()}};
    for (const Gap& gap : gaps) out["gaps"].push_back(json_of(gap));
    return out;
}

// Tells of everything, in text or in JSON, and what it comes to.
ExitCode tell(const PoolOptions& options, const Log& log, const std::vector<Damage>& damage) {
    const OpenReport& report = log.report();
    Json out = document(log);
    out["pool"] = options.path;
    out["gaps"] = 0;
    out["streams"] = out["damage"] = Json::array();
    out["notes"] = report.notes;
    size_t gap_count = 0, places = 0;
    for (const Damage& one : damage) {
        out["damage"].push_back(tool::json_of(one));
        if (one.verdict == "gap") continue;
        ++places;
        if (!options.json) put_line(text_of(one));
    }
    for (const StreamReport& stream : report.streams) {
        const std::vector<Gap> gaps = gaps_of(damage, stream.name);
        gap_count += gaps.size();
        out["streams"].push_back(json_of(stream, gaps));
        for (const Gap& gap : gaps)
            if (!options.json) put_line(text_of(gap, stream.name, options.path));
    }
    out["gaps"] = gap_count;
    if (options.json) put_json(out);
    for (const std::string& note : report.notes) say(note);
    if (!damage.empty()) return verdict_on(log, options.path, gap_count, places);
    say(labelled(log, "'" + options.path + "': everything verifies"));
    return ExitCode::ok;
}

ExitCode check(const PoolOptions& options) {
    auto log = options.open(true);
    if (!log) return end_with(log.error(), options.json);
    auto found = log->check();
    if (!found) return end_with(found.error(), options.json);
    const auto damage = all_damage(log->report(), std::move(*found));
    return end_with(tell(options, *log, damage), options.json);
}

}  // namespace

void add_check(CLI::App& program, Chosen& chosen) {
    auto* app = program.add_subcommand("check", "Verify every record, header, row and mark");
    auto options = std::make_shared<PoolOptions>();
    add_pool_options(*app, *options);
    run_when_chosen(*app, chosen, [options] { return check(*options); });
}

}  // namespace cinnabar::tool
