// Which image of a run: the crash point, and which of those shown there, both from 1 and in the
// order of the run. Crash points inside of recoveries are counted among the others. 0: none.
#pragma once

#include <cstdint>

namespace cinnabar::trials {

struct Place {
    uint64_t crash_point = 0;
    uint64_t image = 0;

    bool operator==(const Place&) const = default;
};

}  // namespace cinnabar::trials
