// What can be said of a run that went wrong: it is made again, in a process of its own, up to the
// image that failed; that is reduced and put into words as the kit does (explain/explain.hpp), and
// the run is made once more with a flush and a fence put in.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trials/mutants.hpp"

namespace cinnabar::trials {

struct Explained {
    std::string text;  // lines that are set in by two
    std::string json;  // one object, with the members of a violation of the kit
};

struct Unexplained {
    ScenarioRun run;
    Outcome outcome;  // of that very run
    // The command that gives the image which this replay line names.
    std::function<std::string(const std::string& line)> command;
    // Where set, what is put there.
    std::string page_file = {};
    std::string image_file = {};
};

// In the same order. Where no image is to blame that is what is said. Once `look` returns false,
// what is known by then.
std::vector<Explained> explain_all(std::span<const Unexplained> all,
                                   const LookAtOutcomes& look = {});

}  // namespace cinnabar::trials
