// What the engine is put through while it is crashed: by the mutants, each of which must be noticed
// by one of these, and by the whole engine, at which none may find anything wrong.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "trials/trial.hpp"

namespace cinnabar::trials {

struct Scenario {
    std::string_view name;
    std::string_view what;
    std::string (*run)(Trial& trial);  // empty, or what was wrong
    std::optional<Domain> only = {};

    bool applies_in(Domain domain) const { return !only || *only == domain; }
};

std::span<const Scenario> scenarios();
const Scenario* find_scenario(std::string_view name);

}  // namespace cinnabar::trials
