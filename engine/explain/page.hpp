// A violation as one page for a browser, without scripts and with everything in it.
#pragma once

#include <string>

#include "cinnabar/crash.hpp"
#include "explain/finding.hpp"
#include "sim/trace.hpp"

namespace cinnabar::explain {

// Time along x, of the last calls before the crash; a lane for each line that the finding keeps,
// and for some that were stored to before; at its end the words that the crash kept and lost.
std::string page_of(const crash::Violation& violation, const Finding& finding,
                    const sim::Trace& trace);

// False: there is no file, or a part of it.
bool write_page(const std::string& path, const std::string& page);

}  // namespace cinnabar::explain
