// What was typed and cannot be run, in one sentence of the program's own form.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "exit_code.hpp"

namespace cinnabar::tool {

// A word that is no verb, named with the verbs there are; CLI11 would say that one is missing.
std::optional<std::string> unknown_verb(const CLI::App& program, int argc, char** argv);

// Ends the program with a usage error, in JSON too where that was asked for.
ExitCode end_with_usage(const std::string& sentence, int argc, char** argv);

// What CLI11 found wrong, or the help or version that it was asked for.
ExitCode end_with_parse_error(const CLI::App& program, const CLI::ParseError& error, int argc,
                              char** argv);

}  // namespace cinnabar::tool
