// Starts the workload of `cinnabar crash run` with the object that crashes it preloaded, and waits
// for its end.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cinnabar/result.hpp"
#include "explain/earlier.hpp"
#include "explain/finding.hpp"
#include "preload/notes.hpp"

namespace cinnabar::tool {

// What the command line asks for.
struct RunRequest {
    std::string file;
    std::string image_folder;
    std::string recover_command;
    std::string json_file;
    std::string page_folder;
    std::string replay;
    std::string replayed_file;
    uint64_t seed = 1;
    uint64_t images = 1000;
    uint64_t random_images = 100;
    uint64_t milliseconds = 10'000;
    uint64_t memory_bytes = uint64_t{1} << 30;
    uint64_t violations = 10;
    uint64_t recovery_crashes = 40;
    uint64_t fixes = 3;
    uint64_t workload_seconds = 600;
    std::vector<std::string> workload;

    // What the workload's process and this one leave for each other.
    std::string notes() const { return notes_folder(image_folder); }
    std::string note(const char* name) const { return notes() + "/" + name; }
    // Where the file is kept as it was before the run, for a replay.
    std::string before_folder() const { return image_folder + "/cinnabar-before"; }
    // Makes the first of the two. Neither is a link to somebody else's. Errors: io.
    Result<void> make_notes() const;
    // What gives the image of a replay line, for a shell.
    std::string command_of(const std::string& line, const std::string& image) const;
};

// Where the object is that is preloaded. Errors: not_found.
Result<std::string> find_preload();

// Beside the images, for as long as a further run takes: a folder for what it writes.
inline constexpr const char* kAgainFolders = "cinnabar-again.";

// What a further run is for, and how it is made.
struct Further {
    std::optional<explain::Fix> fix;
    std::optional<explain::Earlier> earlier;
    // Where the standard input is read from; nothing: it is empty.
    std::optional<off_t> input_at = {};
    std::chrono::milliseconds time_max = {};
};

// Until the workload has ended, with all that it has started. Nothing, or how it ended otherwise
// than it should: "the workload died: Killed". Where it takes too long, recoveries not counted, or
// this program is told to end, all of it is killed. Of a further run nobody sees the standard
// error: it has been read once. Errors: io.
Result<std::string> run_workload(const RunRequest& request, const std::string& preload,
                                 const std::optional<Further>& further = {});

}  // namespace cinnabar::tool
