// One run of a test: what happens at each crash point, and the report that comes of it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cinnabar/crash.hpp"
#include "crash/inside.hpp"
#include "crash/recorder.hpp"
#include "crash/workers.hpp"
#include "explain/earlier.hpp"
#include "explain/explain.hpp"
#include "explain/finding.hpp"
#include "explain/replay.hpp"
#include "sim/explore.hpp"
#include "sim/image.hpp"
#include "sim/trace.hpp"

namespace cinnabar::crash {

// Beside the images, while a further run looks at earlier crash points: a folder for what it keeps.
inline constexpr const char* kEarlierFolders = "cinnabar-earlier.";

// Each takes all the time that a recovery may have.
inline constexpr uint64_t kHungImagesMax = 3;

class Run {
  public:
    // Both outlive it. Where recovery is of a file, power fails inside of it if that can be had.
    Run(const Test& test, const Options& options, const FileCrashes& file_crashes = {})
        : Run(test, options, std::make_shared<Workers>(test, options, file_crashes)) {}

    // Errors: invalid_argument.
    static Result<void> check(const Test& test, const Options& options);
    // What the last run has left in the folders, or one that was killed. Not while one is running.
    static void remove_left(const Options& options);
    // Processes for recoveries; before the workload has done anything. Errors: io.
    Result<void> start() { return workers_->start(); }
    // Instead of recovering images, keeps the one that the line names, and looks at no other. To be
    // called before the workload has done anything. Errors: invalid_argument (no such line; it is
    // of another build), io.
    Result<void> look_for(std::string_view replay);
    // The image, after the workload has ended. Errors: invalid_argument (it is of another
    // workload, or recovery), io.
    Result<std::vector<std::byte>> found();

    // The workload's region, from now on: each of its fences is a crash point. Errors: io.
    Result<void> watch(Recorder& recorder);
    void run_workload();
    // Acknowledgements beside the history's: what was printed since it was asked last, and how many
    // lines were by now.
    struct Printed {
        std::string text;
        size_t lines = 0;
    };
    using Said = std::function<Printed()>;
    // Has recoveries and their checks see so many lines fewer of it, and gives the first of these;
    // nothing where there are not so many. 0: they see all.
    using HoldBack = std::function<std::optional<std::string>(size_t lines)>;
    void listen_to(Said said, HoldBack hold_back) {
        said_ = std::move(said);
        hold_back_ = std::move(hold_back);
    }
    // Asks that now: before a call of the workload is recorded, and at its end.
    void listen();
    // The workload has ended: what it has stored since, and the last crash point.
    void at_end();
    // A crash may happen here: "fence at file:line".
    void crash_point(const std::string& where);
    void add(ViolationKind kind, std::string what);
    // What of that kind was added first.
    std::optional<std::string> misuse() const;
    // After the workload: `repeat` runs it once more, from where it began, under another run, which
    // it finishes; nothing where that cannot be.
    using Repeat = std::function<Result<Report>(Run&)>;
    void try_fixes(const Repeat& repeat);
    // Before that: looks for what was found at earlier crash points, by one such run.
    void look_earlier(const Repeat& repeat);
    // What such a run is to look at, where it can find anything; and a run that looks at that
    // alone.
    // Before finish().
    std::optional<explain::Earlier> earlier() const;
    void look_only_at(explain::Earlier earlier) { earlier_ = std::move(earlier); }
    // What these are, by the number of the violation; and a run with one of them, which says when
    // it is finished whether it came to that call.
    std::map<size_t, explain::Fix> fixes() const;
    void insert(explain::Fix fix) { inserted_ = std::move(fix); }
    // Its workload is a recovery of that image: so its violations say. And what is to be called
    // whenever it begins with a recovery.
    void is_inside(const InsideRequest& of) { inside_of_ = of; }
    void on_recovery(std::function<void()> call) { workers_->on_recovery(std::move(call)); }
    bool fix_was_made() const { return fix_was_made_; }
    // Of each crash point that the workload came to, explored or not, without those of a fix.
    const explain::Trail& trail() const { return trail_; }
    // Pages are written by now. Errors: io (something was not to be had for recoveries, and no
    // violation was found before).
    Result<Report> finish();
    // What a report would say by now; and who is told when that changes: before the images of a
    // crash point are recovered (true), after each of them, and after all of them (false).
    Report so_far() const;
    size_t violations() const { return report_.violations.size(); }
    void look(std::function<void(bool recovering)> look) { look_ = std::move(look); }

    // Lends the region's and the history's private parts to a run.
    static Result<Report> on(Region& region, const Test& test, const Options& options);
    static Result<std::vector<std::byte>> find(Region& region, const Test& test,
                                               std::string_view replay);

  private:
    struct Verdict {
        ViolationKind kind = ViolationKind::wrong;
        std::string what;  // nothing: the image is recovered as it should be
        std::string digest;
        bool written = false;  // recovery stored to its image, where that was asked
    };

