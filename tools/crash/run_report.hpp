// What the preloaded object writes when the workload of `cinnabar crash run` has ended, read again.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "cinnabar/crash.hpp"
#include "explain/finding.hpp"

namespace cinnabar::tool {

// The report whose json() this is.
crash::Report report_of(const std::string& json);

// What may mend its violations, by number from 0 ("fixes.json", as preload.cpp writes it).
std::map<size_t, explain::Fix> fixes_of(const std::string& json);

}  // namespace cinnabar::tool
