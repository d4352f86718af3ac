#include "campaign_report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace cinnabar::tool {

namespace {

using trials::CampaignRun;

struct Sum {
    sim::Explored explored = {};
    std::vector<uint64_t> images = {};  // hashes; of several runs the same ones again
    uint64_t appends = 0;
    uint64_t violations = 0;
    double process_s = 0;

    void add(const CampaignRun& run) {
        explored.add(run.outcome.explored);
        images.insert(images.end(), run.images.begin(), run.images.end());
        appends += run.outcome.appends;
        violations += run.is_violation() ? 1 : 0;
        process_s += run.outcome.seconds;
    }
    uint64_t images_distinct() const {
        std::vector<uint64_t> sorted = images;
        std::ranges::sort(sorted);
        const auto repeated = std::ranges::unique(sorted);
        return sorted.size() - repeated.size();
    }
    double images_per_s() const {
        return process_s > 0 ? static_cast<double>(explored.images) / process_s : 0;
    }
};

template <class Which>
uint64_t count(const CampaignReport& report, Which which) {
    return static_cast<uint64_t>(std::ranges::count_if(report.runs, which));
}

uint64_t defects(const CampaignReport& report) {
    return count(report, [](const CampaignRun& run) { return run.is_defect() && run.is_named(); });
}
uint64_t defects_caught(const CampaignReport& report) {
    return count(report, [](const CampaignRun& run) {
        return run.is_defect() && run.is_named() && !run.is_violation();
    });
}
// Of engines without a defect: as they are, or changed in a way that harms nothing.
uint64_t false_alarms(const CampaignReport& report) {
    if (!report.broken.empty()) return 0;
    return count(report, [](const CampaignRun& run) { return !run.is_defect() && run.failed(); });
}

uint64_t violations(const CampaignReport& report) {
    return count(report, [](const CampaignRun& run) { return run.is_violation(); });
}

double rounded(double value) {
    return std::round(value * 100) / 100;
}

constexpr std::array<const char*, sim::kLevels> kLevelNames = {"boundary", "one_line", "two_lines",
                                                               "random"};

Json levels_json(const sim::Explored& explored) {
    Json out;
    for (size_t level = 0; level < sim::kLevels; ++level)
        out[kLevelNames[level]] = {{"images", explored.levels[level].shown},
                                   {"crash_points_cut_short", explored.levels[level].cut_short}};
    return out;
}

std::string levels_text(const sim::Explored& explored) {
    const auto of = [&](sim::Level level) {
        return grouped(explored.levels[static_cast<size_t>(level)].shown);
    };
    return "by level: " + of(sim::Level::boundary) + " boundaries, " + of(sim::Level::one_line) +
           " of one line, " + of(sim::Level::two_lines) + " of two, " + of(sim::Level::random) +
           " drawn; cut short at " + count_text(explored.cut_short, "crash point") + "\n";
}

void put_sum(Json& out, const Sum& sum) {
    out["images"] = sum.explored.images;
    out["images_distinct"] = sum.images_distinct();
    out["images_repeated"] = sum.explored.repeated;
    out["states_represented_log10"] = rounded(sum.explored.states_log10);
    out["not_tried_log10"] = rounded(sum.explored.not_tried_log10());
    out["images_per_s"] = std::round(sum.images_per_s());
    out["crash_points"] = sum.explored.crash_points;
    out["crash_points_cut_short"] = sum.explored.cut_short;
    out["levels"] = levels_json(sum.explored);
    out["appends"] = sum.appends;
    out["violations"] = sum.violations;
}

std::string kind_of(const CampaignRun& run) {
    return std::string(name_of(run.tried.broken.domain)) +
           (run.tried.broken.forced_cached ? ", cached" : "");
}

Json json_of(const CampaignRun& run) {
    Json out;
    out["domain"] = name_of(run.tried.broken.domain);
    out["forced_cached"] = run.tried.broken.forced_cached;
    Sum sum;
    sum.add(run);
    put_sum(out, sum);
    out["images_sum"] = run.outcome.explored.sum;
    out["process_s"] = rounded(run.outcome.seconds);
    out["wrong"] = run.failed() ? Json(run.outcome.wrong) : Json();
    return out;
}

Json mutant_json(const CampaignRun& run) {
    return {{"name", run.tried.broken.name},
            {"scenario", run.tried.scenario->name},
            {"defect", run.is_defect()},
            {"noticed", run.noticed()},
            {"what", run.noticed() ? Json(run.outcome.wrong) : Json()}};
}

std::string format(const char* layout, auto... values) {
    char line[256];
    std::snprintf(line, sizeof line, layout, values...);
    return line;
}

std::string table_line(const CampaignRun& run) {
    const sim::Explored& explored = run.outcome.explored;
    return format("%-26s %-18s %7s %11s %8.1f %8.1f %8s\n",
                  std::string(run.tried.scenario->name).c_str(), kind_of(run).c_str(),
                  grouped(explored.crash_points).c_str(), grouped(explored.images).c_str(),
                  explored.states_log10, explored.not_tried_log10(),
                  grouped(run.outcome.appends).c_str());
}

std::string again(const CampaignReport& report, const CampaignRun& run) {
    std::string words = command_of(report, run);
    if (!run.is_mutant() || run.noticed()) return words;
    words.resize(words.find(" --break"));
    return words + (run.is_named() ? " --mutants" : " --matrix");
}

const trials::Explained* explained_of(const CampaignReport& report, const CampaignRun& run) {
    const auto at = static_cast<size_t>(&run - report.runs.data());
    return at < report.explained.size() && !report.explained[at].text.empty()
               ? &report.explained[at]
               : nullptr;
}

std::string violation(const CampaignReport& report, const CampaignRun& run) {
    std::string text = "VIOLATION: ";
    text.append(run.tried.scenario->name).append(", ").append(kind_of(run));
    if (run.is_mutant()) text.append(", mutant ").append(run.tried.broken.name);
    text.append(": ").append(run.failed() ? run.outcome.wrong : "does not notice a defect");
    text.append("\n");
    if (const auto* explained = explained_of(report, run)) text.append(explained->text);
    return text.append("  again: ").append(again(report, run)).append("\n");
}

Json violation_json(const CampaignReport& report, const CampaignRun& run) {
    const trials::Explained* explained = explained_of(report, run);
    if (explained == nullptr) return {};
    Json out = Json::parse(explained->json);
    out["again"] = again(report, run);
    return out;
}

// Of an engine that was broken, in scenarios that did not mind.
std::string unnoticed(const CampaignReport& report) {
    const trials::Known* known = trials::find_known(report.broken);
    if (known == nullptr) return "";
    if (!known->harmless.empty())
        return report.broken + " is no defect: " + std::string(known->harmless) + "\n";
    return report.broken + " is not noticed here; " + std::string(known->scenario) +
           " is the scenario that must\n";
}

}  // namespace

