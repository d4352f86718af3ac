// An image that stays, in a file with holes for pages of zeros.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "cinnabar/result.hpp"

namespace cinnabar::explain {

// Errors: io (there is no file, or a part of it).
Result<void> write_image(const std::string& path, std::span<const std::byte> image);
// "'PATH' cannot be written: No space left on device", after a call that has set errno.
Error cannot_be_written(const std::string& path);

}  // namespace cinnabar::explain
