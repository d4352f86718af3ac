#include "crash/run.hpp"

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <exception>

#include "base/crc32c.hpp"
#include "crash/hooked_stores.hpp"

namespace cinnabar::crash {

namespace {

constexpr uint64_t kCheckedEvery = 16;  // images, for one that is recovered more than once
constexpr uint32_t kSumSeed = ~uint32_t{0};

using Clock = std::chrono::steady_clock;

tl::unexpected<Error> invalid(const std::string& what) {
    return fail(Errc::invalid_argument, "a crash test " + what);
}

// Calls `call`, and gives what it threw, in words.
template <class Call>
std::optional<std::string> thrown_by(const Call& call) {
    try {
        call();
        return std::nullopt;
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return "something that is no std::exception";
    }
}

// Not fewer than the explorer shows, but for pairs of lines and drawn images.
double images_about(const sim::PendingLines& pending) {
    double images = 1;
    for (const auto& [number, line] : pending)
        images += static_cast<double>(line.units.size() + 2 * line.representatives().size());
    return images;
}

}  // namespace

std::string Replay::text() const {
    char line[128];
    std::snprintf(line, sizeof line,
                  "seed=%" PRIu64 " crash_point=%" PRIu64 " image=%" PRIu64 " sum=%08" PRIx32, seed,
                  crash_point, image, sum);
    return line;
}

std::optional<Replay> Replay::parse(std::string_view text) {
    Replay replay;
    const int fields =
        std::sscanf(std::string(text).c_str(),
                    "seed=%" SCNu64 " crash_point=%" SCNu64 " image=%" SCNu64 " sum=%" SCNx32,
                    &replay.seed, &replay.crash_point, &replay.image, &replay.sum);
    if (fields != 4 || replay.text() != text) return std::nullopt;
    return replay;
}

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
    return {};
}

void Run::look_for(const Replay& replay, std::vector<std::byte>& found) {
    wanted_ = replay;
    captured_to_ = &found;
}

Result<void> Run::watch(Recorder& recorder) {
    recorder_ = &recorder;
    report_.region_bytes = recorder.size();
    if (wanted_) {
        captured_memory_.resize(recorder.size());
        image_.emplace(captured_memory_);
    } else {
        const auto memory = workers_.image(recorder.size());
        if (!memory) return fail(memory.error());
        image_.emplace(*memory);
    }
    recorder.on_fence([this](Site place) { crash_point(recorder_->text_of(place)); });
    return {};
}

void Run::run_workload() {
    history_.tell_ = [this](const std::string& event, bool misuse) {
        if (misuse) return add(ViolationKind::misuse, event);
        if (recorder_ == nullptr) return;
        const Site place = recorder_->place(event);
        if (event.starts_with("acknowledged")) {
            recorder_->acknowledged(place);
            acknowledged_since_ = true;
        } else {
            recorder_->notice(place);
        }
        crash_point(event);
    };
    const auto thrown = thrown_by([this] { test_.workload(history_); });
    if (thrown) add(ViolationKind::workload_threw, "the workload threw: " + *thrown);
    history_.tell_ = nullptr;
    at_end();
}

void Run::at_end() {
    if (recorder_ == nullptr) return;
    const auto thrown = thrown_by([this] {
        recorder_->notice(recorder_->place("the end"));
        crash_point("the end");
    });
    if (thrown) add(ViolationKind::workload_threw, "the last crash point threw: " + *thrown);
}

void Run::crash_point(const std::string& where) {
    if (is_done()) return;
    const uint64_t said = said_ ? said_() : 0;
    if (stores_then_ == recorder_->stores() && !acknowledged_since_ && said == said_then_) return;
    stores_then_ = recorder_->stores();
    acknowledged_since_ = false;
    said_then_ = said;
    const auto begin = Clock::now();
    explore(where);
    report_.seconds += std::chrono::duration<double>(Clock::now() - begin).count();
}

void Run::explore(const std::string& where) {
    ++number_;
    images_ = tried_ = 0;
    verdicts_.clear();
    const auto max = static_cast<double>(options_.images_per_crash_point_max);
    share_ = max / (images_about(recorder_->medium().pending()) +
                    static_cast<double>(options_.random_images));
    if (wanted_ && wanted_->crash_point != number_) return;
    const sim::ExploreOptions options{.pair_lines_max = options_.pair_lines_max,
                                      .cover_pairs = true,
                                      .random_images = options_.random_images,
                                      .seed = options_.seed + number_};
    sim::Explored explored =
        sim::explore(recorder_->medium().live(), recorder_->medium().pending(), *image_, options,
                     [&] { return wanted_ ? capture() : visit(where); });
    explored.images = tried_;
    explored_.add(explored);
}

bool Run::capture() {
    if (++images_ != wanted_->image) return true;
    captured_to_->assign(captured_memory_.begin(), captured_memory_.end());
    captured_ = true;
    return false;
}

bool Run::visit(const std::string& where) {
    const bool is_first = ++images_ == 1;
    if (is_first || share_ >= 1 || std::generate_canonical<double, 32>(draw_) < share_)
        try_image(where);
    report_.stopped = bad_images_ >= options_.violations_max;
    return !report_.stopped && tried_ < options_.images_per_crash_point_max;
}

