// Power fails inside of recovery: of which images, and what a run makes of what came out.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "crash/run.hpp"
#include "explain/explain.hpp"
#include "explain/image_file.hpp"
#include "explain/violation.hpp"

namespace cinnabar::crash {

namespace {

using Clock = std::chrono::steady_clock;

// A folder for the files of one run inside, in the first of these that is one; or none. Gone with
// what is left there.
class InsideFolder {
  public:
    explicit InsideFolder(const Options& options) {
        const std::string in =
            options.image_folder.empty() ? options.page_folder : options.image_folder;
        path_ = in + "/" + kInsideFolders + "XXXXXX";
        if (in.empty() || ::mkdtemp(path_.data()) == nullptr) path_.clear();
    }
    ~InsideFolder() {
        std::error_code ignored;
        if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
    }
    InsideFolder(const InsideFolder&) = delete;
    InsideFolder& operator=(const InsideFolder&) = delete;

    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

}  // namespace

bool Run::may_crash_recovery() const {
    return workers_->can_crash_recovery() && bad_inside_ < options_.violations_max &&
           report_.recoveries_crashed < options_.recovery_crashes_max;
}

// The first ones all, then every second, fourth, ..., in eight parts, so that some are left for the
// end of the run; and in there no more images than out here.
void Run::crash_recovery(const std::string& where) {
    const uint64_t part = 8 * report_.recoveries_crashed / options_.recovery_crashes_max;
    if (images_written_++ % (uint64_t{1} << part) != 0) return;
    if (inside_.images > report_.images_distinct) return;
    const auto begin = Clock::now();
    const InsideFolder folder(options_);
    InsideRequest request = request_inside(where);
    if (!options_.image_folder.empty()) request.image_folder = folder.path();
    if (!options_.page_folder.empty()) request.page_folder = folder.path();
    const auto reply = workers_->inside(request.bytes(), [this](const std::string& digest) {
        return ask_oracle(digest, history_).bytes();
    });
    ++report_.recoveries_crashed;
    if (!reply)
        remark("power fails in no further part of recovery: " + reply.error().message);
    else if (reply->done)
        take_inside(report_of(reply->text), request);
    else
        take_otherwise(reply->text, request);
    report_.recovery_seconds += std::chrono::duration<double>(Clock::now() - begin).count();
}

InsideRequest Run::request_inside(const std::string& where) const {
    const sim::PendingLines& pending = recorder_->medium().pending();
    explain::Replay replay;
    replay.build = explain::build_of_program();
    replay.workload = recorder_->shape();
    replay.crash_point = number_;
    explain::Lines survived;
    for (const auto& [line, stores] : pending)
        if (image_->line(line) != stores.durable) survived[line] = image_->line(line);
    replay.set_lines(pending, survived);
    replay.sum = explain::sum_of(image_->image());
    return {.image = replay.text(),
            .where = where,
            .crash_point = number_,
            .operations = history_.operations().size(),
            .begun = begun_by_now(),
            .domain = domain_,
            .violations_max = options_.violations_max - bad_inside_};
}

void Run::take_inside(const Report& inside, const InsideRequest& request) {
    inside_.add({.crash_points = inside.crash_points,
                 .images = inside.images_distinct,
                 .states_log10 = inside.states_log10});
    report_.recoveries += inside.recoveries;
    for (const Violation& violation : inside.violations) {
        if (violation.recovery_crash_point != 0)
            take_violation(violation);
        else if (violation.kind == ViolationKind::misuse)
            remark("power fails in no further part of recovery: " + violation.what);
        else
            take_otherwise(violation.what, request);
    }
    if (inside.crash_points == 0 && inside.violations.empty())
        remark(
            "power fails nowhere inside of recovery: it stores to its image, and calls nothing "
            "that makes that durable");
}

// It had recovered this image before.
void Run::take_otherwise(const std::string& what, const InsideRequest& request) {
    Violation violation;
    violation.kind = ViolationKind::not_deterministic;
    violation.what = what;
    violation.crash_point = request.crash_point;
    violation.where = request.where;
    violation.operations = request.operations;
    violation.replay = request.image;
    take_violation(violation);
}

void Run::remark(const std::string& rule) {
    const auto same = std::ranges::find(remarks_inside_, rule, &Remark::rule);
    if (same == remarks_inside_.end())
        remarks_inside_.push_back({rule, "", 1});
    else
        ++same->times;
}

// Of one cause the first.
void Run::take_violation(Violation violation) {
    bad_inside_ += violation.images;
    const auto same = std::ranges::find_if(report_.violations, [&](const Violation& other) {
        return explain::is_same_cause(other, violation);
    });
    const auto number = static_cast<size_t>(same - report_.violations.begin());
    const auto is_here = [&](const auto& one) { return one.second == number; };
    const bool is_known_here = std::ranges::any_of(known_, is_here);
    known_.try_emplace({violation.kind, violation.what}, number);
    if (same != report_.violations.end()) {
        same->images += violation.images;
        // Each recovery has crash points of its own; what has none in there is at this one.
        if (violation.recovery_crash_point != 0)
            same->crash_points += violation.crash_points;
        else if (!is_known_here)
            ++same->crash_points;
        return;
    }
    explain::move_file(violation.image_file, options_.image_folder, number, ".image");
    explain::move_file(violation.page_file, options_.page_folder, number, ".html");
    report_.violations.push_back(std::move(violation));
}

// Of the run that is inside: before its pages are written.
void Run::say_inside_of() {
    const InsideRequest& of = *inside_of_;
    for (Violation& violation : report_.violations) {
        if (violation.crash_point == 0) continue;
        violation.recovery_crash_point = violation.crash_point;
        violation.crash_point = of.crash_point;
        violation.where = of.where + ", then inside of the recovery: " + violation.where;
        violation.operations = of.operations;
        violation.since = explain::since_text(of.crash_point, of.begun, false);
        violation.replay = of.image + std::string(kThen) + violation.replay;
    }
}

Result<std::vector<std::byte>> Run::found_inside(std::vector<std::byte> image) {
    const auto memory = workers_->image(image.size());
    if (!memory) return fail(memory.error());
    std::memcpy(memory->data(), image.data(), image.size());
    const InsideFolder folder(options_);
    InsideRequest request;
    request.image_folder = folder.path();
    request.domain = domain_;
    request.replay = wanted_inside_;
    const auto reply = workers_->inside(request.bytes(), [](const std::string&) { return ""; });
    if (!reply) return fail(reply.error());
    if (!reply->done) return fail(Errc::io, reply->text);
    if (!reply->text.empty()) return fail(Errc::invalid_argument, reply->text);
    std::memcpy(image.data(), memory->data(), image.size());
    return image;
}

}  // namespace cinnabar::crash
