// The numbers the program ends with, and which error ends it with which: here and nowhere else.
#pragma once

#include <string_view>

#include "cinnabar/result.hpp"

namespace cinnabar::tool {

enum class ExitCode : int {
    ok = 0,
    usage = 1,
    not_found_or_io = 2,
    corrupt = 3,
    salvaged_with_gaps = 4,
    locked = 5,
    unsupported_version = 6,
    refused = 7,
    violation = 8,
};

ExitCode exit_code_of(Errc code);

}  // namespace cinnabar::tool
