// What the engine is put through while it is crashed: by the mutants, each of which must be noticed
// by one of these, and by the whole engine, at which none may find anything wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "crash/harness.hpp"

namespace cinnabar::crash_test {

struct Setting {
    Life::Options life = {};
    uint64_t seed = 1;  // of the pool's old bytes, of lengths, and of how threads take turns
};

struct Workload {
    std::string_view name;
    std::string_view what;
    std::string (*run)(const Setting& setting);  // empty, or what was wrong
    std::optional<Domain> only = {};

    bool applies_in(Domain domain) const { return !only || *only == domain; }
};

std::span<const Workload> workloads();
const Workload& workload(std::string_view name);

}  // namespace cinnabar::crash_test
