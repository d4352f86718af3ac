// The verbs of `cinnabar crash`.
#pragma once

#include "verbs.hpp"

namespace cinnabar::tool {

void add_crash_log(CLI::App& program, Chosen& chosen);
void add_crash_run(CLI::App& program, Chosen& chosen);

}  // namespace cinnabar::tool
