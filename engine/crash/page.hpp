// A violation as one page for a browser, without scripts and with everything in it.
#pragma once

#include <string>

#include "cinnabar/crash.hpp"
#include "crash/finding.hpp"
#include "crash/trace.hpp"

namespace cinnabar::crash {

// Time along x, of the last calls before the crash; a lane for each line that the finding keeps,
// and for some that were stored to before; at its end the words that the crash kept and lost.
std::string page_of(const Violation& violation, const Finding& finding, const Trace& trace);

}  // namespace cinnabar::crash
