// The folders that are to hold what a violation leaves.
#pragma once

#include <filesystem>
#include <string>

#include "cinnabar/result.hpp"

namespace cinnabar::tool {

// "images lie in it". Errors: not_found.
inline Result<void> check_folder(const std::string& path, const std::string& what_for) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) return {};
    return fail(Errc::not_found, "'" + path + "' is no folder; make it first" + what_for);
}

}  // namespace cinnabar::tool
