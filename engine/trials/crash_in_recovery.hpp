// Recovery of one image again: done twice, and with power failing inside of it.
#pragma once

#include <string>

#include "trials/trial.hpp"

namespace cinnabar::trials {

// A second recovery comes to the same as the first one and changes nothing. `image` is of a crash
// of `crashed`. The answer is empty, or says what is wrong.
std::string recover_twice(Life& crashed, sim::Image& image);

// At every crash point of the recovery of `image`, and behind it: what that leaves passes `check`,
// and the recovery of it finds no record less than this one. It may find more as long as this one
// has not ended: a frame of which words are missing that are to be zero is whole once the erasing
// is torn there.
std::string crash_in_recovery(Trial& trial, Life& crashed, sim::Image& image,
                              const Explorer::Check& check);

}  // namespace cinnabar::trials
