// Pieces of work, each in a process of its own, several at a time: one that aborts, or does not
// end, has an outcome as well, and what it switched on concerns no other.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cinnabar/crash.hpp"
#include "sim/explore.hpp"
#include "trials/place.hpp"

namespace cinnabar::trials {

// What a piece of work leaves at its end.
struct Outcome {
    sim::Explored explored = {};
    uint64_t images_distinct = 0;
    uint64_t appends = 0;
    double seconds = 0;      // of its process's time
    bool has_ended = false;  // its process has; false: nobody waited for that
    Place at = {};           // the image that is to blame for what is wrong, or none
    crash::ViolationKind kind = crash::ViolationKind::wrong;  // of what is wrong
    char wrong[480] = {};

    void set_wrong(std::string_view text);
};

// Of work that was stopped: what that means nobody knows.
inline constexpr std::string_view kDoesNotEnd = "does not end";

struct ForkOptions {
    unsigned at_once = 1;
    // Of each; 0: no bound. A processor's time, since work is not to blame for a busy machine; and
    // behind it the clock's, for what waits for ever and takes none.
    unsigned cpu_seconds_max = 60;
    unsigned clock_seconds_max = 600;
};

// Runs work(i, outcome) for each i below `count`; calls `look` again and again meanwhile, with how
// many have ended and all outcomes. Where that returns false, what has not ended is killed, and
// nothing more begins. To be called while this process has one thread.
using LookAtOutcomes = std::function<bool(size_t ended, std::span<const Outcome>)>;
std::vector<Outcome> run_forked(size_t count, const ForkOptions& options,
                                const std::function<void(size_t, Outcome&)>& work,
                                const LookAtOutcomes& look = {});

}  // namespace cinnabar::trials
