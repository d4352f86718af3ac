// What the preloaded object writes when the workload of `cinnabar crash run` has ended, read again.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "cinnabar/crash.hpp"
#include "cinnabar/result.hpp"
#include "explain/earlier.hpp"
#include "explain/explain.hpp"
#include "explain/finding.hpp"

namespace cinnabar::tool {

// "'PATH' was not written whole": by the preloaded object.
Error not_whole(const std::string& path);

// The report whose json() the text is; it stood at `path`. Errors: io (a part of it is missing).
Result<crash::Report> report_of(const std::string& text, const std::string& path);

// An error that the workload's process has left at `path`; nothing where there is none.
std::optional<Error> error_left(const std::string& path);

// What is known of a workload that has not ended, or that died ("so_far.json").
struct SoFar {
    pid_t recovering = 0;  // the process that has images recovered; 0: none does
    bool is_last = true;   // or what came later could not be written
    crash::Report report;
};
// Nothing where there is no such file: it has come to no crash point. Errors: io (a part of it is
// missing).
Result<std::optional<SoFar>> so_far_of(const std::string& path);

// What further runs may show, and what they are compared with ("again.json", as preload.cpp writes
// it).
struct Remaining {
    explain::Trail trail;
    std::optional<explain::Earlier> earlier;
    std::map<size_t, explain::Fix> fixes;  // by the number of the violation, from 0
};
// Nothing where there is no such file. Errors: io (a part of it is missing).
Result<Remaining> remaining_of(const std::string& path);

}  // namespace cinnabar::tool
