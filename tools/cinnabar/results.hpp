// Where the results of a long run go: --json FILE, or the standard output in place of a table.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "exit_code.hpp"

namespace cinnabar::tool {

// "" without --json; "-" for the standard output.
CLI::Option* add_results_option(CLI::App& app, std::string& path);

// Before the run: afterwards it would be too late.
Result<void> check_results(const std::string& path);

// Puts `text` to where it was asked for, if it was.
ExitCode write_results(const std::string& text, const std::string& path);

}  // namespace cinnabar::tool
