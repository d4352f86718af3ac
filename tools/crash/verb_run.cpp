// cinnabar crash run: runs a workload of the user's, in any language, and has the images that a
// crash could leave of its file recovered by a command. The crashing happens in the workload's
// process, in an object that is preloaded there; this program starts it, once more for each fix
// that is tried, and tells what came out.
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "crash/file_before.hpp"
#include "crash/inside.hpp"
#include "crash_verbs.hpp"
#include "explain/image_file.hpp"
#include "explain/page.hpp"
#include "explain/violation.hpp"
#include "folder.hpp"
#include "interruption.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include "pool_options.hpp"
#include "results.hpp"
#include "run_again.hpp"
#include "run_report.hpp"
#include "run_workload.hpp"

namespace cinnabar::tool {

namespace {

// So the preloaded object says it (preload.cpp).
constexpr std::string_view kCannotBeRun = "the recovery command cannot be run";

// A note of what the file was at the end of a run.
constexpr const char* kMark = "left.txt";

// Before anything is done: the workload's process, which knows its build, comes later.
Result<void> check_replay(const std::string& line) {
    const size_t then = line.find(crash::kThen);
    if (const auto first = explain::read_replay(line.substr(0, then)); !first)
        return fail(first.error());
    if (then == line.npos) return {};
    if (const auto inside = explain::read_replay(line.substr(then + crash::kThen.size())); !inside)
        return fail(inside.error());
    return {};
}

Result<void> check(const RunRequest& verb) {
    if (const auto there =
            check_folder(verb.image_folder, ", best in memory, as in /dev/shm: images lie in it");
        !there)
        return there;
    if (!verb.page_folder.empty())
        if (const auto there = check_folder(verb.page_folder, ": pages lie in it"); !there)
            return there;
    std::error_code ignored;
    const auto resolved = [&](const std::filesystem::path& path) {
        return std::filesystem::weakly_canonical(path, ignored);
    };
    const auto file = resolved(verb.file);
    const auto is_in = [&](const std::string& own) {
        return !own.empty() && (file == resolved(own) || file.parent_path() == resolved(own));
    };
    for (const std::string& own : {verb.image_folder, verb.notes(), verb.before_folder()})
        if (is_in(own))
            return fail(Errc::invalid_argument,
                        "--image-dir: '" + verb.file +
                            "' lies in it, and files there are replaced; name "
                            "a folder for images alone");
    if (is_in(verb.page_folder) && file.filename().native().starts_with("violation-"))
        return fail(Errc::invalid_argument,
                    "--page: '" + verb.file + "' lies in it, and has the name of a page");
    if (!verb.json_file.empty() && file == resolved(verb.json_file))
        return fail(Errc::invalid_argument,
                    "--json: '" + verb.file + "' is the workload's own; name another file");
    if (verb.memory_bytes == 0) return fail(Errc::invalid_argument, "--memory: '0' is below 1");
    if (!verb.replay.empty() && resolved(verb.file) == resolved(verb.replayed_file))
        return fail(Errc::invalid_argument,
                    "--image: '" + verb.file + "' is the workload's own; name another file");
    return verb.replay.empty() ? Result<void>() : check_replay(verb.replay);
}

// It is this command's until it ends.
Result<void> claim_folder(const RunRequest& verb) {
    const int folder = ::open(verb.image_folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || ::flock(folder, LOCK_EX | LOCK_NB) == 0) return {};
    ::close(folder);
    return fail(Errc::invalid_argument, "--image-dir: another crash run uses '" +
                                            verb.image_folder + "' now; name another folder");
}

Error no_report(const RunRequest& verb, const std::string& wrong) {
    std::error_code ignored;
    if (const auto unstarted = error_left(verb.note("unstarted.txt"))) return *unstarted;
    if (wrong.empty() && !std::filesystem::exists(verb.file, ignored))
        return {Errc::not_found,
                "the workload has left no file '" + verb.file + "', nor mapped one of that name",
                {},
                {}};
    return {Errc::not_found,
            wrong.empty()
                ? "the workload called no function of libpmem, nor msync, with an address in '" +
                      verb.file +
                      "' (fsync, write, and flushes by instruction are not seen), or is linked "
                      "statically, or "
                      "left by _exit"
                : wrong + ", and there is no report",
            {},
            {}};
}

// The image that --replay names is there, or why it is not.
ExitCode deliver_replayed(const RunRequest& verb, const std::string& wrong) {
    if (Interruption::has_come()) return end_with(no_report(verb, wrong), false);
    if (text_of_file(verb.note("replayed.txt"))) {
        say("the image is in '" + verb.replayed_file + "'");
        return ExitCode::ok;
    }
    return end_with(error_left(verb.note("refused.txt")).value_or(no_report(verb, wrong)), false);
}

void remark_on_the_run(const RunRequest& verb, const std::string& left, crash::Report& report) {
    if (!left.empty() && text_of_file(verb.note("began.txt")) == left)
        report.remarks.push_back(
            {"the file began as the last run has left it, and the workload may have found its work "
             "done: make it again what it was before that run",
             "", 1});
    if (text_of_file(verb.note("child.txt")))
        report.remarks.push_back(
            {"a process that the workload forked, after it had mapped the file, makes it durable "
             "too, which is not seen: have one process do so",
             "", 1});
}

// Who finds nothing may have looked at nothing, or had nothing to hold images against.
void remark_on_a_clean_run(const RunRequest& verb, crash::Report& report) {
    if (!report.clean() || !report.workload_end.empty()) return;
    if (report.recoveries > 0 && !text_of_file(verb.note("opened.txt")))
        report.remarks.push_back(
            {"the recovery command has never opened its image: does it use the path that comes "
             "behind its words?",
             "", 1});
    const auto printed = text_of_file(verb.note("acknowledged"));
    if (!printed || printed->empty())
        report.remarks.push_back(
            {"the workload printed nothing: no image was held against a promise", "", 1});
    else if (text_of_file(verb.note("late.txt")))
        report.remarks.push_back(
            {"all that the workload printed came after its last crash point: does it keep its "
             "output back? (fflush; python3 -u)",
             "", 1});
}

// The shell's words where it could not run the command: then no image was judged.
std::optional<std::string> command_failed(const crash::Report& report) {
    for (const crash::Violation& violation : report.violations)
        if (violation.what.starts_with(kCannotBeRun)) return violation.what;
    return std::nullopt;
}

ExitCode no_verdict(const RunRequest& verb, const std::string& failed) {
    return end_with(Error{Errc::invalid_argument,
                          "--recover-cmd '" + verb.recover_command + "': " + failed,
                          {},
                          {}},
                    false);
}

// Of the violation of this number, from 0.
std::string replay_command(const RunRequest& verb, const crash::Report& report, size_t number) {
    return verb.command_of(report.violations[number].replay,
                           "violation-" + std::to_string(number + 1) + ".image");
}

// As people see it: the whole command in the place of the line that names an image.
std::string text_of(const RunRequest& verb, crash::Report report) {
    for (size_t i = 0; i < report.violations.size(); ++i)
        if (std::string& replay = report.violations[i].replay; !replay.empty())
            replay = replay_command(verb, report, i);
    return report.text();
}

// The workload's process has written them, and knew neither.
void complete_pages(const RunRequest& verb, crash::Report& report) {
    for (size_t i = 0; i < report.violations.size(); ++i) {
        crash::Violation& violation = report.violations[i];
        const std::string page = std::exchange(violation.page_file, "");
        if (page.empty()) continue;
        const auto completed =
            explain::complete_page(page, violation, replay_command(verb, report, i));
        explain::note_file(completed, page, &crash::Violation::page_file, violation);
    }
}

ExitCode two_programs(const RunRequest& verb, const std::string& how) {
    return end_with(Error{Errc::invalid_argument,
                          "two programs of the workload map '" + verb.file + "'" + how +
                              "; give each a run of its own",
                          {},
                          {}},
                    false);
}

ExitCode no_violation(const RunRequest& verb, const std::string& wrong) {
    if (text_of_file(verb.note("second.txt")))
        return two_programs(verb, ", and only one was looked at");
    if (wrong.empty()) return end_with(ExitCode::ok, verb.json_file == "-");
    return end_with(Error{Errc::io, wrong, {}, {}}, false);
}

// What is missing of what was known of a workload that came to no report.
std::string not_tried(const SoFar& so_far) {
    std::string rest = so_far.recovering != 0
                           ? "; of its last crash point not all was tried"
                           : "; what it has stored since its last crash point was not tried";
    if (so_far.is_last) return rest;
    return "; what was found later could not be written into the folder, which is full: the "
           "violations alone are told, on the standard error";
}

// What the workload has left: a report, or where it died what was known until then. Errors:
// not_found (neither), io, and what kept the workload from being looked at.
Result<crash::Report> report_left(const RunRequest& verb, std::string wrong) {
    if (const auto failed = error_left(verb.note("failed.txt"))) return fail(*failed);
    const std::string path = verb.note("report.json");
    const auto json = text_of_file(path);
    if (json && !json->empty()) {
        auto report = report_of(*json, path);
        if (report) report->workload_end = wrong;
        return report;
    }
    if (json) wrong = not_whole(path).message;
    auto so_far = so_far_of(verb.note("so_far.json"));
    if (!so_far) return fail(so_far.error());
    if (!*so_far) return fail(json ? not_whole(path) : no_report(verb, wrong));
    crash::Report& report = (*so_far)->report;
    report.workload_end =
        (wrong.empty() ? "what maps the file died, or left by _exit" : wrong) + not_tried(**so_far);
    return std::move(report);
}

// Its calls alone are wrong: then nothing is said of the recovery.
bool is_misuse_alone(const crash::Report& report) {
    return std::ranges::all_of(report.violations, [](const crash::Violation& violation) {
        return violation.kind == crash::ViolationKind::misuse;
    });
}

// For whoever pastes a replay line.
void keep_file(const RunRequest& verb, const crash::FileBefore& before,
               const crash::Report& report) {
    if (report.clean() || is_misuse_alone(report)) return;
    if (const auto kept = before.keep_in(verb.before_folder()); !kept)
        say(kept.error().message + "; before a replay make '" + verb.file +
            "' again what it was before this run");
}

// ... as it was before the run that the line is of, if that is known.
Result<void> put_file_back(const RunRequest& verb) {
    const auto kept = crash::FileBefore::kept_in(verb.before_folder(), verb.file);
    if (!kept) return fail(kept.error());
    return *kept ? (*kept)->put_back() : Result<void>();
}

// For the next run: what the file is now.
void leave_mark(const RunRequest& verb) {
    const std::string mark = crash::FileBefore(verb.file).mark();
    (void)explain::write_image(verb.note(kMark), std::as_bytes(std::span(mark)));
}

// The workload has run.
ExitCode deliver(const RunRequest& verb, const crash::Report& report) {
    const std::string& wrong = report.workload_end;
    if (verb.json_file != "-") put(text_of(verb, report));
    if (const ExitCode code = write_results(report.json(), verb.json_file); code != ExitCode::ok)
        return code;
    if (report.clean()) return no_violation(verb, wrong);
    if (!wrong.empty()) say(wrong);
    if (is_misuse_alone(report)) {
        say("no verdict on the recovery: the workload does what is not seen, or not modelled");
        return end_with(ExitCode::usage, verb.json_file == "-");
    }
    say("a crash can leave what the recovery does not master");
    return end_with(ExitCode::violation, verb.json_file == "-");
}

ExitCode replay(const RunRequest& verb, const std::string& preload) {
    if (const auto back = put_file_back(verb); !back) return end_with(back.error(), false);
    const auto wrong = run_workload(verb, preload);
    return wrong ? deliver_replayed(verb, *wrong) : end_with(wrong.error(), false);
}

ExitCode search(const RunRequest& verb, const std::string& preload) {
    FirstRun first{preload, crash::FileBefore(verb.file), place_of_input()};
    const std::string left = text_of_file(verb.note(kMark)).value_or("");
    const auto begin = std::chrono::steady_clock::now();
    const auto wrong = run_workload(verb, preload);
    if (!wrong) return end_with(wrong.error(), false);
    if (text_of_file(verb.note("together.txt")))
        return two_programs(verb, " at once, and whose stores are whose is not known");
    auto report = report_left(verb, *wrong);
    if (!report) return end_with(report.error(), false);
    if (const auto failed = command_failed(*report)) return no_verdict(verb, *failed);
    if (verb.fixes > 0 && !Interruption::has_come()) {
        first.time = std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - begin);
        first.lines_printed = lines_printed(verb);
        run_again(verb, first, *report);
    }
    complete_pages(verb, *report);
    keep_file(verb, first.before, *report);
    remark_on_the_run(verb, left, *report);
    remark_on_a_clean_run(verb, *report);
    return deliver(verb, *report);
}

ExitCode crash_run(const RunRequest& verb) {
    const Interruption interruption;
    if (const auto valid = check(verb); !valid) return end_with(valid.error(), false);
    if (const auto ours = claim_folder(verb); !ours) return end_with(ours.error(), false);
    if (const auto ok = check_results(verb.json_file); !ok) return end_with(ok.error(), false);
    const auto preload = find_preload();
    if (!preload) return end_with(preload.error(), false);
    if (const auto made = verb.make_notes(); !made) return end_with(made.error(), false);
    const ExitCode code = verb.replay.empty() ? search(verb, *preload) : replay(verb, *preload);
    leave_mark(verb);  // whatever came of it, the workload has run
    return code;
}

// Behind the options, in --help.
constexpr const char* kMore =
    "At each crash point of the workload images of the file are put into the folder, and\n"
    "'CMD IMAGE' is run by a shell with all that the workload has printed so far on its\n"
    "standard input: what is printed counts as acknowledged (print it at once: other\n"
    "languages than C keep it back, as Python does without -u). CMD ends with 0: right;\n"
    "1: a violation, and its output says what; 2: refused, which is right until something\n"
    "is acknowledged. A signal, another exit code or no end in time are violations. Where it\n"
    "stores to its image, by libpmem or msync, power fails inside of it too.\n"
    "The workload makes durable by libpmem's functions or msync (in which order it stores\n"
    "between two of these calls is not seen: any part may survive), has one thread that stores,\n"
    "is not linked statically and ends by exit. It has ended when all that it has started\n"
    "has. One that dies, leaves by _exit or takes too long is told with what was found until\n"
    "then, as where a signal ends this command: then all that it has started ends before. Of\n"
    "the programs that it starts one maps the file: a second one is an error. Where images\n"
    "fail the workload runs again, over the file as it was, for crash points before and for\n"
    "each fix that is tried; with the same standard input, if that is a file, and otherwise an\n"
    "empty one. The file is left as the workload leaves it: make it again what it was before\n"
    "the next run. --replay does that by itself, from the copy in the image folder.\n"
    "In the image folder 'cinnabar-image', 'cinnabar-run', 'cinnabar-before' and\n"
    "violation-N.image are this command's own, and are replaced by the next run.\n"
    "A report with nothing but misuse of the workload's is usage: exit code 1.";

}  // namespace

