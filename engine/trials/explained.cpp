#include "trials/explained.hpp"

#include <algorithm>
#include <optional>

#include "base/check.hpp"
#include "explain/earlier.hpp"
#include "explain/explain.hpp"
#include "explain/image_file.hpp"
#include "explain/page.hpp"
#include "explain/violation.hpp"
#include "trials/letter.hpp"
#include "trials/replayed.hpp"

namespace cinnabar::trials {

namespace {

using crash::Violation;
using crash::ViolationKind;

constexpr uint64_t kTriesMax = 200;          // of a reduction, in each direction
constexpr unsigned kSecondsForAnImage = 30;  // recovered and checked, on a busy machine too
constexpr unsigned kSecondsForAPage = 60;    // in which recovery is asked of its lines
constexpr unsigned kSecondsForAll = 300;     // of one violation, by the clock

std::string name_in_words(Site site) {
    return site == Site::none ? "store of an earlier life" : std::string(name_of(site));
}

std::string append_in_words(uint64_t appends) {
    return appends == 0 ? "before any append" : "append " + std::to_string(appends);
}

std::optional<Site> site_of(std::string_view name) {
    for (const Site site : all_sites())
        if (name_of(site) == name) return site;
    return std::nullopt;
}

std::string_view without(std::string_view text, std::string_view beginning) {
    return text.starts_with(beginning) ? text.substr(beginning.size()) : text;
}

// Goes to the image that failed in a run, and explains it there.
class Explainer {
  public:
    Explainer(const ScenarioRun& run, const Outcome& outcome) : run_(run) {
        violation.kind = outcome.kind;
        violation.what = outcome.wrong;
        place_ = outcome.at;
    }

    // In this very process.
    void explain(const std::string& image_file) {
        if (place_ == Place{}) return;
        Outcome ignored;
        run_broken(run_, ignored, [&](Trial& trial) {
            trial.wanted = place_;
            trial.found = [&](const Crash& crash) {
                explain_at(trial, crash);
                if (!image_file.empty() && violation.crash_point != 0)
                    explain::note_file(explain::write_image(image_file, crash.image.image()),
                                       image_file, &Violation::image_file, violation);
                return "explained";
            };
        });
    }

    Violation violation;
    explain::Finding finding;
    sim::Trace trace;  // up to the crash

  private:
    // In a process of its own: recoveries may die of it, or not end.
    static Outcome judge(Trial& trial, const Crash& crash) {
        const auto check = [&](size_t, Outcome& outcome) {
            trial.looking = false;
            outcome.set_wrong(crash.check(crash.image));
        };
        return run_forked(1, {.clock_seconds_max = kSecondsForAnImage}, check)[0];
    }

    void explain_at(Trial& trial, const Crash& crash) {
        const Outcome first = judge(trial, crash);
        // Of a run that took too long: it was not this image.
        if (first.wrong[0] == 0) return;
        violation.kind = first.kind;
        violation.what = first.wrong;
        violation.crash_point = place_.crash_point;
        violation.operations = trial.appends;
        violation.since =
            explain::since_text(place_.crash_point, append_in_words(trial.appends), false);
        violation.where = without(crash.where, "crash at ");
        const sim::CrashMedium& medium = crash.life.medium();
        const explain::Failure failure{
            .pending = medium.pending(),
            .image = crash.image,
            .wrong =
                [&] {
                    const Outcome outcome = judge(trial, crash);
                    return std::string(outcome.kind == first.kind ? outcome.wrong : "");
                },
            .outcome = [&] { return std::string(judge(trial, crash).wrong); },
            .tries_max = first.kind == ViolationKind::hung ? 0 : kTriesMax,
            .page_time_max = std::chrono::seconds(kSecondsForAPage),
            .name = name_in_words,
            .workload = number_of(run_),
            .until = [&](const explain::Finding::Store& lost) -> std::string {
                if (medium.is_sealed(lost.line)) return "the record there is acknowledged";
                return "what was durable or acknowledged by then";
            }};
        finding = explain::explain(failure, violation);
        if (!run_.traced) return;
        trace = crash.life.trace();
        keep_for_page(finding, failure, trace, violation);
    }

