// cinnabar crash log: the log's own scenarios and mutants.
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "campaign_report.hpp"
#include "crash_verbs.hpp"
#include "explain/image_file.hpp"
#include "explain_log.hpp"
#include "folder.hpp"
#include "force/force_bench.hpp"
#include "interruption.hpp"
#include "option_checks.hpp"
#include "pool_options.hpp"
#include "results.hpp"
#include "trials/replayed.hpp"

namespace cinnabar::tool {

namespace {

struct LogVerb {
    std::string scenario;
    uint64_t seed = 1;
    uint64_t images = 0;
    std::string broken;
    bool mutants = false;
    bool matrix = false;
    std::string json_file;
    std::string page_folder;
    std::string image_folder;
    std::optional<std::string> replay;
    std::string replayed_file;
};

template <class All>
std::string names_of(const All& all) {
    std::string names;
    for (const auto& one : all) names += (names.empty() ? "" : ", ") + std::string(one.name);
    return names;
}

std::string scenario_lines() {
    std::string lines = "Scenarios:\n";
    for (const trials::Scenario& scenario : trials::scenarios())
        lines += "  " + std::string(scenario.name) +
                 std::string(28 - std::min(scenario.name.size(), size_t{27}), ' ') +
                 std::string(scenario.what) + "\n";
    return lines;
}

// How far the runs are, while they are under way and nobody interrupts them.
trials::LookAtOutcomes progress_on(bench::TerminalProgress& progress) {
    return [&progress, next = std::chrono::steady_clock::now()](
               size_t ended, std::span<const trials::Outcome> outcomes) mutable {
        if (Interruption::has_come()) return false;
        const auto now = std::chrono::steady_clock::now();
        if (now < next) return true;
        next = now + std::chrono::milliseconds(200);
        uint64_t images = 0;
        for (const trials::Outcome& outcome : outcomes) images += outcome.explored.images;
        progress.at(static_cast<double>(ended) / static_cast<double>(outcomes.size()),
                    std::to_string(ended) + " of " + std::to_string(outcomes.size()) + " runs, " +
                        grouped(images) + " images");
        return true;
    };
}

// Without --scenario and --mutants everything; else what they name.
trials::CampaignOptions options_of(const LogVerb& verb, const trials::Scenario* scenario) {
    trials::CampaignOptions options;
    options.scenario = scenario;
    options.broken = verb.broken;
    options.whole = !verb.matrix && (scenario != nullptr || !verb.mutants);
    options.mutants = verb.matrix || verb.mutants || (scenario == nullptr && verb.broken.empty());
    options.matrix = verb.matrix;
    options.seed = verb.seed;
    options.images = verb.images;
    return options;
}

// What a process said before it died need not be text.
std::string text_of(const Json& json) {
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

ExitCode usage_error(const std::string& sentence, bool json) {
    return end_with(Error{Errc::invalid_argument, sentence, {}, {}}, json);
}

// The image that --replay names, into a file.
ExitCode deliver_replayed(const LogVerb& verb, const trials::CampaignOptions& options) {
    std::vector<trials::ScenarioRun> runs;
    for (const trials::CampaignRun& run : trials::all_runs(options))
        if (!run.is_mutant()) runs.push_back(run.tried);
    const auto image = trials::image_of(runs, *verb.replay);
    if (!image) return end_with(image.error(), false);
    if (const auto written = explain::write_image(verb.replayed_file, *image); !written)
        return end_with(written.error(), false);
    say("the image is in '" + verb.replayed_file + "'");
    return ExitCode::ok;
}

// All of it, or what there is of it when a signal comes.
CampaignReport run(const LogVerb& verb, trials::CampaignOptions options) {
    CampaignReport report;
    report.broken = verb.broken;
    report.seed = verb.seed;
    report.images_max = verb.images;
    report.runs_all = trials::all_runs(options).size();
    const auto begin = std::chrono::steady_clock::now();
    {
        bench::TerminalProgress progress;
        options.look = progress_on(progress);
        report.runs = trials::run_campaign(options);
    }
    explain(report, {.pages = verb.page_folder, .images = verb.image_folder});
    if (Interruption::has_come()) report.interruption = Interruption::text();
    report.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return report;
}

ExitCode deliver(const LogVerb& verb, const CampaignReport& report) {
    const bool json = verb.json_file == "-";
    if (report.runs_all == 0)
        return usage_error("nothing to run: scenario '" + verb.scenario +
                               "' has no run in the domain of mutant '" + verb.broken + "'",
                           json);
    if (!json && verb.matrix) put(matrix_of(report));
    if (!json) put(text_of(report));
    const ExitCode code = write_results(text_of(json_of(report)), verb.json_file);
    if (code != ExitCode::ok) return code;
    if (!report.interruption.empty()) say(report.interruption + ": the results are not whole");
    if (report.any_violation()) say("violations were found; the results say where");
    return end_with(report.any_violation() ? ExitCode::violation : ExitCode::ok, json);
}

ExitCode crash_log(const LogVerb& verb) {
    const bool json = verb.json_file == "-";
    const trials::Scenario* scenario =
        verb.scenario.empty() ? nullptr : trials::find_scenario(verb.scenario);
    if (scenario == nullptr && !verb.scenario.empty())
        return usage_error("there is no scenario '" + verb.scenario +
                               "'; there are: " + names_of(trials::scenarios()),
                           json);
    if (!verb.broken.empty() && trials::find_known(verb.broken) == nullptr)
        return usage_error(
            "there is no mutant '" + verb.broken + "'; there are: " + names_of(trials::all_known()),
            json);
    if (!verb.broken.empty() && (verb.mutants || verb.matrix))
        return usage_error("--break and --mutants or --matrix do not go together", json);
    for (const auto& [folder, what_for] : {std::pair(verb.page_folder, ": pages lie in it"),
                                           std::pair(verb.image_folder, ": images lie in it")})
        if (!folder.empty())
            if (const auto there = check_folder(folder, what_for); !there)
                return end_with(there.error(), json);
    if (auto ok = check_results(verb.json_file); !ok) return end_with(ok.error(), false);
    const trials::CampaignOptions options = options_of(verb, scenario);
    if (verb.replay) return deliver_replayed(verb, options);
    explain::remove_violations(verb.page_folder, ".html");
    explain::remove_violations(verb.image_folder, ".image");
    const Interruption interruption;
    return deliver(verb, run(verb, options));
}

}  // namespace

void add_crash_log(CLI::App& program, Chosen& chosen) {
    auto* app = program.add_subcommand(
        "log",
        "Crash the log engine in every scenario, and prove the tests by its mutants: less "
        "than a minute on two cores");
    app->footer(scenario_lines() + "\n" + app->get_footer());
    auto verb = std::make_shared<LogVerb>();
    app->add_option("--scenario", verb->scenario, "This one alone, over the whole engine")
        ->type_name("NAME");
    app->add_option("--seed", verb->seed, "Of old bytes, lengths, turns of threads [1]")
        ->check(number_from(0))
        ->type_name("S");
    app->add_option("--images", verb->images,
                    "At most N of each level at each crash point, and N drawn ones [all that the "
                    "levels have, and 2]")
        ->check(number_from(1))
        ->type_name("N");
    app->add_flag("--mutants", verb->mutants,
                  "The mutants alone; with --scenario also those that it must notice");
    app->add_flag("--matrix", verb->matrix,
                  "Every mutant in every scenario, or in the one given: minutes");
    app->add_option("--break", verb->broken,
                    "Break the engine so, to see what a violation looks like; NAME is a mutant's")
        ->type_name("NAME");
    app->add_option("--page", verb->page_folder, "Put a page for the browser there, per violation")
        ->type_name("DIR");
    app->add_option("--image-dir", verb->image_folder, "Put the image of each violation there")
        ->type_name("DIR");
    auto* replay =
        app->add_option("--replay", verb->replay,
                        "Look for nothing; give the image that a violation's line names, "
                        "with the other words as they were")
            ->type_name("LINE");
    auto* image = app->add_option("--image", verb->replayed_file, "Where that image is put")
                      ->type_name("FILE");
    replay->needs(image);
    image->needs(replay);
    add_results_option(*app, verb->json_file);
    run_when_chosen(*app, chosen, [verb] { return crash_log(*verb); });
}

}  // namespace cinnabar::tool
