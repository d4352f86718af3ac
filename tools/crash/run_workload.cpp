#include "run_workload.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "crash/file_before.hpp"
#include "crash/inside.hpp"
#include "descendants.hpp"
#include "explain/image_file.hpp"
#include "explain/violation.hpp"
#include "force/force_bench.hpp"
#include "interruption.hpp"
#include "output.hpp"
#include "preload/settings.hpp"
#include "run_report.hpp"

namespace cinnabar::tool {

namespace {

void set_further(const Further& further) {
    if (further.fix) {
        set_setting("FIX", further.fix->where);
        set_setting("FIX_LINES", explain::words_of_lines(further.fix->lines_after));
        set_setting("OWN_LINES", explain::words_of_lines(further.fix->own_lines));
    }
    if (further.earlier) {
        set_setting("EARLIER_LINES", explain::words_of_lines(further.earlier->lines));
        set_setting("EARLIER_BEFORE", std::to_string(further.earlier->before));
    }
    ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
    if (!further.input_at || ::lseek(STDIN_FILENO, *further.input_at, SEEK_SET) < 0)
        ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
}

[[noreturn]] void become_workload(const RunRequest& request, const std::string& preload,
                                  const std::optional<Further>& further, int output) {
    set_setting("FILE", request.file);
    set_setting("FOLDER", request.image_folder);
    set_setting("RECOVER", request.recover_command);
    set_setting("HERE", std::filesystem::current_path().string());
    set_setting("PAGES", request.page_folder);
    set_setting("REPLAY", request.replay);
    set_setting("IMAGE", request.replayed_file);
    set_setting("SEED", std::to_string(request.seed));
    set_setting("IMAGES", std::to_string(request.images));
    set_setting("RANDOM", std::to_string(request.random_images));
    set_setting("MILLISECONDS", std::to_string(request.milliseconds));
    set_setting("MEMORY", std::to_string(request.memory_bytes));
    set_setting("VIOLATIONS", std::to_string(request.violations));
    set_setting("RECOVERY_CRASHES", std::to_string(further ? 0 : request.recovery_crashes));
    if (further) set_further(*further);
    const char* others = std::getenv("LD_PRELOAD");
    ::setenv("LD_PRELOAD", (preload + (others == nullptr ? "" : ":" + std::string(others))).c_str(),
             1);
    ::dup2(output, STDOUT_FILENO);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // where this command is killed, and can end nothing
    std::vector<char*> words;
    for (const std::string& word : request.workload)
        words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    const bool is_a_line =
        request.workload.size() == 1 && request.workload[0].find(' ') != std::string::npos;
    const std::string sentence =
        "cinnabar: '" + request.workload[0] + "' cannot be run: " + std::strerror(errno) +
        (is_a_line ? "; give its words one by one: -- PROGRAM WORD ..." : "") + "\n";
    if (::write(STDERR_FILENO, sentence.data(), sentence.size()) < 0) ::_exit(126);
    ::_exit(127);
}

// What a process leaves that is killed over it.
void remove_unfinished(const RunRequest& request) {
    for (const char* name : {"so_far.json.next", "held_back"}) ::unlink(request.note(name).c_str());
    for (const std::string& folder : {request.image_folder, request.page_folder})
        if (!folder.empty()) explain::remove_folders(folder, crash::kInsideFolders);
}

constexpr std::array kNotes = {"acknowledged", "again.json",   "began.txt",   "child.txt",
                               "failed.txt",   "fixed.txt",    "late.txt",    "left.txt",
                               "mapped",       "opened.txt",   "refused.txt", "replayed",
                               "replayed.txt", "reply",        "report.json", "request",
                               "said.txt",     "second.txt",   "so_far.json", "so_far.json.lost",
                               "together.txt", "unstarted.txt"};

// The files of a first run. What a run that was killed has left of its further ones goes too.
void remove_reports(const RunRequest& request) {
    for (const char* name : kNotes) ::unlink(request.note(name).c_str());
    remove_unfinished(request);
    explain::remove_folders(request.image_folder, kAgainFolders);
    if (!request.replay.empty()) return;
    crash::FileBefore::forget(request.before_folder());
    explain::remove_violations(request.image_folder, ".image");
    explain::remove_violations(request.page_folder, ".html");
}

std::string wrong_end(int status) {
    if (WIFSIGNALED(status))
        return std::string("the workload died: ") + ::strsignal(WTERMSIG(status));
    if (WEXITSTATUS(status) == 0) return {};
    return "the workload ended with exit code " + std::to_string(WEXITSTATUS(status));
}

// Not of one that has died and that nobody has waited for.
bool is_alive(pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string stat;
    std::getline(file, stat);
    const size_t end_of_name = stat.rfind(") ");
    return end_of_name != stat.npos && stat.compare(end_of_name + 2, 1, "Z") != 0;
}

// Whether images are recovered at this moment: then it is not the workload that takes its time.
bool is_recovering(const SoFar& so_far) {
    return so_far.recovering != 0 && so_far.is_last &&
           is_alive(so_far.recovering);  // or it died over that
}

std::string text_of(const crash::Report& report, std::chrono::steady_clock::duration time) {
    using explain::count_text;
    return count_text(report.crash_points, "crash point") + ", " +
           count_text(report.images_distinct, "image") + ", " +
           count_text(report.violations.size(), "violation") + ", " +
           std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
}

// How the workload ended, if not as it should.
std::string wait_for(Descendants& workload, const std::string& so_far_path,
                     std::chrono::milliseconds time_max, const char* option,
                     const std::string& of_which_run) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds looked_every(200);
    constexpr int looks_in_silence = 25;  // that is five seconds
    bench::TerminalProgress progress;
    Clock::duration taken = {};
    int looks_behind = 0;  // behind the end of the first process, while nothing is recovered
    const auto begin = Clock::now();
    for (auto looked = begin; !workload.have_ended(); ::usleep(2000)) {
        if (Interruption::has_come()) {
            const std::string left = workload.kill();
            return Interruption::text() + left;
        }
        const auto since = Clock::now() - looked;
        if (since < looked_every) continue;
        looked += since;
        const auto so_far = so_far_of(so_far_path);
        const bool is_known = so_far && *so_far;
        if (is_known) progress.by_now(of_which_run + text_of((*so_far)->report, looked - begin));
        if (is_known && is_recovering(**so_far)) continue;
        if (workload.status() && ++looks_behind == looks_in_silence) {
            progress.by_now("");
            say("the workload's first process has ended; waits for what it has started");
        }
        taken += since;
        if (taken < time_max) continue;
        const std::string left = workload.kill();
        return (workload.status() ? "what the workload has started" : "the workload") +
               std::string(" did not end within ") + std::to_string(time_max.count() / 1000) +
               " s, recoveries not counted" + option + left;
    }
    return wrong_end(*workload.status());
}

std::chrono::milliseconds time_max_of(const RunRequest& request) {
    constexpr std::chrono::hours ever(24 * 365);  // more seconds are as many as these
    constexpr uint64_t seconds_max = std::chrono::seconds(ever).count();
    return std::chrono::seconds(std::min(request.workload_seconds, seconds_max));
}

// For a shell.
std::string quoted(const std::string& word) {
    const char* plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./,:@%";
    if (!word.empty() && word.find_first_not_of(plain) == word.npos) return word;
    std::string out = "'";
    for (const char letter : word) {
        if (letter == '\'')
            out += "'\\''";
        else
            out += letter;
    }
    return out + "'";
}

}  // namespace