void Run::try_image(const std::string& where) {
    ++tried_;
    ++report_.images_distinct;
    const Outcome outcome = workers_.recover(report_.images_distinct % kCheckedEvery == 1);
    if (outcome.recovered) {
        auto kind = ViolationKind::wrong;
        const std::string& wrong = verdict_on(outcome.text, kind);
        if (!wrong.empty()) add_image(kind, wrong, where);
    } else {
        add_image(outcome.kind, outcome.text, where);
    }
}

const std::string& Run::verdict_on(const std::string& digest, ViolationKind& kind) {
    auto known = verdicts_.find(digest);
    if (known == verdicts_.end()) {
        auto verdict = std::pair(ViolationKind::wrong, std::string());
        const auto thrown = thrown_by([&] { verdict.second = test_.check(digest, history_); });
        if (thrown) verdict = {ViolationKind::oracle_threw, "the oracle threw: " + *thrown};
        known = verdicts_.emplace(digest, std::move(verdict)).first;
    }
    kind = known->second.first;
    return known->second.second;
}

void Run::add(ViolationKind kind, std::string what) {
    Violation violation;
    violation.kind = kind;
    violation.what = std::move(what);
    report_.violations.push_back(std::move(violation));
}

void Run::add_image(ViolationKind kind, const std::string& what, const std::string& where) {
    ++bad_images_;
    for (Violation& known : report_.violations)
        if (known.kind == kind && known.what == what && known.crash_point == number_) {
            ++known.images;
            return;
        }
    const auto image = image_->image();
    Violation violation;
    violation.kind = kind;
    violation.what = what;
    violation.crash_point = number_;
    violation.where = where;
    violation.image = images_;
    violation.replay =
        Replay{options_.seed, number_, images_, crc32c(kSumSeed, image.data(), image.size())}
            .text();
    violation.lost = lost();
    report_.violations.push_back(std::move(violation));
    keep_image();
}

// The stores that are not in the image, with all that lies behind them in their lines.
std::string Run::lost() const {
    constexpr size_t lines_max = 8;
    std::string text;
    size_t lines = 0;
    for (const auto& [line, pending] : recorder_->medium().pending()) {
        const sim::Line value = image_->line(line);
        if (value == pending.newest()) continue;
        if (++lines > lines_max) return text + "; and more";
        text += (text.empty() ? "offset " : "; offset ") + std::to_string(line * sim::kLineBytes);
        Site last = Site::none;
        for (const sim::Unit& unit : pending.units) {
            sim::Line with = value;
            unit.apply_to(with);
            if (with == value || unit.site == last) continue;
            text += ", " + recorder_->text_of(unit.site);
            last = unit.site;
        }
    }
    return text;
}

void Run::keep_image() const {
    if (options_.image_folder.empty()) return;
    const std::string path = options_.image_folder + "/violation-" +
                             std::to_string(report_.violations.size()) + ".image";
    std::FILE* file = std::fopen(path.c_str(), "we");
    if (file == nullptr) return;
    std::fwrite(image_->image().data(), 1, image_->image().size(), file);
    std::fclose(file);
}

Report Run::finish() {
    if (recorder_ != nullptr) {
        report_.remarks = recorder_->remarks();
        for (const std::string& what : recorder_->misuses()) add(ViolationKind::misuse, what);
    }
    report_.operations = history_.operations().size();
    report_.crash_points = explored_.crash_points;
    report_.images_repeated = explored_.repeated;
    report_.states_log10 = explored_.states_log10;
    report_.not_tried_log10 = explored_.not_tried_log10();
    report_.recoveries = workers_.recoveries();
    if (report_.seconds > 0)
        report_.images_per_s = static_cast<double>(report_.images_distinct) / report_.seconds;
    return std::move(report_);
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
    const HookedStores told(region.bytes(), recorder);
    run.run_workload();
}

Result<Report> Run::on(Region& region, const Test& test, const Options& options) {
    if (const auto valid = check(test, options); !valid) return fail(valid.error());
    Run run(test, options);
    if (const auto started = run.start(); !started) return fail(started.error());
    Recorder recorder(region.bytes(), region.bytes(), region.domain());
    if (const auto watched = run.watch(recorder); !watched) return fail(watched.error());
    lend(region, run, recorder);
    return run.finish();
}

Result<std::vector<std::byte>> Run::find(Region& region, const Test& test, const Options& options,
                                         const Replay& replay) {
    if (const auto valid = check(test, options); !valid) return fail(valid.error());
    std::vector<std::byte> image;
    Run run(test, options);
    run.look_for(replay, image);
    Recorder recorder(region.bytes(), region.bytes(), region.domain());
    if (const auto watched = run.watch(recorder); !watched) return fail(watched.error());
    lend(region, run, recorder);
    if (!run.captured_ || crc32c(kSumSeed, image.data(), image.size()) != replay.sum)
        return invalid("did not come to the image of '" + replay.text() +
                       "' again: the workload, its build or the options are others");
    return image;
}

Result<Report> run(Region& region, const Test& test, const Options& options) {
    return Run::on(region, test, options);
}

Result<std::vector<std::byte>> image_of(Region& region, const Test& test, const Options& options,
                                        std::string_view replay) {
    const auto parsed = Replay::parse(replay);
    if (!parsed)
        return invalid("does not understand '" + std::string(replay) +
                       "'; the replay line of a violation looks like '" + Replay{}.text() + "'");
    Options of_replay = options;
    of_replay.seed = parsed->seed;
    return Run::find(region, test, of_replay, *parsed);
}

}  // namespace cinnabar::crash
