// What the workload's process and the command line leave for each other, beside the images
// (preload.cpp says which files there are).
#pragma once

#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace cinnabar::tool {

inline std::string notes_folder(const std::string& image_folder) {
    return image_folder + "/cinnabar-run";
}

// Nothing: there is no such file.
inline std::optional<std::string> text_of_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

}  // namespace cinnabar::tool
