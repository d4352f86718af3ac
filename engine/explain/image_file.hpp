// An image that stays, in a file with holes for pages of zeros.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace cinnabar::explain {

// False: there is no file, or a part of it.
bool write_image(const std::string& path, std::span<const std::byte> image);

}  // namespace cinnabar::explain
