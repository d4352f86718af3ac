// cinnabar bench: what a log force costs on this machine, beside what people use today, and what
// recovery costs.
#include <iostream>
#include <map>
#include <memory>

#include "force/force_bench.hpp"
#include "output.hpp"
#include "pool_options.hpp"
#include "recovery/recovery_bench.hpp"
#include "results.hpp"

namespace cinnabar::tool {

namespace {

struct BenchVerb {
    bench::ForceBenchOptions options;
    std::string json_file;  // empty: a table; "-": the standard output
    Emulate emulate = Emulate::no;
    CLI::Option* emulate_option = nullptr;
};

struct RecoveryVerb {
    bench::RecoveryBenchOptions options;
    std::string json_file;
    Emulate emulate = Emulate::no;
    CLI::Option* emulate_option = nullptr;
};

// Prints or writes what was measured.
template <class Report>
ExitCode deliver(const Report& report, const std::string& json_file, const char* if_not_verified) {
    const bool json = json_file == "-";
    if (!json) bench::print_table(report, std::cout);
    std::cout.flush();
    const ExitCode code = json_file.empty()
                              ? ExitCode::ok
                              : write_results(bench::to_json(report).dump(1) + "\n", json_file);
    if (code != ExitCode::ok) return code;
    if (!report.all_verified()) {
        say(if_not_verified);
        return end_with(ExitCode::corrupt, json);
    }
    return end_with(ExitCode::ok, json);
}

ExitCode bench_force(const BenchVerb& verb) {
    bench::ForceBenchOptions options = verb.options;
    if (verb.emulate_option->count() != 0) options.emulate = verb.emulate;
    if (auto ok = check_results(verb.json_file); !ok) return end_with(ok.error(), false);
    bench::TerminalProgress progress;
    auto report = bench::run_force_bench(options, progress);
    if (!report) return end_with(report.error(), verb.json_file == "-");
    const ExitCode code =
        deliver(*report, verb.json_file,
                "what an engine wrote did not verify afterwards; the rows say which");
    const bench::Row* failed = report->first_failed();
    if (code != ExitCode::ok || failed == nullptr) return code;
    say(failed->engine + " failed: " + failed->error->message +
        "; the rows say where, and what else did");
    return exit_code_of(failed->error->code);
}

ExitCode bench_recovery(const RecoveryVerb& verb) {
    bench::RecoveryBenchOptions options = verb.options;
    if (verb.emulate_option->count() != 0) options.emulate = verb.emulate;
    if (auto ok = check_results(verb.json_file); !ok) return end_with(ok.error(), false);
    bench::TerminalProgress progress;
    auto report = bench::run_recovery_bench(options, progress);
    if (!report) return end_with(report.error(), verb.json_file == "-");
    return deliver(*report, verb.json_file,
                   "what was recovered is not what was written; the rows say which");
}

void add_cells(CLI::App& app, bench::ForceBenchOptions& options) {
    static const std::map<std::string, bench::Segments> kSegments = {
        {"warm", bench::Segments::warm}, {"recycled", bench::Segments::recycled}};
    app.add_option("--record-bytes", options.record_bytes, "Record sizes, 8 to 65536")
        ->delimiter(',')
        ->type_name("N,...");
    app.add_option("--threads", options.threads, "Numbers of threads")
        ->delimiter(',')
        ->type_name("N,...");
    app.add_option("--records-per-force", options.records_per_force, "A force each N records")
        ->delimiter(',')
        ->type_name("N,...");
    app.add_option("--segments", options.segments, "Space that is ready, or reused on the way")
        ->delimiter(',')
        ->transform(one_of(kSegments))
        ->type_name("warm,recycled");
    app.add_option("--trace", options.trace, "A file whose line lengths are record sizes too")
        ->type_name("FILE");
    app.add_option("--only", options.only, "Engines by name, of those below; floor always runs")
        ->delimiter(',')
        ->type_name("NAME,...");
}

template <class Verb>
void add_medium(CLI::App& app, Verb& verb) {
    static const std::map<std::string, Emulate> kEmulate = {
        {"no", Emulate::no}, {"cache_line", Emulate::cache_line}, {"byte", Emulate::byte}};
    app.add_option("--directory", verb.options.directory,
                   "Where the files go, which are removed at the end [of /dev/shm, $TMPDIR, "
                   "/var/tmp, /tmp the first with room in memory, else on a disk]")
        ->type_name("DIR");
    verb.emulate_option =
        app.add_option("--emulate", verb.emulate,
                       "How a medium that is not persistent memory is treated [cache_line on "
                       "tmpfs, else no]")
            ->transform(one_of(kEmulate))
            ->type_name("no|cache_line|byte");
}

void add_rivals(CLI::App& app, bench::ForceBenchOptions& options) {
    app.add_option("--disk-directory", options.disk_directory,
                   "Where the rivals on disk put their files [likewise, on a disk]")
        ->type_name("DIR");
    app.add_option("--fence-ns", options.modelled.fence_ns, "Delay added to each fence")
        ->type_name("NS");
    app.add_option("--line-ns", options.modelled.line_ns, "Delay added to each flushed line")
        ->type_name("NS");
}

void add_force(CLI::App& group, Chosen& chosen) {
    auto* app =
        group.add_subcommand("force",
                             "What a log force costs here, beside rivals: about 2.5 minutes on two "
                             "cores, a minute more on 16; with --quick less than 20 s");
    app->footer("Engines, which are the rows of the table:\n" + bench::engine_lines() + "\n" +
                app->get_footer());
    auto verb = std::make_shared<BenchVerb>();
    app->add_flag("--quick", verb->options.quick, "Few cells and small areas: less than 20 s");
    add_cells(*app, verb->options);
    add_medium(*app, *verb);
    add_rivals(*app, verb->options);
    app->add_option("--rounds", verb->options.rounds, "Slices of each engine in each cell [11]")
        ->type_name("N");
    app->add_option("--slice-ms", verb->options.slice_ms, "Length of a slice, 1 to 50 [20]")
        ->type_name("MS");
    add_size_option(*app, "--area", verb->options.area_bytes, "Log space of each engine [256M]");
    add_results_option(*app, verb->json_file);
    run_when_chosen(*app, chosen, [verb] { return bench_force(*verb); });
}

void add_recovery(CLI::App& group, Chosen& chosen) {
    auto* app = group.add_subcommand(
        "recovery", "What opening a log after a crash costs here: about half a minute");
    auto verb = std::make_shared<RecoveryVerb>();
    app->add_flag("--quick", verb->options.quick, "Smaller logs, fewer rounds");
    add_medium(*app, *verb);
    add_size_option(*app, "--scan", verb->options.scan_bytes, "Log that is scanned, about [256M]");
    add_size_option(*app, "--log", verb->options.log_bytes, "Log that is reopened [1G]");
    app->add_option("--rounds", verb->options.rounds, "Scans and kills of each kind [9]")
        ->type_name("N");
    add_results_option(*app, verb->json_file);
    run_when_chosen(*app, chosen, [verb] { return bench_recovery(*verb); });
}

}  // namespace

void add_bench(CLI::App& program, Chosen& chosen) {
    auto* group = program.add_subcommand("bench", "Measure");
    group->require_subcommand(1);
    add_force(*group, chosen);
    add_recovery(*group, chosen);
}

}  // namespace cinnabar::tool
