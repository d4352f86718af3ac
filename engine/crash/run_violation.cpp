// What a run does with an image that fails: finds the smallest one that fails as well, says which
// calls are to blame, and tries what would mend it.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "crash/run.hpp"
#include "explain/explain.hpp"
#include "explain/image_file.hpp"
#include "explain/page.hpp"
#include "explain/reduce.hpp"
#include "explain/violation.hpp"

namespace cinnabar::crash {

namespace {

// To ask of the lines of a page.
constexpr int kRecoveriesForAPage = 3;
constexpr std::chrono::milliseconds kLongestRecovery = std::chrono::hours(24);

bool is_reducible(ViolationKind kind) {
    return kind != ViolationKind::hung && kind != ViolationKind::not_deterministic;
}

}  // namespace

void Run::add(ViolationKind kind, std::string what) {
    Violation violation;
    violation.kind = kind;
    violation.what = std::move(what);
    report_.violations.push_back(std::move(violation));
}

std::optional<std::string> Run::misuse() const {
    const auto first =
        std::ranges::find(report_.violations, ViolationKind::misuse, &Violation::kind);
    if (first == report_.violations.end()) return std::nullopt;
    return first->what;
}

// Nothing where the workload has no history.
std::string Run::begun_by_now() const {
    const size_t operations = history_.operations().size();
    if (operations > 0) return "operation " + std::to_string(operations - 1);
    return said_ ? "" : "before any operation";
}

void Run::add_image(const Verdict& verdict, const std::string& where) {
    ++bad_images_;
    hung_images_ += verdict.kind == ViolationKind::hung ? 1 : 0;
    const auto [known, is_new] =
        known_.try_emplace({verdict.kind, verdict.what}, report_.violations.size());
    if (!is_new) {
        ++report_.violations[known->second].images;
        return;
    }
    const size_t violations_before = report_.violations.size();
    const explain::Lines shown = standing();
    const auto put_back = [&] {
        for (const auto& [line, value] : shown) image_->put(line, value);
    };
    Explained smallest = explained(verdict, where, "");
    const bool is_otherwise = smallest.violation.kind == verdict.kind && !has_enough() &&
                              !explain::differ_in_data_alone(smallest.violation.what, verdict.what);
    size_t number = take(std::move(smallest));
    put_back();
    if (is_otherwise) {  // which may be another mistake, made beside this one
        Explained own = explained(verdict, where, verdict.what);
        // Where the words are others each time nothing comes of it.
        if (own.violation.kind == verdict.kind) number = take(std::move(own));
        put_back();
    }
    if (number < violations_before) count_image(number);
    known->second = number;
}

// The image then stands at the smallest one: that fails, or that fails in these words.
Run::Explained Run::explained(const Verdict& verdict, const std::string& where,
                              const std::string& words) {
    hung_asked_ = 0;
    Explained one{.failure = failure_of(verdict, words)};
    Violation& violation = one.violation;
    violation.kind = verdict.kind;
    violation.what = verdict.what;
    violation.crash_point = number_;
    violation.where = where;
    violation.operations = history_.operations().size();
    const bool of_one_recovery = verdict.kind != ViolationKind::not_idempotent &&
                                 verdict.kind != ViolationKind::not_deterministic;
    const bool all_tried = of_one_recovery && !earlier_ && explored_.not_tried_log10() == 0;
    violation.since = explain::since_text(number_, begun_by_now(), all_tried);
    const explain::Lines shown = standing();
    one.finding = explain::explain(one.failure, violation);
    if (unavailable_) {  // and who was asked then has said nothing
        for (const auto& [line, value] : shown) image_->put(line, value);
        one.failure.tries_max = 0;
        violation.kind = verdict.kind;
        violation.what = verdict.what;
        violation.order = "";
        one.finding = explain::explain(one.failure, violation);
    }
    if (!one.finding.lost_store && one.finding.surviving_store)
        too_early_ = {*one.finding.surviving_store, violation.what};
    return one;
}

// The number of the violation that it is: a known one, or a new one.
size_t Run::take(Explained one) {
    const auto same = std::ranges::find_if(report_.violations, [&](const Violation& other) {
        return other.replay == one.violation.replay || explain::is_same_cause(other, one.violation);
    });
    const auto number = static_cast<size_t>(same - report_.violations.begin());
    if (same != report_.violations.end()) return number;
    if (trace_) keep_for_page(one.finding, one.failure, *trace_, one.violation);
    report_.violations.push_back(std::move(one.violation));
    findings_[number] = std::move(one.finding);
    keep_image();
    write_page(number);
    return number;
}

// Of one that was found before.
void Run::count_image(size_t number) {
    const auto is_here = [&](const auto& one) { return one.second == number; };
    ++report_.violations[number].images;
    if (std::ranges::none_of(known_, is_here)) ++report_.violations[number].crash_points;
}

// Of all pending lines what the image holds.
explain::Lines Run::standing() const {
    explain::Lines lines;
    for (const auto& [line, pending] : recorder_->medium().pending())
        lines[line] = image_->line(line);
    return lines;
}

// Of an image that fails so, and of others at the same crash point; where there are words, in these
// but for data.
explain::Failure Run::failure_of(const Verdict& of, const std::string& words) {
    const ViolationKind kind = of.kind;
    const bool check = kind == ViolationKind::not_idempotent;
    const std::string what = of.what;
    return {
        .pending = recorder_->medium().pending(),
        .image = *image_,
        .wrong =
            [this, kind, words, check] {
                const Verdict verdict = judge(check);
                const bool is_so =
                    words.empty() || explain::differ_in_data_alone(verdict.what, words);
                return verdict.kind == kind && is_so ? verdict.what : std::string();
            },
        .outcome =
            [this, check] {
                const Verdict verdict = judge(check);
                return verdict.what + "\n" + verdict.digest;
            },
        .has_enough = [this] { return hung_asked_ >= kHungImagesMax; },
        .tries_max = is_reducible(kind) ? options_.reduction_images_max : 0,
        .page_time_max =
            kRecoveriesForAPage * std::min(options_.recovery_time_max, kLongestRecovery),
        .name = [this](Site place) { return recorder_->text_of(place); },
        .workload = recorder_->shape(),
        .until = [this, kind, what](
                     const Store& lost) { return must_not_precede(lost, kind, too_early(what)); },
        .why_none_helps = [this, kind, what] { return why_none_helps(kind, too_early(what)); }};
}

// Of a failure in such words the store that came too early, where one is known.
std::optional<Run::Store> Run::too_early(const std::string& what) const {
    if (!too_early_ || !explain::differ_in_data_alone(too_early_->second, what))
        return std::nullopt;
    return too_early_->first;
}

// What has to come after a store that is lost, where no store that survives beside it says it.
std::string Run::must_not_precede(const Store& lost, ViolationKind kind,
                                  const std::optional<Store>& too_early) {
    const auto promise = broken_promise(kind);
    if (promise && !(too_early && is_older(*promise, lost))) return promise->text;
    if (const auto durable = survivor_of(lost)) return text_of(*durable);
    if (too_early && too_early->where != lost.where)
        return text_of(*too_early) + ", which is called first";
    return said_ ? "what was durable or printed by then"
                 : "what was durable or acknowledged by then";
}

// Of an image that fails whatever survives in it.
std::string Run::why_none_helps(ViolationKind kind, const std::optional<Store>& too_early) {
    if (too_early) return text_of(*too_early) + " is durable by then, and came too early";
    const auto promise = broken_promise(kind);
    if (!promise) return "what was durable by then fails, whatever survives beside it";
    return promise->text +
           ", and whatever survives it fails: is what that promises stored by then?";
}

// Then it was given too early, or is of something else: of what another store has destroyed, where
// one is known to have come too early.
bool Run::is_older(const Promise& promise, const Store& lost) const {
    const auto at = promised_at_.find(promise.number);
    return at != promised_at_.end() && at->second <= lost.sequence;
}

// What survived without this store at an earlier crash point; it has become durable since.
std::optional<Run::Store> Run::survivor_of(const Store& lost) const {
    for (const auto& [number, earlier] : findings_)
        if (earlier.lost_store && earlier.surviving_store &&
            earlier.lost_store->sequence == lost.sequence)
            return earlier.surviving_store;
    return std::nullopt;
}

// The acknowledgement without which the image in which nothing survives were right.
std::optional<Run::Promise> Run::broken_promise(ViolationKind kind) {
    if (kind != ViolationKind::wrong) return std::nullopt;  // nobody held it against a promise
    explain::Reducer(recorder_->medium().pending(), *image_, {}, 0).put(false, {});
    if (hold_back_) return line_too_early();
    const Verdict verdict = judge(false);
    if (verdict.kind != ViolationKind::wrong) return std::nullopt;
    History history = history_;
    for (size_t i = history.operations_.size(); i-- > 0;) {
        if (!history.operations_[i].acknowledged) continue;
        history.operations_[i].acknowledged = false;
        if (judge_digest(verdict.digest, history).what.empty())
            return Promise{i, "operation " + std::to_string(i) + " is acknowledged"};
    }
    return std::nullopt;
}

// Of what was printed the last line but for which, and all behind it, the image were right.
std::optional<Run::Promise> Run::line_too_early() {
    constexpr size_t lines_max = 16;
    std::optional<Promise> found;
    for (size_t lines = 1; lines <= lines_max && !found; ++lines) {
        const auto line = hold_back_(lines);
        if (!line) break;
        const Outcome outcome = workers_->recover(false);
        if (outcome.recovered && judge_digest(outcome.text, history_).what.empty())
            found = Promise{lines_heard_ - std::min(lines, lines_heard_),
                            "'" + *line + "' is printed, and so acknowledged"};
    }
    (void)hold_back_(0);
    return found;
}

void Run::keep_image() {
    if (options_.image_folder.empty()) return;
    Violation& violation = report_.violations.back();
    const std::string path = options_.image_folder + "/violation-" +
                             std::to_string(report_.violations.size()) + ".image";
    ::unlink(path.c_str());  // or what a link of that name leads to is written over
    explain::note_file(explain::write_image(path, image_->image()), path, &Violation::image_file,
                       violation);
}

// Nothing where all that can be left before was tried. What is not reduced hangs on no lines.
std::optional<explain::Earlier> Run::earlier() const {
    explain::Earlier earlier;
    for (const auto& [number, finding] : findings_) {
        if (!finding.lost_store && !finding.surviving_store) continue;
        earlier.before = std::max(earlier.before, report_.violations[number].crash_point);
        for (const explain::Lines* lines : {&finding.lost, &finding.survived})
            for (const auto& [line, value] : *lines) earlier.lines.insert(line);
    }
    if (earlier.before <= 1 || explored_.not_tried_log10() == 0) return std::nullopt;
    return earlier;
}

// Files of that run lie in a folder of their own, until they are taken.
void Run::look_earlier(const Repeat& repeat) {
    const auto sought = earlier();
    if (!sought || options_.fixes_max == 0) return;
    const std::string in =
        options_.image_folder.empty() ? options_.page_folder : options_.image_folder;
    std::string folder = in + "/" + kEarlierFolders + "XXXXXX";
    if (!in.empty() && ::mkdtemp(folder.data()) == nullptr) return;
    Options options = options_;
    for (std::string* path : {&options.image_folder, &options.page_folder})
        if (!path->empty()) *path = folder;
    options.recovery_crashes_max = 0;
    Run again(test_, options, workers_);
    again.look_only_at(*sought);
    if (const auto report = repeat(again))
        explain::take_earlier(report_.violations, report->violations, options_.image_folder,
                              options_.page_folder, [&](size_t from, size_t to) {
                                  if (again.findings_.contains(from))
                                      findings_[to] = again.findings_[from];
                              });
    std::error_code ignored;
    if (!in.empty()) std::filesystem::remove_all(folder, ignored);
}

std::map<size_t, explain::Fix> Run::fixes() const {
    std::map<size_t, explain::Fix> fixes;
    for (const auto& [number, finding] : findings_)
        if (finding.fix) fixes.insert({number, *finding.fix});
    return fixes;
}

void Run::try_fixes(const Repeat& repeat) {
    Options options = options_;
    options.image_folder = options.page_folder = "";
    options.recovery_crashes_max = 0;
    const auto run_again = [&](const explain::Fix& fix) -> Result<explain::Tried> {
        Run again(test_, options, workers_);
        again.insert(fix);
        const auto report = repeat(again);
        if (!report) return fail(report.error());
        if (!again.fix_was_made()) return fail(Errc::not_found, "it does not come to that call");
        explain::Tried tried{.left = report->violations,
                             .is_shorter = report->operations < history_.operations().size(),
                             .all_tried = !report->stopped && report->not_tried_log10 == 0};
        explain::compare(trail_, again.trail_, tried);
        return tried;
    };
    explain::try_fixes(fixes(), options_.fixes_max, domain_, run_again, report_.violations);
}

// Once when it is found, since a workload may die; and once more when all is known of it.
void Run::write_page(size_t number) {
    if (options_.page_folder.empty() || !trace_) return;
    Violation& violation = report_.violations[number];
    const std::string path =
        options_.page_folder + "/violation-" + std::to_string(number + 1) + ".html";
    const std::string page = explain::page_of(violation, findings_.at(number), *trace_);
    ::unlink(path.c_str());
    explain::note_file(explain::write_page(path, page), path, &Violation::page_file, violation);
}

}  // namespace cinnabar::crash
