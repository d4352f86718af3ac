// A replay line of a run: which run it is of, and the image that it names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "cinnabar/result.hpp"
#include "trials/mutants.hpp"

namespace cinnabar::trials {

// Of a run: which it is, whatever the engine does. In a replay line, of the workload.
uint32_t number_of(const ScenarioRun& run);

// The image that a replay line names, of one of these runs. Errors: invalid_argument (no such line;
// another build; of none of these runs).
Result<std::vector<std::byte>> image_of(std::span<const ScenarioRun> runs, std::string_view line);

}  // namespace cinnabar::trials