    // With the workers of another run: copies of the process from before its workload.
    Run(const Test& test, const Options& options, std::shared_ptr<Workers> workers)
        : test_(test), options_(options), workers_(std::move(workers)) {}
    static void lend(Region& region, Run& run, Recorder& recorder);
    void explore(const std::string& where);
    sim::Explored show_levels(const std::function<bool()>& visit, const std::string& where);
    sim::Explored show_earlier(const std::function<bool()>& visit);
    void show_own_lines(const std::string& where);
    bool visit(const std::string& where);
    void capture();
    bool is_done() const { return report_.stopped || capture_ || unavailable_; }
    bool has_enough() const {
        return bad_images_ >= options_.violations_max || hung_images_ >= kHungImagesMax;
    }
    Verdict judge(bool check, bool tell_written = false);
    Verdict verdict_on(const Outcome& outcome);
    Verdict judge_digest(const std::string& digest, const History& history) const;
    OracleAnswer ask_oracle(const std::string& digest, const History& history) const;
    // In run_violation.cpp: what becomes of an image that fails.
    void add_image(const Verdict& verdict, const std::string& where);
    std::string begun_by_now() const;
    using Store = explain::Finding::Store;
    explain::Lines standing() const;
    explain::Failure failure_of(const Verdict& of, const std::string& words);
    struct Explained {
        explain::Failure failure;
        Violation violation = {};
        explain::Finding finding = {};
    };
    Explained explained(const Verdict& verdict, const std::string& where, const std::string& words);
    size_t take(Explained one);
    void count_image(size_t number);
    std::optional<Store> too_early(const std::string& what) const;
    std::string must_not_precede(const Store& lost, ViolationKind kind,
                                 const std::optional<Store>& too_early);
    std::string why_none_helps(ViolationKind kind, const std::optional<Store>& too_early);
    std::optional<Store> survivor_of(const Store& lost) const;
    struct Promise {
        size_t number = 0;  // of the operation, or of the line
        std::string text;
    };
    std::optional<Promise> broken_promise(ViolationKind kind);
    std::optional<Promise> line_too_early();
    bool is_older(const Promise& promise, const Store& lost) const;
    void keep_image();
    void write_page(size_t number);
    // In run_inside.cpp: power fails inside of the recovery of an image.
    bool may_crash_recovery() const;
    void crash_recovery(const std::string& where);
    void take_inside(const Report& inside, const InsideRequest& request);
    void take_otherwise(const std::string& what, const InsideRequest& request);
    void take_violation(Violation violation);
    void remark(const std::string& rule);
    InsideRequest request_inside(const std::string& where) const;
    void say_inside_of();
    Result<std::vector<std::byte>> found_inside(std::vector<std::byte> image);

    const Test& test_;
    const Options& options_;
    std::shared_ptr<Workers> workers_;
    Recorder* recorder_ = nullptr;
    std::optional<sim::Image> image_;
    History history_;
    Report report_;
    sim::Explored explored_;
    // Of the crash point that is explored.
    uint64_t number_ = 0;
    bool is_exploring_ = false;
    uint64_t tried_ = 0;                       // of the images that the explorer shows
    double states_log10_ = 0;                  // that the rules allow
    std::map<std::string, Verdict> verdicts_;  // by digest
    std::map<std::pair<ViolationKind, std::string>, size_t> known_;  // numbers of violations
    uint64_t acknowledged_ = 0;                                      // times
    using Come = std::pair<uint64_t, uint64_t>;                      // stores, times acknowledged
    std::optional<Come> come_then_;                                  // at the last crash point
    std::optional<Come> own_then_;  // at the last one that is not of a fix
    explain::Trail trail_;
    // By the number of the operation, or of the line: stores of this number or a higher one came
    // later than the promise; of lines that were heard last it is not known yet.
    std::map<size_t, uint64_t> promised_at_;
    size_t lines_heard_ = 0;
    Said said_;
    HoldBack hold_back_;
    std::function<void(bool)> look_;
    uint64_t bad_images_ = 0;
    uint64_t hung_images_ = 0;  // of these
    uint64_t hung_asked_ = 0;   // of what was asked for one violation's smallest image

    std::map<size_t, explain::Finding> findings_;  // by the number of the violation, from 0
    // It survived when nothing that it needs was stored; and how that failed.
    std::optional<std::pair<Store, std::string>> too_early_;
    std::optional<explain::Fix> inserted_;
    bool fix_was_made_ = false;
    std::optional<sim::Trace> trace_;
    Domain domain_ = Domain::cache_line;

    std::optional<InsideRequest> inside_of_;
    uint64_t images_written_ = 0;  // that recovery stored to, of those of which it was asked
    uint64_t bad_inside_ = 0;
    sim::Explored inside_;
    std::vector<Remark> remarks_inside_;

    std::optional<explain::Replay> wanted_;
    std::string wanted_inside_;  // the replay line of a crash in its recovery, or nothing
    std::optional<explain::Earlier> earlier_;
    std::optional<Error> unavailable_;  // what was not to be had for a recovery
    std::vector<std::byte> captured_memory_;
    std::optional<Result<void>> capture_;  // what came of it
};

}  // namespace cinnabar::crash
