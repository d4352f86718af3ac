// cinnabar crash: tests that recovery survives every crash. Started by `cinnabar`.
#include <csignal>

#include "crash_verbs.hpp"
#include "output.hpp"
#include "usage.hpp"

namespace cinnabar::tool {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 done; 1 usage, or a workload that cannot be followed (misuse); 2 not found, or "
    "the\n"
    "system failed a call; 8 a violation was found.\n";

int run(int argc, char** argv) {
    CLI::App program("Test that recovery survives every crash", "cinnabar crash");
    program.footer(kFooter);
    program.require_subcommand(1);
    Chosen chosen;
    add_crash_log(program, chosen);
    add_crash_run(program, chosen);
    return run_verb(program, chosen, argc, argv);
}

}  // namespace
}  // namespace cinnabar::tool

int main(int argc, char** argv) {
    std::signal(SIGXFSZ, SIG_IGN);  // an error with a sentence, not the end
    return cinnabar::tool::run(argc, argv);
}
