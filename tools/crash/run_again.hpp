// What further runs of a workload say of its violations.
#pragma once

#include <string>

#include "cinnabar/crash.hpp"
#include "crash/file_before.hpp"
#include "run_workload.hpp"

namespace cinnabar::tool {

// Runs the workload again, each time over the file as it was: to look for the violations at earlier
// crash points, and to try fixes of them.
void run_again(const RunRequest& request, const std::string& preload,
               const crash::FileBefore& before, crash::Report& report);

}  // namespace cinnabar::tool
