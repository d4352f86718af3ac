#include "crash/run.hpp"

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "crash/budget.hpp"
#include "crash/hooked_stores.hpp"
#include "crash/no_exit.hpp"
#include "crash/thrown_by.hpp"
#include "explain/explain.hpp"
#include "explain/image_file.hpp"

namespace cinnabar::crash {

namespace {

constexpr size_t kOracleWordsMax = size_t{64} << 10;  // bytes
constexpr uint64_t kCheckedEvery = 16;  // images, for one that is recovered more than once

using Clock = std::chrono::steady_clock;

tl::unexpected<Error> invalid(const std::string& what) {
    return fail(Errc::invalid_argument, "a crash test " + what);
}

}  // namespace

Result<void> Run::check(const Test& test, const Options& options) {
    if (!test.workload) return invalid("needs a workload");
    if (!test.check) return invalid("needs an oracle: set check");
    if (!test.recover && !test.recover_file) return invalid("needs recover or recover_file");
    if (test.recover && test.recover_file)
        return invalid("takes recover or recover_file, and not both");
    if (options.images_per_crash_point_max == 0)
        return invalid("that may look at no image shows nothing: images_per_crash_point_max is 0");
    if (options.violations_max == 0)
        return invalid("has to look for one violation at least: violations_max is 0");
    if (options.recovery_time_max.count() <= 0)
        return invalid("has to give a recovery some time: recovery_time_max is 0 or less");
    if (options.recovery_memory_bytes_max == 0)
        return invalid("has to give a recovery some memory: recovery_memory_bytes_max is 0");
    std::error_code ignored;
    for (const std::string& folder : {options.image_folder, options.page_folder})
        if (!folder.empty() && !std::filesystem::is_directory(folder, ignored))
            return invalid("has nowhere to put files: '" + folder +
                           "' is no folder; make it first");
    return {};
}

void Run::remove_left(const Options& options) {
    for (const std::string& folder : {options.image_folder, options.page_folder})
        for (const char* beginning : {kEarlierFolders, kInsideFolders})
            if (!folder.empty()) explain::remove_folders(folder, beginning);
    explain::remove_violations(options.image_folder, ".image");
    explain::remove_violations(options.page_folder, ".html");
}

Result<void> Run::look_for(std::string_view replay) {
    const size_t then = replay.find(kThen);
    const auto parsed = explain::parse_replay(replay.substr(0, then));
    if (!parsed) return fail(parsed.error());
    wanted_ = *parsed;
    if (then == replay.npos) return {};
    wanted_inside_ = replay.substr(then + kThen.size());
    // One of another program's it is to judge by itself.
    if (const auto inside = explain::parse_replay(wanted_inside_);
        !inside && !workers_->crashes_elsewhere())
        return fail(inside.error());
    if (!workers_->can_crash_recovery())
        return invalid("does not know what its recovery stores, and '" + std::string(replay) +
                       "' is of a crash in there");
    return start();
}

Result<void> Run::watch(Recorder& recorder) {
    if (wanted_) {
        captured_memory_.resize(recorder.size());
        image_.emplace(captured_memory_);
    } else {
        const auto memory = workers_->image(recorder.size());
        if (!memory) return fail(memory.error());
        image_.emplace(*memory);
    }
    recorder_ = &recorder;
    domain_ = recorder.medium().domain();
    report_.region_bytes = recorder.size();
    if (inserted_) recorder.insert(*inserted_);
    if (!options_.page_folder.empty()) recorder.trace(trace_.emplace());
    recorder.on_fence([this](Site place) { crash_point(recorder_->text_of(place)); });
    return {};
}

void Run::run_workload() {
    std::optional<NoExit> no_exit;  // a recovery may leave, and is then found dead
    if (!inside_of_) no_exit.emplace();
    history_.notice_ = [this](const std::string& event) {
        if (recorder_ != nullptr) recorder_->notice(recorder_->place(event));
    };
    history_.misuse_ = [this](const std::string& what) { add(ViolationKind::misuse, what); };
    history_.tell_ = [this](const std::string& event, std::optional<size_t> acknowledged) {
        if (recorder_ == nullptr) return;
        const Site place = recorder_->place(event);
        if (acknowledged) {
            recorder_->acknowledged(place);
            ++acknowledged_;
            promised_at_[*acknowledged] = recorder_->medium().next_sequence();
        } else {
            recorder_->begun(place);
        }
        crash_point(event);
    };
    const auto thrown = thrown_by([this] { test_.workload(history_); });
    if (thrown)
        add(ViolationKind::workload_threw,
            (inside_of_ ? "recovery threw: " : "the workload threw: ") + *thrown);
    history_.notice_ = nullptr;
    history_.tell_ = nullptr;
    history_.misuse_ = nullptr;
    at_end();
}

// What is stored plainly is seen at the next call, and a line that is heard there may have been
// printed before or behind it: not one that was heard at the call before.
void Run::listen() {
    const Printed printed = said_ ? said_() : Printed();
    if (recorder_ != nullptr)
        for (size_t line = promised_at_.size(); line < lines_heard_; ++line)
            promised_at_[line] = recorder_->medium().next_sequence();
    lines_heard_ = printed.lines;
    if (printed.text.empty()) return;
    ++acknowledged_;
    if (recorder_ != nullptr) recorder_->printed(printed.text);
}

void Run::at_end() {
    if (recorder_ == nullptr) return;
    listen();
    const auto thrown = thrown_by([this] {
        recorder_->notice(recorder_->place("the end"));
        crash_point("the end");
    });
    if (thrown) add(ViolationKind::workload_threw, "the last crash point threw: " + *thrown);
}

// Where nothing is seen any more, what the workload does and promises is held against nothing.
void Run::crash_point(const std::string& where) {
    if (!recorder_->is_seeing()) return;
    const Come come(recorder_->stores(), acknowledged_);
    if (!recorder_->is_inserting() && std::exchange(own_then_, come) != come) {
        trail_.lines.push_back(recorder_->lines_stored());
        trail_.values.push_back(recorder_->values_stored());
    }
    if (is_done() || std::exchange(come_then_, come) == come) return;
    report_.stopped = has_enough();  // an image is left here, that in which nothing survives
    if (report_.stopped) return;
    ++number_;
    tried_ = 0;
    states_log10_ = sim::states_log10(recorder_->medium().pending());
    is_exploring_ = true;
    if (look_) look_(true);
    const auto begin = Clock::now();
    explore(where);
    is_exploring_ = false;
    report_.seconds += std::chrono::duration<double>(Clock::now() - begin).count();
    if (look_) look_(false);
}

void Run::explore(const std::string& where) {
    if (wanted_) return wanted_->crash_point == number_ ? capture() : void();
    verdicts_.clear();
    known_.clear();
    const auto visit_image = [&] { return visit(where); };
    sim::Explored explored = earlier_ ? show_earlier(visit_image) : show_levels(visit_image, where);
    explored.images = tried_;
    explored_.add(explored);
}

// Where they have more images than the budget, each has a part of it.
sim::Explored Run::show_levels(const std::function<bool()>& visit, const std::string& where) {
    const sim::PendingLines& pending = recorder_->medium().pending();
    sim::ExploreOptions options{.pair_lines_max = options_.pair_lines_max,
                                .cover_pairs = true,
                                .random_images = options_.random_images,
                                .seed = options_.seed + number_};
    const sim::LevelCounts images = sim::images_at_most(pending, options);
    options.images_max = shares(images, options_.images_per_crash_point_max);
    if (inserted_ && options.images_max != images) show_own_lines(where);
    return sim::explore(recorder_->medium().live(), pending, *image_, options, visit);
}

// As many images as one crash point may have, at all of them together.
sim::Explored Run::show_earlier(const std::function<bool()>& visit) {
    const sim::PendingLines& pending = recorder_->medium().pending();
    image_->begin(recorder_->medium().live(), pending);
    if (number_ < earlier_->before && report_.images_distinct < options_.images_per_crash_point_max)
        explain::show_earlier(earlier_->lines, pending, *image_, visit);
    return {.crash_points = 1, .states_log10 = states_log10_};
}

// With a fix. They are not counted: the search may come to them again.
void Run::show_own_lines(const std::string& where) {
    uint64_t shown = 0;
    const auto visit_image = [&] {
        const Verdict verdict = judge(false);
        if (!verdict.what.empty()) add_image(verdict, where);
        return !has_enough() && ++shown < options_.images_per_crash_point_max;
    };
    const sim::PendingLines& pending = recorder_->medium().pending();
    image_->begin(recorder_->medium().live(), pending);
    explain::show_earlier(inserted_->own_lines, pending, *image_, visit_image);
}

bool Run::visit(const std::string& where) {
    report_.stopped = has_enough();
    if (report_.stopped) return false;
    ++tried_;
    ++report_.images_distinct;
    const bool check = report_.images_distinct % kCheckedEvery == 1;
    const Verdict verdict = judge(check, (check || tried_ == 1) && may_crash_recovery());
    if (!verdict.what.empty())
        add_image(verdict, where);
    else if (verdict.written)
        crash_recovery(where);
    if (look_) look_(true);
    return !unavailable_ && tried_ < options_.images_per_crash_point_max;
}

// A digest that is wrong may come of what images before have left in the worker.
Run::Verdict Run::judge(bool check, bool tell_written) {
    const Outcome outcome = workers_->recover(check, tell_written);
    Verdict verdict = verdict_on(outcome);
    verdict.written = tell_written && outcome.written;
    if (!outcome.recovered || verdict.what.empty()) return verdict;
    return verdict_on(workers_->confirm(outcome.text));
}

// Of what is not to be had: none, and the run ends.
Run::Verdict Run::verdict_on(const Outcome& outcome) {
    if (outcome.unavailable) {
        unavailable_ = Error{Errc::io, outcome.text, {}, {}};
        return {};
    }
    hung_asked_ += !outcome.recovered && outcome.kind == ViolationKind::hung ? 1 : 0;
    if (!outcome.recovered) return {outcome.kind, outcome.text, {}, false};
    const auto known = verdicts_.find(outcome.text);
    if (known != verdicts_.end()) return known->second;
    return verdicts_[outcome.text] = judge_digest(outcome.text, history_);
}

Run::Verdict Run::judge_digest(const std::string& digest, const History& history) const {
    const OracleAnswer answer = ask_oracle(digest, history);
    if (!answer.threw) return {ViolationKind::wrong, answer.what, digest, false};
    return {ViolationKind::oracle_threw, "the oracle threw: " + answer.what, digest, false};
}

// They may quote the whole digest. What is cut off is not cut off again where it is told further.
OracleAnswer Run::ask_oracle(const std::string& digest, const History& history) const {
    OracleAnswer answer;
    const auto thrown = thrown_by([&] { answer.what = test_.check(digest, history); });
    if (thrown) answer = {true, *thrown};
    if (answer.what.size() > kOracleWordsMax)
        answer.what = answer.what.substr(0, kOracleWordsMax - 64) + "... (" +
                      size_text(answer.what.size()) + " in all)";
    return answer;
}

void Run::capture() {
    capture_ = explain::put_replayed(*wanted_, recorder_->shape(), recorder_->medium().live(),
                                     recorder_->medium().pending(), *image_);
}

Result<std::vector<std::byte>> Run::found() {
    if (!capture_)
        return fail(Errc::invalid_argument, "the workload ends before the crash point of '" +
                                                wanted_->text() + "': that line is of another one");
    if (!*capture_) return fail(capture_->error());
    if (!wanted_inside_.empty()) return found_inside(captured_memory_);
    return captured_memory_;
}

Result<Report> Run::finish() {
    if (recorder_ != nullptr) {
        fix_was_made_ = recorder_->fix_was_made();
        for (const std::string& what : recorder_->misuses()) add(ViolationKind::misuse, what);
    }
    if (inside_of_) say_inside_of();
    for (const auto& [number, finding] : findings_)
        if (!report_.violations[number].page_file.empty()) write_page(number);
    if (unavailable_ && report_.violations.empty()) return fail(*unavailable_);
    return so_far();
}

Report Run::so_far() const {
    Report report = report_;
    sim::Explored explored = explored_;
    if (is_exploring_)  // of this crash point, what was tried by now
        explored.add({.crash_points = 1, .images = tried_, .states_log10 = states_log10_});
    if (recorder_ != nullptr) report.remarks = recorder_->remarks();
    report.remarks.insert(report.remarks.end(), remarks_inside_.begin(), remarks_inside_.end());
    if (unavailable_) report.remarks.push_back({unavailable_->message, "", 1});
    report.operations = history_.operations().size();
    report.crash_points = explored.crash_points;
    report.images_repeated = explored.repeated;
    report.states_log10 = explored.states_log10;
    report.not_tried_log10 = explored.not_tried_log10();
    report.recoveries += workers_->recoveries();
    report.stopped = report.stopped || unavailable_ || bad_inside_ >= options_.violations_max;
    report.recovery_crash_points = inside_.crash_points;
    report.recovery_images = inside_.images;
    report.recovery_not_tried_log10 = inside_.not_tried_log10();
    report.seconds -= report.recovery_seconds;
    if (report.seconds > 0)
        report.images_per_s = static_cast<double>(report.images_distinct) / report.seconds;
    return report;
}

void Run::lend(Region& region, Run& run, Recorder& recorder) {
    struct Lent {
        explicit Lent(Region& of) : region(of), before(of.bytes().begin(), of.bytes().end()) {}
        ~Lent() {  // whatever ends the run
            region.recorder_ = nullptr;
            std::memcpy(region.bytes().data(), before.data(), before.size());
        }
        Region& region;
        const std::vector<std::byte> before;
    };
    const Lent lent(region);
    region.recorder_ = &recorder;
    const HookedStores told(region.bytes(), 0, recorder);
    run.run_workload();
}

Result<Report> Run::on(Region& region, const Test& test, const Options& options) {
    if (const auto valid = check(test, options); !valid) return fail(valid.error());
    remove_left(options);
    Run run(test, options);
    if (const auto started = run.start(); !started) return fail(started.error());
    Recorder recorder(region.bytes(), region.bytes(), region.domain());
    if (const auto watched = run.watch(recorder); !watched) return fail(watched.error());
    lend(region, run, recorder);
    const auto repeat = [&](Run& again) -> Result<Report> {
        Recorder another(region.bytes(), region.bytes(), region.domain());
        if (const auto watched = again.watch(another); !watched) return fail(watched.error());
        lend(region, again, another);
        return again.finish();
    };
    run.look_earlier(repeat);
    run.try_fixes(repeat);
    return run.finish();
}

Result<std::vector<std::byte>> Run::find(Region& region, const Test& test,
                                         std::string_view replay) {
    const Options options;
    if (const auto valid = check(test, options); !valid) return fail(valid.error());
    Run run(test, options);
    if (const auto known = run.look_for(replay); !known) return fail(known.error());
    Recorder recorder(region.bytes(), region.bytes(), region.domain());
    if (const auto watched = run.watch(recorder); !watched) return fail(watched.error());
    lend(region, run, recorder);
    return run.found();
}

Result<Report> run(Region& region, const Test& test, const Options& options) {
    return Run::on(region, test, options);
}

Result<std::vector<std::byte>> image_of(Region& region, const Test& test, std::string_view replay) {
    return Run::find(region, test, replay);
}

}  // namespace cinnabar::crash