bool CampaignReport::any_violation() const {
    return std::ranges::any_of(runs, &CampaignRun::is_violation);
}

std::string grouped(uint64_t number) {
    std::string text = std::to_string(number);
    for (size_t at = text.size(); at > 3;) text.insert(at -= 3, 1, ' ');
    return text;
}

std::string command_of(const CampaignReport& report, const CampaignRun& run) {
    std::string words = "cinnabar crash log --scenario ";
    words += run.tried.scenario->name;
    if (!run.tried.broken.name.empty()) words.append(" --break ").append(run.tried.broken.name);
    words += " --seed " + std::to_string(run.tried.seed);
    if (!run.is_mutant() && report.images_max != 0)
        words += " --images " + std::to_string(report.images_max);
    return words;
}

Json json_of(const CampaignReport& report) {
    Json out = document();
    out["seed"] = report.seed;
    out["broken"] = report.broken.empty() ? Json() : Json(report.broken);
    out["images_max_per_level"] = report.images_max == 0 ? Json() : Json(report.images_max);
    Sum all;
    out["scenarios"] = out["mutant_runs"] = Json::array();
    for (const trials::Scenario& scenario : trials::scenarios()) {
        Sum sum;
        Json runs = Json::array();
        for (const CampaignRun& run : report.runs) {
            if (run.is_mutant() || run.tried.scenario != &scenario) continue;
            sum.add(run);
            all.add(run);
            runs.push_back(json_of(run));
            runs.back()["violation"] = violation_json(report, run);
        }
        if (runs.empty()) continue;
        Json entry{{"name", scenario.name}, {"what", scenario.what}};
        put_sum(entry, sum);
        entry["runs"] = std::move(runs);
        out["scenarios"].push_back(std::move(entry));
    }
    for (const CampaignRun& run : report.runs)
        if (run.is_mutant()) {
            out["mutant_runs"].push_back(mutant_json(run));
            out["mutant_runs"].back()["violation"] = violation_json(report, run);
        }
    all.violations = violations(report);
    put_sum(out, all);
    out["mutants"] = defects(report);
    out["mutants_caught"] = defects_caught(report);
    out["changes_without_defect"] =
        count(report, [](const CampaignRun& run) { return run.is_named() && !run.is_defect(); });
    out["false_alarms"] = false_alarms(report);
    out["elapsed_s"] = rounded(report.seconds);
    out["interrupted"] = !report.interruption.empty();
    out["runs"] = report.runs.size();
    out["runs_not_ended"] = report.runs_all - report.runs.size();
    return out;
}

