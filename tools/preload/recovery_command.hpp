// The recovery of `cinnabar crash run`: a command of somebody's, run by a shell, which gets what
// has been acknowledged as its standard input, and the path of an image behind its words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cinnabar::tool {

// What came of it: "exit 0", "exit 1: what it said", "signal 11". Throws Unavailable.
std::string run_recovery_command(const std::string& image, const std::string& acknowledged);
// What is wrong with the image then, or nothing.
std::string verdict_on(std::string_view end, const std::string& acknowledged,
                       uint64_t memory_bytes);

// In a child: becomes the command, with its output into that file.
[[noreturn]] void become_recovery_command(const std::string& image, const std::string& acknowledged,
                                          int said);

// 0 where there is none.
uint64_t bytes_of_file(const std::string& path);

}  // namespace cinnabar::tool
