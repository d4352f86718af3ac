// On what a result was taken.
#pragma once

#include "force/clock.hpp"
#include "force/force_bench.hpp"

namespace cinnabar::bench {

// Processors that this process may run on.
unsigned cores_allowed();

// All of the environment block that does not depend on the run.
Environment find_environment(const Clock& clock);

}  // namespace cinnabar::bench
