// cinnabar crash: hands over to the program that stands beside this one.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "output.hpp"
#include "usage.hpp"
#include "verbs.hpp"

namespace cinnabar::tool {

void add_crash(CLI::App& program, Chosen&) {
    program.add_subcommand(kCrashVerb, "Test that recovery survives every crash");
}

ExitCode become_crash_program(int argc, char** argv) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    const std::string path = (self.parent_path() / "cinnabar-crash").string();
    std::vector<char*> words(argv + 1, argv + argc);
    words.push_back(nullptr);
    ::execv(path.c_str(), words.data());
    return end_with_usage("'" + path + "' cannot be started: " + std::strerror(errno) +
                              "; it is built and installed beside this program",
                          argc, argv);
}

}  // namespace cinnabar::tool
