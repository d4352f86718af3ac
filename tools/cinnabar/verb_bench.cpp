// cinnabar bench force: what a log force costs on this machine, beside what people use today.
#include <fstream>
#include <iostream>
#include <map>
#include <memory>

#include "force/force_bench.hpp"
#include "output.hpp"
#include "pool_options.hpp"

namespace cinnabar::tool {

namespace {

struct BenchVerb {
    bench::ForceBenchOptions options;
    std::string json_file;  // empty: a table; "-": the standard output
    Emulate emulate = Emulate::no;
    CLI::Option* emulate_option = nullptr;
};

ExitCode write_json(const bench::ForceBenchReport& report, const std::string& path) {
    const std::string text = bench::to_json(report).dump(1) + "\n";
    if (path == "-") {
        put(text);
        return end_with(ExitCode::ok, true);
    }
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    if (!file)
        return end_with(Error{Errc::io, "cannot write the results to '" + path + "'", {}, {}},
                        false);
    say("results are in '" + path + "'");
    return ExitCode::ok;
}

ExitCode bench_force(const BenchVerb& verb) {
    const bool json = verb.json_file == "-";
    bench::ForceBenchOptions options = verb.options;
    if (verb.emulate_option->count() != 0) options.emulate = verb.emulate;
    bench::TerminalProgress progress;
    auto report = bench::run_force_bench(options, progress);
    if (!report) return end_with(report.error(), json);
    if (!json) bench::print_table(*report, std::cout);
    std::cout.flush();
    ExitCode code = ExitCode::ok;
    if (!verb.json_file.empty()) code = write_json(*report, verb.json_file);
    if (code != ExitCode::ok) return code;
    if (!report->all_verified()) {
        say("what an engine wrote did not verify afterwards; the rows say which");
        return end_with(ExitCode::corrupt, json);
    }
    return end_with(ExitCode::ok, json);
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
        ->transform(CLI::CheckedTransformer(kSegments).description(""))
        ->type_name("warm,recycled");
    app.add_option("--trace", options.trace, "A file whose line lengths are record sizes too")
        ->type_name("FILE");
    app.add_option("--only", options.only, "Engines by name; floor always runs")
        ->delimiter(',')
        ->type_name("NAME,...");
}

void add_medium(CLI::App& app, BenchVerb& verb) {
    static const std::map<std::string, Emulate> kEmulate = {
        {"no", Emulate::no}, {"cache_line", Emulate::cache_line}, {"byte", Emulate::byte}};
    app.add_option("--directory", verb.options.directory,
                   "Where the pools go [memory, where the most room is]")
        ->type_name("DIR");
    app.add_option("--disk-directory", verb.options.disk_directory,
                   "Where the rivals on disk put their files")
        ->type_name("DIR");
    verb.emulate_option =
        app.add_option("--emulate", verb.emulate,
                       "How a medium that is not persistent memory is treated [cache_line on "
                       "tmpfs, else no]")
            ->transform(CLI::CheckedTransformer(kEmulate).description(""))
            ->type_name("no|cache_line|byte");
    app.add_option("--fence-ns", verb.options.modelled.fence_ns, "Delay added to each fence")
        ->type_name("NS");
    app.add_option("--line-ns", verb.options.modelled.line_ns, "Delay added to each flushed line")
        ->type_name("NS");
}

}  // namespace

void add_bench(CLI::App& program, Chosen& chosen) {
    auto* group = program.add_subcommand("bench", "Measure");
    group->require_subcommand(1);
    auto* app = group->add_subcommand("force", "What a log force costs here, beside rivals");
    auto verb = std::make_shared<BenchVerb>();
    app->add_flag("--quick", verb->options.quick, "Few cells, done in less than 20 s");
    add_cells(*app, verb->options);
    add_medium(*app, *verb);
    app->add_option("--rounds", verb->options.rounds, "Slices of each engine in each cell [11]")
        ->type_name("N");
    app->add_option("--slice-ms", verb->options.slice_ms, "Length of a slice, 1 to 50 [20]")
        ->type_name("MS");
    add_size_option(*app, "--area", verb->options.area_bytes, "Log space of each engine [256M]");
    app->add_option("--json", verb->json_file,
                    "Write the results to FILE as JSON; without FILE, or with -, to the standard "
                    "output in place of the table")
        ->expected(0, 1)
        ->default_str("-")
        ->type_name("[FILE]");
    run_when_chosen(*app, chosen, [verb] { return bench_force(*verb); });
}

}  // namespace cinnabar::tool
