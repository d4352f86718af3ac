#include "trials/scenarios.hpp"

#include <array>

#include "trials/scenario_bodies.hpp"

namespace cinnabar::trials {

namespace {

constexpr std::array kScenarios = {
    Scenario{"appending", "lazy and forced records, marks, recycling", appending},
    Scenario{"new_space", "the same in space never used", new_space},
    Scenario{"recycling", "the same in two segments", recycling},
    Scenario{"killing", "kill, recovery, power loss", killing},
    Scenario{"failing", "a failed msync, a new process, power loss", failing, Domain::page},
    Scenario{"failing_and_going_on", "a failed msync, the same process", failing_and_going_on,
             Domain::page},
    Scenario{"failing_threads", "a failed msync while two streams are forced", failing_threads,
             Domain::page},
    Scenario{"reviving", "power loss, recovery, a record, power loss", reviving},
    Scenario{"two_threads", "two threads in a shared stream", two_threads},
    Scenario{"three_threads", "three, with short records", three_threads},
    Scenario{"group_forcing", "three, which force behind themselves", group_forcing},
    Scenario{"overtaken", "three, of which one is slow", overtaken},
    Scenario{"crossing_threads", "three, with long records", crossing_threads},
    Scenario{"killed_threads", "kill amidst three threads, use, power loss", killed_threads},
    Scenario{"reviving_threads", "three threads, power loss, recovery, use, power loss",
             reviving_threads},
    Scenario{"carrying", "one thread's copy, forced by another", carrying},
    Scenario{"killed_appending", "kill anywhere in appending, use, power loss", killed_appending},
    Scenario{"killed_opening", "kill while spares are prepared", killed_opening},
    Scenario{"killed_releasing", "kill while a mark is raised", killed_releasing},
    Scenario{"killed_erasing", "power loss, kill in recovery, use, power loss", killed_erasing},
    Scenario{"killed_renewing", "the same with segments behind the cut", killed_renewing},
    Scenario{"preparing_twice", "two power losses in one preparation", preparing_twice},
    Scenario{"recovering", "power loss inside recovery", recovering},
    Scenario{"closing", "a clean close, power loss, rot", closing},
    Scenario{"releasing_too_far", "a mark above the durable frontier", releasing_too_far},
    Scenario{"reading_what_is_released", "a reader on a released segment",
             reading_what_is_released},
    Scenario{"full_log", "what was reserved, in a full log, after a crash", full_log},
    Scenario{"reserving", "outcomes, a checkpoint and a mark in a full log", reserving},
    Scenario{"carrying_forward", "records carried out of the oldest segment", carrying_forward},
    Scenario{"many_lives", "10 000 lives of a record, in each of which power fails", many_lives},
    Scenario{"in_doubt", "10 000 lives with a record in doubt, in a full log", in_doubt},
    Scenario{"on_a_weaker_medium", "a life of the byte domain, the next of another",
             on_a_weaker_medium, Domain::cache_line},
    Scenario{"in_space_of_another_pool", "over frames of another pool", in_space_of_another_pool},
    Scenario{"in_space_of_long_ago", "over frames of 2^32 generations ago", in_space_of_long_ago},
    Scenario{"damaging", "rot and misplaced bytes", damaging},
    Scenario{"large_segments", "appending in new segments of 1 MiB", large_segments},
    Scenario{"two_streams", "killing and reviving, of two streams", two_streams},
    Scenario{"two_services", "recycling under the marks of two services", two_services},
    Scenario{"over_old_bytes", "appending over ones, noise, half-overwritten frames",
             over_old_bytes},
};

}  // namespace

std::span<const Scenario> scenarios() {
    return kScenarios;
}

const Scenario* find_scenario(std::string_view name) {
    for (const Scenario& scenario : kScenarios)
        if (scenario.name == name) return &scenario;
    return nullptr;
}

}  // namespace cinnabar::trials
