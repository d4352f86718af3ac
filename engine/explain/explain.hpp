// What can be said of an image that fails: the smallest one that fails as well, which calls are to
// blame, in which order they would have to be durable, and the line that names the image.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cinnabar/crash.hpp"
#include "cinnabar/result.hpp"
#include "explain/finding.hpp"
#include "explain/replay.hpp"
#include "sim/image.hpp"
#include "sim/trace.hpp"

namespace cinnabar::explain {

// An image that fails, and how to ask of others at the same crash point.
struct Failure {
    const sim::PendingLines& pending;
    sim::Image& image;  // it stands there
    // What is wrong with the image as it stands then, where it fails in the same way; or nothing.
    std::function<std::string()> wrong;
    // What recovery comes to with the image as it stands then, whatever that is.
    std::function<std::string()> outcome;
    // No further one is asked for the sake of a smaller image.
    std::function<bool()> has_enough = [] { return false; };
    uint64_t tries_max = 0;  // in each direction; 0: it is taken as it was found
    std::chrono::milliseconds page_time_max{0};  // for all that keep_for_page asks
    Names name;
    uint32_t workload = 0;
    // What must not come before a store that is lost, where no store that survives says it.
    std::function<std::string(const Finding::Store& lost)> until;
    // Of an image that fails whatever survives and whatever is lost. May be left out.
    std::function<std::string()> why_none_helps = {};
};

// Fills in what, lost, survived, order, replay of a violation whose kind, crash point and place are
// known. The image then stands at the one that the replay line names.
Finding explain(const Failure& failure, crash::Violation& violation);

// What the page of a finding shows, before the crash point is left; the image stands where explain
// has left it. Where it was reduced also on which lines the outcome depends: recovery runs once
// more for each lane of the page, while there is time. Of lanes for which there was none the
// violation says how many.
void keep_for_page(Finding& finding, const Failure& failure, const sim::Trace& trace,
                   crash::Violation& violation);

// What a workload had stored by each of its crash points, those of a fix not counted: a sum of the
// calls and of the lines to which they stored, and one of what they stored there.
struct Trail {
    std::vector<uint32_t> lines;
    std::vector<uint32_t> values;
};

// What a run with a fix found, and how much that says of what it did not find.
struct Tried {
    std::vector<crash::Violation> left;
    uint64_t same_lines = 0;   // up to so many crash points it stored by the same calls to the same
    uint64_t same_values = 0;  // lines, and the same values
    bool is_shorter = false;   // it began fewer operations than the run before, or printed less
    bool all_tried = false;    // no image was left out
};

// Fills in up to where the two runs did the same.
void compare(const Trail& first, const Trail& again, Tried& tried);

// What became of the violation where the fix was tried; `known` are those that were found without.
std::string outcome_of(const Fix& fix, Domain domain, const crash::Violation& violation,
                       const Tried& tried, std::span<const crash::Violation> known = {});

// Of the violations that have such a number tries the fix, and says in each what came of it; so
// many different fixes at most. `run_again` makes the run once more with it, from where it began,
// and gives what that finds. Errors of it: the run cannot be made, or does not come to that call.
using RunAgain = std::function<Result<Tried>(const Fix&)>;
void try_fixes(const std::map<size_t, Fix>& fixes, uint64_t fixes_max, Domain domain,
               const RunAgain& run_again, std::vector<crash::Violation>& violations);

// A replay line of whatever program. Errors: invalid_argument (it is none).
Result<Replay> read_replay(std::string_view line);
// One of this program. Errors: also where it is of another build.
Result<Replay> parse_replay(std::string_view line);

// Puts the image that the replay line names, at its crash point. Errors: invalid_argument (it is of
// another workload; the workload stores other values now).
Result<void> put_replayed(const Replay& replay, uint32_t workload, std::span<const std::byte> live,
                          const sim::PendingLines& pending, sim::Image& image);

}  // namespace cinnabar::explain
