// A word that is 1 in the process that opened a log and 0 in any child it forks, at the price of
// one load to look. A page that the kernel wipes on fork; where that is missing, a fork handler.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace cinnabar::log {

// One word for the process; made at the first call.
const std::atomic<uint32_t>& alive_word();

// "wipe-on-fork" or "fork handler".
std::string_view fork_guard_kind();

}  // namespace cinnabar::log
