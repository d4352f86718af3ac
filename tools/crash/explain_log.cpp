#include "explain_log.hpp"

#include <optional>
#include <utility>

#include "interruption.hpp"

namespace cinnabar::tool {

namespace {

using trials::CampaignRun;

constexpr size_t kExplainedMax = 10;  // some seconds each

bool goes_on(size_t, std::span<const trials::Outcome>) {
    return !Interruption::has_come();
}

// A mutant that is a violation is explained as `--break` runs it, which has more images. None where
// that was interrupted.
std::optional<CampaignRun> as_break(const CampaignRun& run) {
    trials::CampaignOptions options;
    options.scenario = run.tried.scenario;
    options.broken = run.tried.broken.name;
    options.mutants = false;
    options.look = goes_on;
    const auto runs = trials::run_campaign(options);
    return runs.empty() ? std::nullopt : std::optional(runs[0]);
}

std::optional<trials::Unexplained> unexplained(const CampaignReport& report, const CampaignRun& run,
                                               size_t number, const ExplainFolders& folders) {
    const auto tried = run.is_mutant() ? as_break(run) : run;
    if (!tried) return std::nullopt;
    const std::string words = command_of(report, run);
    const std::string name = "violation-" + std::to_string(number);
    const auto in = [&](const std::string& folder, const char* ending) {
        return folder.empty() ? "" : folder + "/" + name + ending;
    };
    return trials::Unexplained{.run = tried->tried,
                               .outcome = tried->outcome,
                               .command =
                                   [words, name](const std::string& line) {
                                       return words + " --replay '" + line + "' --image " + name +
                                              ".image";
                                   },
                               .page_file = in(folders.pages, ".html"),
                               .image_file = in(folders.images, ".image")};
}

}  // namespace

void explain(CampaignReport& report, const ExplainFolders& folders) {
    std::vector<size_t> which;
    std::vector<trials::Unexplained> all;
    for (size_t i = 0; i < report.runs.size() && all.size() < kExplainedMax; ++i) {
        const CampaignRun& run = report.runs[i];
        if (!run.is_violation() || !run.noticed()) continue;
        auto one = unexplained(report, run, all.size() + 1, folders);
        if (!one) return;
        which.push_back(i);
        all.push_back(std::move(*one));
    }
    report.explained.assign(report.runs.size(), {});
    const auto explained = trials::explain_all(all, goes_on);
    for (size_t i = 0; i < which.size(); ++i)
        // Who was killed amidst a word has said nothing.
        if (Json::accept(explained[i].json)) report.explained[which[i]] = explained[i];
}

}  // namespace cinnabar::tool
