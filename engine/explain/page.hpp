// A violation as one page for a browser, without scripts and with everything in it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cinnabar/crash.hpp"
#include "cinnabar/result.hpp"
#include "explain/finding.hpp"
#include "sim/trace.hpp"

namespace cinnabar::explain {

// The lines that have a lane, in order: those that the finding keeps, and some that were stored to
// before.
std::vector<uint64_t> lanes_of(const Finding& finding, const sim::Trace& trace);

// Time along x, of the last calls before the crash; at the end of each lane the words that the
// crash kept and lost.
std::string page_of(const crash::Violation& violation, const Finding& finding,
                    const sim::Trace& trace);

// Errors: io (there is no file, or a part of it).
Result<void> write_page(const std::string& path, const std::string& page);
// Writes into a page that was made before all was known: what was tried, and what came of it; how
// many images come to this; and in the place of the replay line the command that takes it. Errors:
// io.
Result<void> complete_page(const std::string& path, const crash::Violation& violation,
                           const std::string& command);

}  // namespace cinnabar::explain
