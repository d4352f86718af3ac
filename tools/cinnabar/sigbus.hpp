// A pool file that shrinks while it is mapped, or a page that its medium cannot give back, ends a
// program with SIGBUS. This program says so before it ends; the library installs no handler.
#pragma once

#include <string_view>

namespace cinnabar::tool {

// From now on SIGBUS speaks of the pool at `path` and ends the program as an IO error.
void guard_mapping(std::string_view path);

}  // namespace cinnabar::tool
