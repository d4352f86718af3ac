// cinnabar crash run: runs a workload of the user's, in any language, and has the images that a
// crash could leave of its file recovered by a command. The crashing happens in the workload's
// process, in an object that is preloaded there; this program starts it and tells what came out.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include "crash_verbs.hpp"
#include "folder.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include "pool_options.hpp"
#include "results.hpp"

namespace cinnabar::tool {

namespace {

// So the preloaded object says it (preload.cpp).
constexpr std::string_view kCannotBeRun = "the recovery command cannot be run";

struct RunVerb {
    std::string file;
    std::string image_folder;
    std::string recover_command;
    std::string json_file;
    std::string page_folder;
    std::string replay;
    std::string replayed_file;
    uint64_t seed = 1;
    uint64_t images = 1000;
    uint64_t random_images = 100;
    uint64_t milliseconds = 10'000;
    uint64_t memory_bytes = uint64_t{1} << 30;
    uint64_t violations = 10;
    std::vector<std::string> workload;

    std::string in_folder(const char* name) const { return image_folder + "/" + name; }
};

Result<void> check(const RunVerb& verb) {
    if (const auto there =
            check_folder(verb.image_folder, ", best in memory, as in /dev/shm: images lie in it");
        !there)
        return there;
    if (!verb.page_folder.empty())
        if (const auto there = check_folder(verb.page_folder, ": pages lie in it"); !there)
            return there;
    if (verb.memory_bytes == 0) return fail(Errc::invalid_argument, "--memory: '0' is below 1");
    std::error_code ignored;
    if (!verb.replay.empty() && std::filesystem::weakly_canonical(verb.file, ignored) ==
                                    std::filesystem::weakly_canonical(verb.replayed_file, ignored))
        return fail(Errc::invalid_argument,
                    "--image: '" + verb.file + "' is the workload's own; name another file");
    return {};
}

// The object stands beside the libraries, or in the build's own folder.
Result<std::string> find_preload() {
    std::error_code ignored;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
    for (const char* place : {PRELOAD_INSTALLED, PRELOAD_BUILT}) {
        const auto path = (program / place).lexically_normal();
        if (std::filesystem::exists(path, ignored)) return path.string();
    }
    return fail(Errc::not_found, "what is preloaded into the workload is not installed: " +
                                     (program / PRELOAD_INSTALLED).string());
}

void set(const char* name, const std::string& value) {
    ::setenv((std::string("CINNABAR_CRASH_") + name).c_str(), value.c_str(), 1);
}

[[noreturn]] void become_workload(const RunVerb& verb, const std::string& preload, int output) {
    set("FILE", verb.file);
    set("FOLDER", verb.image_folder);
    set("RECOVER", verb.recover_command);
    set("HERE", std::filesystem::current_path().string());
    set("PAGES", verb.page_folder);
    set("REPLAY", verb.replay);
    set("IMAGE", verb.replayed_file);
    set("SEED", std::to_string(verb.seed));
    set("IMAGES", std::to_string(verb.images));
    set("RANDOM", std::to_string(verb.random_images));
    set("MILLISECONDS", std::to_string(verb.milliseconds));
    set("MEMORY", std::to_string(verb.memory_bytes));
    set("VIOLATIONS", std::to_string(verb.violations));
    const char* others = std::getenv("LD_PRELOAD");
    ::setenv("LD_PRELOAD", (preload + (others == nullptr ? "" : ":" + std::string(others))).c_str(),
             1);
    ::dup2(output, STDOUT_FILENO);
    std::vector<char*> words;
    for (const std::string& word : verb.workload) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    const std::string sentence =
        "cinnabar: '" + verb.workload[0] + "' cannot be run: " + std::strerror(errno) + "\n";
    if (::write(STDERR_FILENO, sentence.data(), sentence.size()) < 0) ::_exit(126);
    ::_exit(127);
}

// What an earlier run has left of its violations.
void remove_violations(const std::string& folder, const std::string& ending) {
    if (folder.empty()) return;
    std::error_code ignored;
    for (uint64_t number = 1;; ++number)
        if (!std::filesystem::remove(folder + "/violation-" + std::to_string(number) + ending,
                                     ignored))
            return;
}

// How the workload's process ended, as waitpid says it.
Result<int> run_workload(const RunVerb& verb, const std::string& preload) {
    for (const char* name :
         {"report.json", "report.txt", "second.txt", "refused.txt", "replayed.txt", "late.txt"})
        ::unlink(verb.in_folder(name).c_str());
    if (verb.replay.empty()) {
        remove_violations(verb.image_folder, ".image");
        remove_violations(verb.page_folder, ".html");
    }
    const std::string acknowledged = verb.in_folder("acknowledged");
    const int output =
        ::open(acknowledged.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (output < 0)
        return fail(Errc::io, "'" + acknowledged + "' cannot be written: " + std::strerror(errno));
    const pid_t child = ::fork();
    if (child == 0) become_workload(verb, preload, output);
    const std::string reason = std::strerror(errno);
    ::close(output);
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child)
        return fail(Errc::io, "the workload cannot be started: " + reason);
    return status;
}

std::optional<std::string> text_of_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// Nothing where it ended as it should.
std::string wrong_end(int status) {
    if (WIFSIGNALED(status))
        return std::string("the workload died: ") + ::strsignal(WTERMSIG(status));
    if (WEXITSTATUS(status) == 0) return {};
    return "the workload ended with exit code " + std::to_string(WEXITSTATUS(status));
}

ExitCode no_report(const RunVerb& verb, const std::string& wrong) {
    return end_with(
        Error{Errc::not_found,
              wrong.empty() ? "the workload called no function of libpmem with an address in '" +
                                  verb.file + "', or is linked statically, or left by _exit"
                            : wrong + ", and there is no report",
              {},
              {}},
        false);
}

// The image that --replay names is there, or why it is not.
ExitCode deliver_replayed(const RunVerb& verb, const std::string& wrong) {
    if (const auto refused = text_of_file(verb.in_folder("refused.txt")))
        return end_with(Error{Errc::invalid_argument, *refused, {}, {}}, false);
    if (!text_of_file(verb.in_folder("replayed.txt"))) return no_report(verb, wrong);
    say("the image is in '" + verb.replayed_file + "'");
    return ExitCode::ok;
}

// What a clean report does not say of the workload's promises.
void say_of_promises(const RunVerb& verb) {
    const auto printed = text_of_file(verb.in_folder("acknowledged"));
    if (!printed || printed->empty())
        say("the workload printed nothing: no image was held against a promise");
    else if (text_of_file(verb.in_folder("late.txt")))
        say("all that the workload printed came after its last crash point: does it keep its "
            "output back? (fflush; python3 -u)");
}

// Where the images of violations are, and their pages.
void say_where(const RunVerb& verb) {
    say("a crash can leave what the recovery does not master; images are in '" + verb.image_folder +
        "'");
    if (verb.page_folder.empty()) return;
    std::error_code ignored;
    const bool there = std::filesystem::exists(verb.page_folder + "/violation-1.html", ignored);
    say(there ? "pages are in '" + verb.page_folder + "'"
              : "there is no page in '" + verb.page_folder + "': can it be written to?");
}

// The shell's words where it could not run the command: then no image was judged.
std::optional<std::string> command_failed(const Json& report) {
    for (const Json& violation : report["violations"]) {
        const std::string what = violation["what"];
        if (what.starts_with(kCannotBeRun)) return what;
    }
    return std::nullopt;
}

ExitCode crash_run(const RunVerb& verb) {
    if (const auto valid = check(verb); !valid) return end_with(valid.error(), false);
    if (const auto ok = check_results(verb.json_file); !ok) return end_with(ok.error(), false);
    const auto preload = find_preload();
    if (!preload) return end_with(preload.error(), false);
    const auto status = run_workload(verb, *preload);
    if (!status) return end_with(status.error(), false);
    const std::string wrong = wrong_end(*status);
    if (!verb.replay.empty()) return deliver_replayed(verb, wrong);
    const auto json = text_of_file(verb.in_folder("report.json"));
    const auto text = text_of_file(verb.in_folder("report.txt"));
    if (!json || !text) return no_report(verb, wrong);
    const Json report = Json::parse(*json);
    if (const auto failed = command_failed(report))
        return end_with(Error{Errc::invalid_argument,
                              "--recover-cmd '" + verb.recover_command + "': " + *failed,
                              {},
                              {}},
                        false);
    if (verb.json_file != "-") put(*text);
    if (const ExitCode code = write_results(*json, verb.json_file); code != ExitCode::ok)
        return code;
    if (report["violations"].empty()) {
        say_of_promises(verb);
        if (text_of_file(verb.in_folder("second.txt")))
            return end_with(Error{Errc::invalid_argument,
                                  "two programs of the workload map '" + verb.file +
                                      "', and only one was looked at; give each a run of its own",
                                  {},
                                  {}},
                            false);
        if (wrong.empty()) return end_with(ExitCode::ok, verb.json_file == "-");
        return end_with(Error{Errc::io, wrong, {}, {}}, false);
    }
    say_where(verb);
    return end_with(ExitCode::violation, verb.json_file == "-");
}

}  // namespace

void add_crash_run(CLI::App& program, Chosen& chosen) {
    auto verb = std::make_shared<RunVerb>();
    auto* app = program.add_subcommand(
        "run", "Run a workload, and recover what a power failure could leave of its file");
    app->footer(
        "At each crash point of the workload images of the file are put into the folder, and\n"
        "'CMD IMAGE' is run by a shell with all that the workload has printed so far on its\n"
        "standard input: what is printed counts as acknowledged (print it at once: other\n"
        "languages than C keep it back, as Python does without -u). CMD ends with 0: right;\n"
        "1: a violation, and its output says what; 2: refused, which is right until something\n"
        "is acknowledged. A signal, another exit code or no end in time are violations.\n"
        "The workload has one thread that stores, is not linked statically and ends by exit. Of\n"
        "the programs that it starts one maps the file: a second one is an error. The file is\n"
        "left as the workload leaves it: make it again what it was before the next run.");
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
    app->add_option("--violations", verb->violations,
                    "After so many images that fail nothing is tried [10]")
        ->check(number_from(1));
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
