// What further runs of a workload say of its violations.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "cinnabar/crash.hpp"
#include "crash/file_before.hpp"
#include "run_workload.hpp"

namespace cinnabar::tool {

// What is kept of a first run, to make further ones like it.
struct FirstRun {
    std::string preload;
    crash::FileBefore before;
    std::optional<off_t> input_at;  // of the standard input, where that is a file
    std::chrono::milliseconds time = {};
    uint64_t lines_printed = 0;
};

// Where the standard input stands, if it can be read from there again.
std::optional<off_t> place_of_input();
// By the workload of a run in this folder.
uint64_t lines_printed(const RunRequest& request);

// Runs the workload again, each time over the file as it was: to look for the violations at earlier
// crash points, and to try fixes of them.
void run_again(const RunRequest& request, const FirstRun& first, crash::Report& report);

}  // namespace cinnabar::tool
