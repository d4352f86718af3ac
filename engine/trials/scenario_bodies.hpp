// The scenarios, one function each; scenarios.cpp has them in a table.
#pragma once

#include <string>

#include "trials/trial.hpp"

namespace cinnabar::trials {

// Lives without an accident but the last: append, force, release, recycle, close.
std::string appending(Trial& trial);
std::string large_segments(Trial& trial);
std::string new_space(Trial& trial);
std::string recycling(Trial& trial);
std::string over_old_bytes(Trial& trial);
std::string carrying(Trial& trial);
std::string closing(Trial& trial);
std::string releasing_too_far(Trial& trial);
std::string reading_what_is_released(Trial& trial);

// msync fails, in the page domain.
std::string failing(Trial& trial);
std::string failing_and_going_on(Trial& trial);
std::string failing_threads(Trial& trial);

// Threads in a shared stream, in many orders.
std::string two_threads(Trial& trial);
std::string three_threads(Trial& trial);
std::string group_forcing(Trial& trial);
std::string overtaken(Trial& trial);
std::string crossing_threads(Trial& trial);
std::string killed_threads(Trial& trial);
std::string reviving_threads(Trial& trial);

// The process is killed, the next one goes on, and power fails.
std::string killing(Trial& trial);
std::string killed_appending(Trial& trial);
std::string killed_opening(Trial& trial);
std::string killed_releasing(Trial& trial);
std::string killed_erasing(Trial& trial);
std::string killed_renewing(Trial& trial);

// Power fails again: in recovery, after it, on another medium.
std::string reviving(Trial& trial);
std::string preparing_twice(Trial& trial);
std::string recovering(Trial& trial);
std::string on_a_weaker_medium(Trial& trial);

// Full logs, space that was promised, and records that are carried forward.
std::string full_log(Trial& trial);
std::string reserving(Trial& trial);
std::string carrying_forward(Trial& trial);

// Several streams, several services.
std::string two_streams(Trial& trial);
std::string two_services(Trial& trial);

// Many short lives.
std::string many_lives(Trial& trial);
std::string in_doubt(Trial& trial);

// Bytes that were there before, and bytes that rot.
std::string in_space_of_another_pool(Trial& trial);
std::string in_space_of_long_ago(Trial& trial);
std::string damaging(Trial& trial);

}  // namespace cinnabar::trials
