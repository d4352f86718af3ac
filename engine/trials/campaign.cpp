#include "trials/campaign.hpp"

#include <cstring>
#include <map>

#include "base/check.hpp"
#include "trials/letter.hpp"

namespace cinnabar::trials {

namespace {

constexpr uint64_t kDrawnImages = 2;  // at each crash point, beside what the other levels have

sim::ExploreOptions levels_of(const CampaignOptions& options) {
    sim::ExploreOptions levels{.cover_pairs = true, .seed = options.seed};
    levels.random_images = options.images != 0 ? options.images : kDrawnImages;
    if (options.images != 0) levels.images_max.fill(options.images);
    return levels;
}

void add_run(std::vector<CampaignRun>& runs, const CampaignOptions& options, const Broken& broken,
             const Scenario& scenario) {
    if (!scenario.applies_in(broken.domain)) return;
    runs.push_back({.tried = {.broken = broken,
                              .scenario = &scenario,
                              .seed = options.seed,
                              .levels = levels_of(options)}});
}

void add_whole(std::vector<CampaignRun>& runs, const CampaignOptions& options,
               const Scenario& scenario) {
    for (const Domain domain : {Domain::cache_line, Domain::page, Domain::byte}) {
        add_run(runs, options, {.domain = domain}, scenario);
        if (domain == Domain::cache_line)
            add_run(runs, options, {.domain = domain, .forced_cached = true}, scenario);
    }
}

void add_mutant(std::vector<CampaignRun>& runs, const CampaignOptions& options,
                const Broken& broken) {
    const Known* known = find_known(broken.name);
    CNB_CHECK(known != nullptr);
    for (const Scenario& scenario : scenarios())
        if ((options.scenario == nullptr || options.scenario == &scenario) &&
            (known->scenario == scenario.name || options.matrix) &&
            scenario.applies_in(broken.domain))
            runs.push_back({.tried = {.broken = broken, .scenario = &scenario}, .known = known});
}

std::string text_of(const std::vector<uint64_t>& hashes) {
    return {reinterpret_cast<const char*>(hashes.data()), hashes.size() * sizeof(uint64_t)};
}

std::vector<uint64_t> hashes_in(const std::string& text) {
    std::vector<uint64_t> hashes(text.size() / sizeof(uint64_t));
    if (!hashes.empty()) std::memcpy(hashes.data(), text.data(), text.size());
    return hashes;
}

}  // namespace

std::vector<CampaignRun> all_runs(const CampaignOptions& options) {
    std::vector<CampaignRun> runs;
    const std::vector<Broken> broken = all_broken();
    for (const Scenario& scenario : scenarios()) {
        if (!options.whole || (options.scenario != nullptr && options.scenario != &scenario))
            continue;
        if (options.broken.empty()) add_whole(runs, options, scenario);
        for (const Broken& one : broken)
            if (one.name == options.broken) add_run(runs, options, one, scenario);
    }
    if (options.mutants)
        for (const Broken& one : broken) add_mutant(runs, options, one);
    return runs;
}

std::vector<CampaignRun> run_campaign(const CampaignOptions& options) {
    std::vector<CampaignRun> runs = all_runs(options);
    std::map<size_t, Letter> letters;  // what images there were, of runs that may have many
    for (size_t i = 0; i < runs.size(); ++i)
        if (!runs[i].is_mutant()) letters[i];
    const auto run = [&](size_t i, Outcome& outcome) {
        std::vector<uint64_t> images;
        run_broken(runs[i].tried, outcome, [&](Trial& trial) { trial.keep = &images; });
        CNB_CHECK(images.size() == outcome.images_distinct);
        if (const auto at = letters.find(i); at != letters.end()) at->second.write(text_of(images));
    };
    ForkOptions processes = options.processes;
    // So many as were asked for.
    if (options.images != 0 && !options.mutants)
        processes.cpu_seconds_max = processes.clock_seconds_max = 0;
    const auto outcomes = run_forked(runs.size(), processes, run, options.look);
    for (size_t i = 0; i < runs.size(); ++i) runs[i].outcome = outcomes[i];
    for (const auto& [i, letter] : letters)
        if (outcomes[i].has_ended) runs[i].images = hashes_in(letter.read());
    std::erase_if(runs, [](const CampaignRun& one) { return !one.outcome.has_ended; });
    return runs;
}

}  // namespace cinnabar::trials
