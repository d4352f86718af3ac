// The file that a run's results go to. A run takes minutes: that the file can be written is found
// out before it, what is there already is touched only when there is something to write.
#pragma once

#include <string>
#include <string_view>

#include "cinnabar/result.hpp"

namespace cinnabar::bench {

// Leaves everything as it was. A pipe or a device is not tried.
// Errors: what opening the file for writing fails with.
Result<void> check_results_file(const std::string& path);

// Replaces the content. If that fails a new file is removed again; one that was there keeps its
// content where the failure is that there is no room.
Result<void> write_results_file(const std::string& path, std::string_view text);

}  // namespace cinnabar::bench
