// The verbs. Each declares its words and options on the command line, and leaves its work in
// `chosen` when it is the one that was asked for.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "exit_code.hpp"

namespace cinnabar::tool {

using Chosen = std::function<ExitCode()>;

void add_create(CLI::App& program, Chosen& chosen);
void add_info(CLI::App& program, Chosen& chosen);
void add_stream(CLI::App& program, Chosen& chosen);
void add_service(CLI::App& program, Chosen& chosen);
void add_append(CLI::App& program, Chosen& chosen);
void add_dump(CLI::App& program, Chosen& chosen);
void add_check(CLI::App& program, Chosen& chosen);
void add_release(CLI::App& program, Chosen& chosen);
void add_copy(CLI::App& program, Chosen& chosen);
void add_salvage(CLI::App& program, Chosen& chosen);
void add_bench(CLI::App& program, Chosen& chosen);
void add_crash(CLI::App& program, Chosen& chosen);

// `cinnabar crash ...` is a program of its own (tools/crash), which stands beside this one: so this
// one holds nothing of the crash medium. Becomes it; what is returned is why that failed.
inline constexpr const char* kCrashVerb = "crash";
ExitCode become_crash_program(int argc, char** argv);

}  // namespace cinnabar::tool
