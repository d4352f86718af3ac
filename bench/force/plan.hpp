// Which cells a run measures, and for how long.
#pragma once

#include "force/force_bench.hpp"

namespace cinnabar::bench {

struct Plan {
    std::vector<Cell> cells;
    std::vector<std::string> engines;  // those asked for, floor first
    uint32_t rounds = 0;
    uint32_t slice_ms = 0;  // of an untimed slice; a timed one has half of it
    double budget_s = 0;    // a quick run cuts rounds to end by then; 0: none
};

// About how long a plan takes: what the engines cannot do faster than they do is not known before.
double estimated_s(const Plan& plan, uint64_t area_bytes);

// Errors: invalid_argument, naming the option.
Result<Plan> make_plan(const ForceBenchOptions& options, unsigned cores);

}  // namespace cinnabar::bench
