// A recovery command inside of which power fails: it is run with the same object preloaded that is
// in the workload, over its image as the watched file and in a folder of its own. So what the
// program does in there that maps the image is a run as the workload's is, with the same command
// for its recovery; the object leaves the report in that folder.
#pragma once

#include <functional>
#include <string>

#include "cinnabar/crash.hpp"
#include "cinnabar/result.hpp"
#include "crash/inside.hpp"

namespace cinnabar::tool {

// The request is in the file of the setting INSIDE, and the reply comes into this one.
inline constexpr const char* kInsideReply = "/reply";

// The reply to the request, or where it is of a replay line, the image. The folder is that of the
// options. `lives` is called while it goes on. Errors: invalid_argument (of a replay line), io.
Result<std::string> crash_recovery_command(const crash::InsideRequest& request,
                                           const crash::Options& options, const std::string& image,
                                           const std::string& acknowledged,
                                           const std::function<void()>& lives);

// By the object that is preloaded there: before each recovery of its own. The file of the request.
void say_that_it_lives(const std::string& request);

}  // namespace cinnabar::tool
