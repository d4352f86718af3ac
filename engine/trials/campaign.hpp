// Everything that the log is put through, in one go: each scenario over the whole engine, in each
// domain; and each mutant in the scenario that must notice it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "trials/mutants.hpp"

namespace cinnabar::trials {

struct CampaignOptions {
    const Scenario* scenario = nullptr;  // this one alone
    bool whole = true;                   // the whole engine is tried
    std::string broken;                  // ... or this mutant, as if it were whole
    bool mutants = true;                 // the mutants are tried
    bool matrix = false;                 // ... in every scenario, and not only where it must be
    uint64_t seed = 1;                   // of the whole engine's runs; the mutants' is 1
    uint64_t images = 0;                 // of each level at each crash point; 0: all that it has
    ForkOptions processes = {.at_once = 2};
    LookAtOutcomes look = {};  // false: those runs are all, that have ended by then
};

// One run, and what came of it.
struct CampaignRun {
    ScenarioRun tried;
    const Known* known = nullptr;  // of a mutant
    Outcome outcome = {};
    // Hashes of its images, each once, to be told from those of other runs; of a mutant none.
    std::vector<uint64_t> images = {};

    bool is_mutant() const { return known != nullptr; }
    // The scenario is the one that must notice the mutant, or comes nearest.
    bool is_named() const { return known != nullptr && known->scenario == tried.scenario->name; }
    bool failed() const { return outcome.wrong[0] != 0; }
    bool noticed() const {
        return failed() && !std::string_view(outcome.wrong).starts_with(kShowsNothing);
    }
    bool ended() const { return outcome.wrong != kDoesNotEnd; }
    bool is_defect() const { return known != nullptr && known->harmless.empty(); }
    // Not what was expected: an alarm at an engine without a defect; a defect that is not noticed
    // where it must be, or by something that does not end.
    bool is_violation() const {
        if (!is_defect()) return failed();
        return is_named() && (!noticed() || !ended());
    }
};

// What it consists of; and the same, run, without what has not ended where `look` returned false.
std::vector<CampaignRun> all_runs(const CampaignOptions& options);
std::vector<CampaignRun> run_campaign(const CampaignOptions& options);

}  // namespace cinnabar::trials
