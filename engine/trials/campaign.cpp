#include "trials/campaign.hpp"

#include "base/check.hpp"

namespace cinnabar::trials {

namespace {

void add_broken(std::vector<CampaignRun>& runs, const Scenario& scenario, const std::string& name) {
    for (const Broken& broken : all_broken())
        if (broken.name == name && scenario.applies_in(broken.domain))
            runs.push_back({.broken = broken, .scenario = &scenario});
}

void add_whole(std::vector<CampaignRun>& runs, const Scenario& scenario) {
    for (const Domain domain : {Domain::cache_line, Domain::page, Domain::byte}) {
        if (!scenario.applies_in(domain)) continue;
        runs.push_back({.broken = {.domain = domain}, .scenario = &scenario});
        if (domain == Domain::cache_line)
            runs.push_back(
                {.broken = {.domain = domain, .forced_cached = true}, .scenario = &scenario});
    }
}

std::vector<CampaignRun> all_runs(const CampaignOptions& options) {
    std::vector<CampaignRun> runs;
    for (const Scenario& scenario : scenarios())
        if (options.whole && (options.scenario == nullptr || options.scenario == &scenario)) {
            if (options.broken.empty())
                add_whole(runs, scenario);
            else
                add_broken(runs, scenario, options.broken);
        }
    if (!options.mutants) return runs;
    for (const Broken& broken : all_broken()) {
        const Known* known = find_known(broken.name);
        CNB_CHECK(known != nullptr);
        for (const Scenario& scenario : scenarios())
            if ((options.scenario == nullptr || options.scenario == &scenario) &&
                (known->scenario == scenario.name || options.matrix) &&
                scenario.applies_in(broken.domain))
                runs.push_back({.broken = broken, .scenario = &scenario, .known = known});
    }
    return runs;
}

sim::ExploreOptions levels_of(uint64_t images) {
    if (images == 0) return {.cover_pairs = true};
    return {.cover_pairs = true, .random_images = images, .images_max = images};
}

}  // namespace

std::vector<CampaignRun> run_campaign(const CampaignOptions& options) {
    std::vector<CampaignRun> runs = all_runs(options);
    const auto run = [&](size_t i, Outcome& outcome) {
        const bool mutant = runs[i].known != nullptr;
        run_broken(runs[i].broken, *runs[i].scenario, mutant ? 1 : options.seed,
                   mutant ? sim::ExploreOptions{} : levels_of(options.images), outcome);
    };
    ForkOptions processes = options.processes;
    if (options.images != 0) processes.seconds_max = 0;  // so many as were asked for
    const auto outcomes = run_forked(runs.size(), processes, run, options.look);
    for (size_t i = 0; i < runs.size(); ++i) runs[i].outcome = outcomes[i];
    return runs;
}

}  // namespace cinnabar::trials
