// The earliest crash point at which a violation is there: with the fewest operations begun, since a
// workload cannot be made shorter, but cut. Crash points are visited in their order, so an earlier
// one counts only where the search has left images out; those that the violation's own lines make
// are then tried there in a run for them alone.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "cinnabar/crash.hpp"
#include "explain/finding.hpp"
#include "sim/image.hpp"

namespace cinnabar::explain {

// "operation 1 (crash point 6); no earlier crash point fails so, ..."; `begun`: of which operation
// that is, or nothing where nobody knows.
std::string since_text(uint64_t crash_point, const std::string& begun, bool all_tried);

// What such a run looks at: images of these lines, before this crash point.
struct Earlier {
    std::set<uint64_t> lines;
    uint64_t before = 0;
};

// Shows the images of a crash in which all that is pending survives, or nothing does, but for all
// of the lines, or for one of them in each of its representative contents; until `visit` returns
// false.
void show_earlier(const std::set<uint64_t>& lines, const sim::PendingLines& pending,
                  sim::Image& image, const std::function<bool()>& visit);

// Removes what a run that was killed has left of its further ones: folders with such a name, behind
// which mkdtemp has put six letters.
void remove_folders(const std::string& in, const std::string& beginning);

// Puts what such a run has found in the place of what is the same at a later crash point, with its
// files; and adds what was not known. `taken(from, to)` is told of each number, which count from 0.
void take_earlier(std::vector<crash::Violation>& violations,
                  const std::vector<crash::Violation>& earlier, const std::string& image_folder,
                  const std::string& page_folder, const std::function<void(size_t, size_t)>& taken);

}  // namespace cinnabar::explain