std::string RunRequest::command_of(const std::string& line, const std::string& image) const {
    std::string text = "cinnabar crash run --file " + quoted(file) + " --image-dir " +
                       quoted(image_folder) + " --recover-cmd " + quoted(recover_command) +
                       " --replay " + quoted(line) + " --image " + quoted(image) + " --";
    for (const std::string& word : workload) text += " " + quoted(word);
    return text;
}

Result<void> RunRequest::make_notes() const {
    std::error_code failed;
    std::filesystem::create_directory(notes(), failed);
    if (failed) return fail(Errc::io, "'" + notes() + "' cannot be made: " + failed.message());
    for (const std::string& folder : {notes(), before_folder()})
        if (std::filesystem::is_symlink(folder, failed))
            return fail(Errc::io,
                        "'" + folder + "' is a link: what it leads to is not this command's");
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

Result<std::string> run_workload(const RunRequest& request, const std::string& preload,
                                 const std::optional<Further>& further) {
    remove_reports(request);
    const std::string acknowledged = request.note("acknowledged");
    const int output =
        ::open(acknowledged.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (output < 0)
        return fail(Errc::io, "'" + acknowledged + "' cannot be written: " + std::strerror(errno));
    Descendants processes;
    const pid_t child = ::fork();
    if (child == 0) become_workload(request, preload, further, output);
    const std::string reason = std::strerror(errno);
    ::close(output);
    if (child < 0) return fail(Errc::io, "the workload cannot be started: " + reason);
    processes.began_with(child);
    const std::string so_far_path = request.note("so_far.json");
    std::string wrong =
        further
            ? wait_for(processes, so_far_path, further->time_max, "", "this run: ")
            : wait_for(processes, so_far_path, time_max_of(request), " (--workload-seconds)", "");
    remove_unfinished(request);
    return wrong;
}

}  // namespace cinnabar::tool
