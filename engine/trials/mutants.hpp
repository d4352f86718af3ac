// Everything that the engine is made to do wrong, one thing at a time: each flush, fence and store
// of its sites left out, each frame stored the other way, in every domain in which that is done;
// and each Mutant. What is known of each stands in a table (mutants.cpp), which the tests prove.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "explain/earlier.hpp"
#include "trials/forked.hpp"
#include "trials/scenarios.hpp"

namespace cinnabar::trials {

struct Broken {
    std::string name = {};  // none: the whole engine
    std::optional<Site> dropped = {};
    std::optional<Site> swapped = {};
    Mutant mutant = Mutant::none;
    Domain domain = Domain::cache_line;
    bool forced_cached = false;
};

// All that there are, made from the lists of sites and mutants.
std::vector<Broken> all_broken();

std::span<const Site> all_sites();
std::span<const Mutant> all_mutants();

// Of one of them: the scenario that notices it; or, of one that is no defect, the scenario that
// comes nearest, and why nothing can go wrong.
struct Known {
    std::string_view name;
    std::string_view scenario;
    std::string_view harmless = {};
};
std::span<const Known> all_known();
const Known* find_known(std::string_view name);

// A scenario, over an engine that is broken or whole. The same run each time.
struct ScenarioRun {
    Broken broken = {};
    const Scenario* scenario = nullptr;
    uint64_t seed = 1;
    sim::ExploreOptions levels = {};
    // Does not change what is done to the medium:
    bool traced = false;
    std::optional<explain::Earlier> earlier = {};  // images that are looked at too
    // Changes it:
    std::optional<Site> fenced = {};  // a flush and a fence behind the stores of this site
};

// Runs it in this very process, where the engine stays broken so. `prepare` comes before.
void run_broken(const ScenarioRun& run, Outcome& outcome,
                const std::function<void(Trial&)>& prepare = {});

// Runs the scenario in a process of its own: what was wrong, or empty.
std::string notice(const Broken& broken, const Scenario& scenario);

}  // namespace cinnabar::trials
