// An image that stays, in a file with holes for pages of zeros.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "cinnabar/result.hpp"

namespace cinnabar::explain {

// Errors: io (there is no file, or a part of it).
Result<void> write_image(const std::string& path, std::span<const std::byte> image);
// Moves a file of a violation to where that of the number stands, which counts from 0: the path is
// then that one, or none.
void move_file(std::string& path, const std::string& folder, size_t number, const char* ending);
// What an earlier run has left of its violations: "violation-1.image" and so on.
void remove_violations(const std::string& folder, const std::string& ending);
// "'PATH' cannot be written: No space left on device", after a call that has set errno.
Error cannot_be_written(const std::string& path);

}  // namespace cinnabar::explain