    const ScenarioRun& run_;
    Place place_;
};

// What such a run looks at beside.
explain::Earlier earlier_than(const Explainer& one) {
    explain::Earlier earlier;
    earlier.before = one.violation.crash_point;
    for (const auto* lines : {&one.finding.lost, &one.finding.survived})
        for (const auto& [line, content] : *lines) earlier.lines.insert(line);
    return earlier;
}

// What such a run came to, if that is the same at an earlier crash point, with fewer operations
// begun.
std::optional<Outcome> look_earlier(const ScenarioRun& run, const Explainer& one) {
    if (!one.finding.lost_store && !one.finding.surviving_store) return std::nullopt;
    const Outcome outcome =
        run_forked(1, {}, [&](size_t, Outcome& its_own) { run_broken(run, its_own); })[0];
    const bool is_earlier = outcome.wrong[0] != 0 && outcome.kind == one.violation.kind &&
                            outcome.at.crash_point != 0 &&
                            outcome.at.crash_point < one.violation.crash_point;
    return is_earlier ? std::optional(outcome) : std::nullopt;
}

// The run once more, with the fix: what is found then. `tell` is told of a first word on that.
void try_fix(const ScenarioRun& run, Explainer& one, const std::function<void()>& tell) {
    const auto site = one.finding.fix ? site_of(one.finding.fix->where) : std::nullopt;
    if (!site) return;
    ScenarioRun again = run;
    again.fenced = site;
    again.traced = false;
    const auto say = [&](const std::vector<Violation>& left) {
        // The same scenario, which ends at the first image that fails.
        const explain::Tried tried{
            .left = left,
            .same_lines = UINT64_MAX,
            .same_values = UINT64_MAX,
            .all_tried = run.levels.images_max == sim::ExploreOptions().images_max};
        one.violation.fix = outcome_of(*one.finding.fix, run.broken.domain, one.violation, tried);
        tell();
    };
    const Outcome outcome =
        run_forked(1, {}, [&](size_t, Outcome& its_own) { run_broken(again, its_own); })[0];
    if (outcome.wrong[0] == 0) return say({});
    Explainer other(again, outcome);
    say({other.violation});
    other.explain("");
    say({other.violation});
}

// What is known by now.
std::string letter_of(const Unexplained& one, const Violation& violation) {
    std::string text = explain::details_of(violation);
    if (one.outcome.at == Place{})
        text = "  no image: none that a crash could leave is to blame by itself\n";
    else if (violation.crash_point == 0)
        text = "  no image: the one at which the run ended does not fail by itself\n";
    else if (!std::string_view(one.outcome.wrong).ends_with(violation.what))
        text = "  smallest image: " + violation.what + "\n" + text;
    return text + '\0' + explain::json_of(violation).text();
}

void explain_one(const Unexplained& one, const Letter& letter) {
    ScenarioRun run = one.run;
    run.traced = !one.page_file.empty();
    std::optional<Explainer> explainer(std::in_place, run, one.outcome);
    const auto tell = [&] {
        Violation told = explainer->violation;
        if (run.traced && told.crash_point != 0) {
            const std::string page = explain::page_of(told, explainer->finding, explainer->trace);
            explain::note_file(explain::write_page(one.page_file, page), one.page_file,
                               &Violation::page_file, told);
        }
        letter.write(letter_of(one, told));
    };
    const auto explain_it = [&] {
        explainer->explain(one.image_file);
        std::string& replay = explainer->violation.replay;
        if (!replay.empty()) replay = one.command(replay);
        tell();
    };
    tell();
    explain_it();
    run.earlier = earlier_than(*explainer);
    if (const auto outcome = look_earlier(run, *explainer)) {
        explainer.emplace(run, *outcome);
        explain_it();
    } else {
        run.earlier.reset();
    }
    try_fix(run, *explainer, tell);
}

}  // namespace

std::vector<Explained> explain_all(std::span<const Unexplained> all, const LookAtOutcomes& look) {
    std::vector<Letter> letters(all.size());
    run_forked(
        all.size(), {.at_once = 2, .cpu_seconds_max = 0, .clock_seconds_max = kSecondsForAll},
        [&](size_t i, Outcome&) { explain_one(all[i], letters[i]); }, look);
    std::vector<Explained> explained;
    for (const Letter& letter : letters) {
        const std::string both = letter.read();
        const size_t end = both.find('\0');
        explained.push_back({both.substr(0, end), both.substr(end + 1)});
    }
    return explained;
}

}  // namespace cinnabar::trials
