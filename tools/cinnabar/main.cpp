// cinnabar: the command line. Verbs are in files of their own; this one finds which was meant.
#include <csignal>

#include "cinnabar/bus_error.hpp"
#include "usage.hpp"
#include "verbs.hpp"

#if CINNABAR_TOOL_BENCH
#include "force/force_bench.hpp"
#include "recovery/recovery_bench.hpp"
#endif

namespace cinnabar::tool {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 done; 1 usage; 2 not found, or the system failed a call; 3 damage found;\n"
    "4 losses that a salvage told; 5 another process has the pool open; 6 a newer format;\n"
    "7 refused, for example because the log is full; 8 a violation was found.\n"
    "A SIZE is a whole number of bytes, or of K, M, G or T with or without B or iB behind: powers\n"
    "of two, 64K = 64KiB = 65536.\n";

int run(int argc, char** argv) {
    CLI::App program("A transactional log engine on storage-class memory", "cinnabar");
    program.footer(kFooter);
    program.set_version_flag("--version", "cinnabar " CINNABAR_TOOL_VERSION);
    program.require_subcommand(1);
    Chosen chosen;
    for (const auto add : {add_create, add_info, add_stream, add_service, add_append, add_dump,
                           add_check, add_release, add_copy, add_salvage})
        add(program, chosen);
#if CINNABAR_TOOL_BENCH
    add_bench(program, chosen);
#endif
    add_crash(program, chosen);
    return run_verb(program, chosen, argc, argv);
}

}  // namespace
}  // namespace cinnabar::tool

int main(int argc, char** argv) {
    // Without it a bus error ends in a core dump, which is no reason to do nothing.
    (void)cinnabar::end_on_bus_error(static_cast<int>(cinnabar::tool::ExitCode::corrupt));
    // A file over the limit of its size is then an error with a sentence, not the end.
    std::signal(SIGXFSZ, SIG_IGN);
#if CINNABAR_TOOL_BENCH
    if (argc > 1 && std::string_view(argv[1]) == cinnabar::bench::kWorkerVerb)
        return cinnabar::bench::bench_worker_main(argc, argv);
    if (argc > 1 && std::string_view(argv[1]) == cinnabar::bench::kRecoveryWriterVerb)
        return cinnabar::bench::recovery_writer_main(argc, argv);
#endif
    if (argc > 1 && std::string_view(argv[1]) == cinnabar::tool::kCrashVerb)
        return static_cast<int>(cinnabar::tool::become_crash_program(argc, argv));
    return cinnabar::tool::run(argc, argv);
}
