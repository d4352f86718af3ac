// A crash inside of recovery. Of an image that recovers rightly, recovery runs once more: as the
// workload of a run of its own, in a process that a zygote forks, with workers of that process.
// Each fence of the recovery is a crash point there, and what that leaves is recovered again. The
// oracle is the outer run's, with its history, so that each digest is a question to it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cinnabar/crash.hpp"
#include "crash/desk.hpp"
#include "crash/workers.hpp"

namespace cinnabar::crash {

// Beside the images: a folder for what such a run keeps.
inline constexpr const char* kInsideFolders = "cinnabar-inside.";
// Between the replay line of the image whose recovery is crashed and that of the crash in there.
inline constexpr std::string_view kThen = " then ";

// The image whose recovery it is, as a violation names it; and how much may be looked at.
struct InsideRequest {
    std::string image = {};  // its replay line
    std::string where = {};
    uint64_t crash_point = 0;
    uint64_t operations = 0;
    std::string begun = {};  // in words, or nothing where nobody knows
    Domain domain = Domain::cache_line;
    uint64_t violations_max = 1;
    std::string image_folder = {};  // as those of Options
    std::string page_folder = {};
    // Instead: makes this image, and puts it in the place of the other one.
    std::string replay = {};

    std::string bytes() const;
    static InsideRequest of(std::string_view bytes);
};

// What the oracle says, or threw.
struct OracleAnswer {
    bool threw = false;
    std::string what;

    std::string bytes() const;
    static OracleAnswer of(std::string_view bytes);
};

// The reply: the run's report, of the counts those that are needed, of the violations all but in
// how many crash points they were, and the first ones where the desk has no room for all; without
// remarks.
std::string bytes_of(Report report);
Report report_of(std::string_view bytes);
// ... and of a replay: what went wrong with it, or nothing.

[[noreturn]] void be_inside(Desk& desk, int shared_image, const Test& test, const Options& options,
                            const FileCrashes& file_crashes);

}  // namespace cinnabar::crash