std::string matrix_of(const CampaignReport& report) {
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const std::span<const trials::Scenario> all = trials::scenarios();
    std::string text, mutant, row;
    const auto end_row = [&] {
        if (!mutant.empty())
            text +=
                mutant + std::string(36 - std::min(mutant.size(), size_t{35}), ' ') + row + "\n";
    };
    for (size_t i = 0; i < all.size(); ++i)
        text += std::string(1, kLetters.at(i)) + " " + std::string(all[i].name) + ": " +
                std::string(all[i].what) + "\n";
    for (const CampaignRun& run : report.runs) {
        if (!run.is_mutant()) continue;
        if (run.tried.broken.name != mutant) {
            end_row();
            mutant = run.tried.broken.name;
            row.assign(all.size(), '.');
        }
        const auto at = static_cast<size_t>(run.tried.scenario - all.data());
        if (run.noticed()) row[at] = run.ended() ? kLetters.at(at) : '?';
    }
    end_row();
    return text;
}

// Of few images the time is none that says anything.
std::string rate_text(const Sum& sum) {
    constexpr uint64_t images_min = 10'000;
    if (sum.explored.images < images_min) return {};
    return grouped(static_cast<uint64_t>(sum.images_per_s())) + " images per second and core; ";
}

std::string text_of(const CampaignReport& report) {
    std::string text = format("%-26s %-18s %7s %11s %8s %8s %8s\n", "scenario", "domain", "crashes",
                              "images", "of 10^", "left 10^", "appends");
    Sum all;
    for (const CampaignRun& run : report.runs) {
        if (run.is_mutant()) continue;
        all.add(run);
        text += table_line(run);
    }
    if (all.explored.crash_points == 0) text.clear();
    for (const CampaignRun& run : report.runs)
        if (run.is_violation()) text += violation(report, run);
    if (all.explored.crash_points != 0)
        text += grouped(all.explored.images) + " images (" + grouped(all.images_distinct()) +
                " distinct) at " + grouped(all.explored.crash_points) + " crash points, " +
                count_text(violations(report), "violation") + "; " + rate_text(all) +
                format("10^%.1f not tried\n", all.explored.not_tried_log10()) +
                levels_text(all.explored);
    if (!report.broken.empty() && !report.any_violation() && report.interruption.empty())
        text += unnoticed(report);
    const uint64_t mutants = count(report, [](const CampaignRun& run) { return run.is_named(); });
    if (mutants != 0)
        text += grouped(mutants) + " mutants: " + grouped(defects_caught(report)) + " of " +
                grouped(defects(report)) + " defects noticed" +
                (mutants > defects(report) ? ", the others are none; " : "; ") +
                grouped(false_alarms(report)) + " false alarms\n";
    if (!report.interruption.empty())
        text += "NOT WHOLE: " + report.interruption + "; " + grouped(report.runs.size()) + " of " +
                grouped(report.runs_all) + " runs had ended\n";
    return text + format("seed %llu, %.1f s\n", static_cast<unsigned long long>(report.seed),
                         report.seconds);
}

}  // namespace cinnabar::tool