void add_crash_run(CLI::App& program, Chosen& chosen) {
    auto verb = std::make_shared<RunRequest>();
    auto* app = program.add_subcommand(
        "run", "Run a workload, and recover what a power failure could leave of its file");
    app->footer(kMore);
    app->add_option("--file", verb->file, "The file that the workload maps, or the folder of it")
        ->required()
        ->check(not_empty())
        ->type_name("PATH");
    app->add_option("--image-dir", verb->image_folder, "Where images lie, and those that fail stay")
        ->required()
        ->check(not_empty())
        ->type_name("DIR");
    app->add_option("--recover-cmd", verb->recover_command, "Recovers an image and judges it")
        ->required()
        ->check(not_empty())
        ->type_name("CMD");
    app->add_option("--seed", verb->seed, "Of what is drawn [1]")->check(number_from(0));
    app->add_option("--images", verb->images, "At each crash point, at most [1000]")
        ->check(number_from(1));
    app->add_option("--random", verb->random_images, "Of these, drawn from all that can be [100]")
        ->check(number_from(0));
    app->add_option("--milliseconds", verb->milliseconds, "For one recovery [10000]")
        ->check(number_from(1));
    add_size_option(*app, "--memory", verb->memory_bytes, "For one recovery [1G]");
    app->add_option("--workload-seconds", verb->workload_seconds,
                    "For the workload, recoveries not counted [600]")
        ->check(number_from(1));
    app->add_option("--violations", verb->violations,
                    "After so many images that fail nothing is tried [10]; 3 that hang")
        ->check(number_from(1));
    app->add_option("--recovery-crashes", verb->recovery_crashes,
                    "Recoveries inside of which power fails again [40]")
        ->check(number_from(0));
    app->add_option("--fixes", verb->fixes,
                    "Fixes that are tried, a further run each; 0: no further run at all [3]")
        ->check(number_from(0));
    // Not without FILE, as elsewhere: '--' would then end the option's words, and not all options.
    app->add_option("--json", verb->json_file, "Write the report to FILE ('-': standard output)")
        ->type_name("FILE");
    app->add_option("--page", verb->page_folder, "Put a page for the browser there, per violation")
        ->type_name("DIR");
    auto* replay = app->add_option("--replay", verb->replay,
                                   "Recover nothing; give the image that this line of a report "
                                   "names, of the same file and workload")
                       ->check(not_empty())
                       ->type_name("LINE");
    auto* image = app->add_option("--image", verb->replayed_file, "Where that image is put")
                      ->type_name("FILE");
    replay->needs(image);
    image->needs(replay);
    app->add_option("workload", verb->workload, "Behind '--': the program, and its words")
        ->required()
        ->type_name("WORKLOAD");
    run_when_chosen(*app, chosen, [verb] {
        // The workload may go elsewhere.
        for (std::string* path :
             {&verb->file, &verb->image_folder, &verb->page_folder, &verb->replayed_file})
            if (!path->empty()) *path = std::filesystem::absolute(*path).string();
        return crash_run(*verb);
    });
}

}  // namespace cinnabar::tool
