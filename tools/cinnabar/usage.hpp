// What was typed and cannot be run, in one sentence of the program's own form.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "exit_code.hpp"
#include "verbs.hpp"

namespace cinnabar::tool {

// Ends the program with a usage error, in JSON too where that was asked for.
ExitCode end_with_usage(const std::string& sentence, int argc, char** argv);

// Runs the verb that the words name, or says what is wrong with them, or the help or the version
// that they ask for. The program's exit code.
int run_verb(CLI::App& program, const Chosen& chosen, int argc, char** argv);

}  // namespace cinnabar::tool
