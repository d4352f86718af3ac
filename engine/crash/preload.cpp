// The preloaded object of `cinnabar crash run`: in the process of a workload in any language it
// stands between the workload's libraries and libpmem, and at each crash point has images recovered
// by a command. What to do stands in the environment, where the command line has put it:
//
//   CINNABAR_CRASH_FILE          the file that the workload maps
//   CINNABAR_CRASH_FOLDER        where images lie, and what is said below
//   CINNABAR_CRASH_RECOVER       the command, for a shell; the path of an image comes behind it
//   CINNABAR_CRASH_HERE          the folder where it runs
//   CINNABAR_CRASH_PAGES         where pages for the browser lie then, or nothing
//   CINNABAR_CRASH_REPLAY, _IMAGE   the line of the one image that is wanted, and its file; or
//                                nothing
//   CINNABAR_CRASH_FIX, _FIX_LINES, _OWN_LINES   the call behind which a flush and a fence are put
//                                in, the lines that come after them, and those of which images are
//                                tried first; or nothing
//   CINNABAR_CRASH_EARLIER_LINES, _BEFORE   images of these lines alone are looked at, before this
//                                crash point; or nothing
//   CINNABAR_CRASH_SEED, _IMAGES, _RANDOM, _MILLISECONDS, _MEMORY, _VIOLATIONS
//                                the members of crash::Options, as numbers
//
// In the folder: "acknowledged" holds what the workload has printed so far and is the command's
// standard input, unless "held_back" is there: less of the same, for a moment; "so_far.json" is
// what the report would be by now, for a workload that dies, and which process recovers images, if
// one does, and "so_far.json.lost" is there where a later one could not be written; "report.json"
// is written when the workload ends, and "again.json": what further runs
// may show. A report that is there stays: what a later program has to say, that maps the file too,
// is in "second.txt"; that two did so at once "together.txt" says, and who maps it holds a lock of
// "mapped". For a replay "replayed.txt" says that the image is there, and "refused.txt" why it is
// not, "failed.txt" why a workload could not be
// looked at; "late.txt" that all acknowledgements came after the last crash point but the end, and
// "fixed.txt" that the call was made behind which a fix stands.
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "crash/foreign.hpp"
#include "crash/printable.hpp"
#include "crash/run.hpp"
#include "explain/image_file.hpp"
#include "explain/violation.hpp"

namespace cinnabar::crash {
namespace {

constexpr size_t kSaidMax = 4096;  // of a command's output
constexpr size_t kHeardMax = 400;  // of what a workload prints between two of its calls
constexpr std::chrono::milliseconds kNotedEvery(200);  // while images are recovered

std::string setting(const char* name) {
    const char* value = std::getenv((std::string("CINNABAR_CRASH_") + name).c_str());
    return value == nullptr ? "" : value;
}

void set_number(const char* name, uint64_t& number) {
    if (const std::string value = setting(name); !value.empty())
        number = std::strtoull(value.c_str(), nullptr, 10);
}

Options options_of_environment() {
    Options options;
    options.image_folder = setting("FOLDER");
    options.page_folder = setting("PAGES");
    set_number("SEED", options.seed);
    set_number("IMAGES", options.images_per_crash_point_max);
    set_number("RANDOM", options.random_images);
    set_number("MEMORY", options.recovery_memory_bytes_max);
    set_number("VIOLATIONS", options.violations_max);
    uint64_t milliseconds = static_cast<uint64_t>(options.recovery_time_max.count());
    set_number("MILLISECONDS", milliseconds);
    options.recovery_time_max =
        std::chrono::milliseconds(std::min<uint64_t>(milliseconds, INT64_MAX));
    return options;
}

// The child: what has been acknowledged as its input, what it says into the pipe.
[[noreturn]] void become_command(const std::string& command, const std::string& image,
                                 const std::string& acknowledged, int said) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // with the worker, where that one is killed
    const int input = ::open(acknowledged.c_str(), O_RDONLY);
    ::dup2(input, STDIN_FILENO);
    ::dup2(said, STDOUT_FILENO);
    ::dup2(said, STDERR_FILENO);
    ::unsetenv("LD_PRELOAD");
    if (::chdir(setting("HERE").c_str()) != 0) ::_exit(126);
    const std::string line = command + " \"$1\"";
    ::execl("/bin/sh", "sh", "-c", line.c_str(), "sh", image.c_str(), nullptr);
    ::_exit(127);
}

// Once; how many bytes.
ssize_t read_into(std::string& text, int file, size_t bytes_max) {
    std::array<char, 4096> bytes = {};
    const ssize_t length =
        TEMP_FAILURE_RETRY(::read(file, bytes.data(), std::min(bytes.size(), bytes_max)));
    if (length > 0 && text.size() < kSaidMax)
        text.append(bytes.data(), static_cast<size_t>(length));
    return length;
}

// The first words of what it says; the rest is read, so that it does not wait for us. Once it has
// ended, what has been said by then: a process that it leaves behind may hold its output open.
std::string said_by(pid_t command, int file) {
    std::string text;
    const int end = static_cast<int>(::syscall(SYS_pidfd_open, command, 0));
    std::array<pollfd, 2> both{{{file, POLLIN, 0}, {end, POLLIN, 0}}};
    bool is_open = true;
    while (is_open && both[1].revents == 0) {
        TEMP_FAILURE_RETRY(::poll(both.data(), both.size(), -1));
        if (both[0].revents != 0) is_open = read_into(text, file, SIZE_MAX) > 0;
    }
    int there = 0;
    if (::ioctl(file, FIONREAD, &there) != 0) there = 0;
    for (ssize_t length = 1; there > 0 && length > 0; there -= static_cast<int>(length))
        length = read_into(text, file, static_cast<size_t>(there));
    ::close(end);
    while (text.ends_with('\n')) text.pop_back();
    return text;
}

// "exit 0", "exit 1: what it said", "signal 11".
std::string run_command(const std::string& command, const std::string& image,
                        const std::string& acknowledged) {
    int said[2] = {};
    if (::pipe2(said, O_CLOEXEC) != 0) throw std::runtime_error("no pipe to the command");
    const pid_t child = ::fork();
    if (child == 0) become_command(command, image, acknowledged, said[1]);
    ::close(said[1]);
    if (child < 0) throw std::runtime_error("no process for the command");
    const std::string text = said_by(child, said[0]);
    ::close(said[0]);
    int status = 0;
    if (::waitpid(child, &status, 0) != child)
        throw std::runtime_error("no process for the command");
    if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
    const int code = WEXITSTATUS(status);
    if (code > 128) return "signal " + std::to_string(code - 128);  // as the shell says it
    // What it says beside a verdict of 0 or 2 may differ from run to run.
    const bool told = code == 1 || code == 126 || code == 127;
    return "exit " + std::to_string(code) + (told && !text.empty() ? ": " + text : "");
}

uint64_t bytes_of(const std::string& path) {
    struct stat status = {};
    return ::stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

std::string verdict_on(std::string_view end, const std::string& acknowledged,
                       uint64_t memory_bytes) {
    if (end == "exit 0") return {};
    if (end.starts_with("exit 1: ")) return std::string(end.substr(8));
    if (end == "exit 1") return "the recovery command found a violation, and said nothing";
    if (end == "exit 2") {
        if (bytes_of(acknowledged) == 0) return {};
        return "the recovery command refused the image, and something is acknowledged already";
    }
    for (const std::string_view code : {"exit 126", "exit 127"})  // the shell's own
        if (end.starts_with(code))
            return "the recovery command cannot be run" + std::string(end.substr(code.size()));
    return "the recovery command ended by " + std::string(end) + "; it may use " +
           size_text(memory_bytes) + " of memory (--memory)";
}

// The fix that this run is to try.
std::optional<explain::Fix> fix_of_environment() {
    const std::string where = setting("FIX");
    if (where.empty()) return std::nullopt;
    return explain::Fix{where, explain::lines_of_words(setting("FIX_LINES")),
                        explain::lines_of_words(setting("OWN_LINES"))};
}

// What this run is to look at, and nothing else.
std::optional<explain::Earlier> earlier_of_environment() {
    explain::Earlier earlier;
    set_number("EARLIER_BEFORE", earlier.before);
    if (earlier.before == 0) return std::nullopt;
    earlier.lines = explain::lines_of_words(setting("EARLIER_LINES"));
    return earlier;
}

std::string list_of(const std::vector<uint32_t>& numbers) {
    std::string out;
    for (const uint32_t number : numbers) out += (out.empty() ? "" : ",") + std::to_string(number);
    return "[" + out + "]";
}

// What further runs may show, and what they are compared with.
std::string further_runs(const Run& run) {
    const explain::Earlier earlier = run.earlier().value_or(explain::Earlier());
    std::string out;
    for (const auto& [number, fix] : run.fixes())
        out += (out.empty() ? "" : ", ") +
               explain::JsonObject()
                   .add("violation", uint64_t{number})
                   .add("where", fix.where)
                   .add("lines_after", explain::words_of_lines(fix.lines_after))
                   .add("own_lines", explain::words_of_lines(fix.own_lines))
                   .text();
    return explain::JsonObject()
               .raw("fixes", "[" + out + "]")
               .add("earlier_lines", explain::words_of_lines(earlier.lines))
               .add("earlier_before", earlier.before)
               .raw("lines_stored", list_of(run.trail().lines))
               .raw("values_stored", list_of(run.trail().values))
               .text() +
           "\n";
}

// Never over a file that is there: false. One that cannot be written whole is left empty, which
// says so to its reader.
bool write_file(const std::string& path, std::string_view text) {
    std::FILE* file = std::fopen(path.c_str(), "wxe");
    if (file == nullptr) return false;
    const bool is_written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if (std::fclose(file) != 0 || !is_written) (void)::truncate(path.c_str(), 0);
    return true;
}

// What lives as long as the workload's process.
class Preloaded {
  public:
    Preloaded()
        : options_(options_of_environment()),
          acknowledged_(options_.image_folder + "/acknowledged"),
          test_(test()) {}

    void start() {
        if (!replay_.empty()) {
            if (const auto known = run_.look_for(replay_); !known) return refuse(known.error());
        } else if (!run_.start()) {
            return;
        }
        if (const auto fix = fix_of_environment()) run_.insert(*fix);
        if (const auto earlier = earlier_of_environment()) run_.look_only_at(*earlier);
        run_.listen_to([this] { return printed_since(); },
                       [this](size_t lines) { return hold_back(lines); });
        foreign_ = std::make_unique<Foreign>(setting("FILE"), run_);
        if (is_second_)
            foreign_->refuse(
                "two programs of the workload map the file, one after the other; "
                "give each a run of its own");
        else if (replay_.empty())
            run_.look([this](bool recovering) { note_so_far(recovering); });
        foreign_->claim_by([this] { return claim(); });
        Foreign::watch(foreign_.get());
    }

    bool is_of_this_process() const { return is_of(::getpid()); }
    bool is_of(pid_t process) const { return process == process_; }
    bool has_found() const { return foreign_ && foreign_->found(); }

    // A program that the workload starts, and that maps no such file, has nothing to report.
    void finish() {
        if (!is_of_this_process() || !foreign_) return;
        std::fflush(stdout);
        const bool is_late = heard_ == 0;
        if (foreign_->active()) run_.at_end();
        Foreign::watch(nullptr);
        if (!replay_.empty()) return write_replayed();
        if (foreign_->failed()) return write_error("failed.txt", *foreign_->failed());
        const std::string further = further_runs(run_);
        const Report report = run_.finish();
        if (!foreign_->found() && report.clean()) return;
        if (is_second_ || !write_file(report_, report.json())) {
            (void)write_file(options_.image_folder + "/second.txt", report.text());
            return;
        }
        if (bytes_of(report_) == 0) return;  // what was noted last counts
        (void)write_file(options_.image_folder + "/again.json", further);
        if (is_late) (void)write_file(options_.image_folder + "/late.txt", "");
        if (run_.fix_was_made()) (void)write_file(options_.image_folder + "/fixed.txt", "");
    }

  private:
    // The lock ends with the process.
    bool claim() const {
        const std::string lock = options_.image_folder + "/mapped";
        const int file = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0 || ::flock(file, LOCK_EX | LOCK_NB) == 0) return true;
        ::close(file);
        (void)write_file(options_.image_folder + "/together.txt", "");
        return false;
    }

    // In the place of what it was, so that it is whole whenever this process ends.
    void note_so_far(bool recovering) {
        const auto now = std::chrono::steady_clock::now();
        const bool is_news = !recovering || run_.violations() != noted_violations_;
        if (!is_news && now < note_at_) return;
        note_at_ = recovering ? now + kNotedEvery : now;
        noted_violations_ = run_.violations();
        const std::string next = so_far_ + ".next";
        ::unlink(next.c_str());
        const auto process = static_cast<uint64_t>(recovering ? process_ : 0);
        const auto json =
            explain::JsonObject().add("recovering", process).raw("report", run_.so_far().json());
        const std::string text = json.text();
        if (!write_file(next, text)) return;
        const bool is_whole = bytes_of(next) == text.size();
        (void)::rename(next.c_str(), (is_whole ? so_far_ : lost_).c_str());
        if (is_whole) ::unlink(lost_.c_str());
        if (!is_whole) tell_violations();
        told_violations_ = noted_violations_;
    }

    // On a full disk: those that are neither told so far nor in what was written last.
    void tell_violations() const {
        const Report report = run_.so_far();
        for (size_t i = told_violations_; i < report.violations.size(); ++i)
            std::fputs(explain::text_of(report.violations[i]).c_str(), stderr);
    }

    // The number of the error, and its words: those of the program that maps the file, rather than
    // of one that starts it.
    void refuse(const Error& error) const {
        if (foreign_) ::unlink((options_.image_folder + "/refused.txt").c_str());
        write_error("refused.txt", error);
    }

    void write_error(const std::string& name, const Error& error) const {
        (void)write_file(options_.image_folder + "/" + name,
                         std::to_string(static_cast<int>(error.code)) + " " + error.message);
    }

    // A program that the workload starts, and that maps no such file, has no image either.
    void write_replayed() {
        if (foreign_->failed()) return refuse(*foreign_->failed());
        const auto misuse = run_.misuse();
        if (!foreign_->found() && !misuse) return;
        const auto image = run_.found();
        if (!image)
            return refuse(misuse ? Error{Errc::invalid_argument, *misuse, {}, {}} : image.error());
        if (const auto written = explain::write_image(setting("IMAGE"), *image); !written)
            return refuse(written.error());
        (void)write_file(options_.image_folder + "/replayed.txt", "");
    }

    // Line by line as a terminal bears it; of very much the end.
    std::string printed_since() {
        const uint64_t end = bytes_of(acknowledged_);
        if (end == heard_) return {};
        const uint64_t begin = std::exchange(heard_, end);
        std::string bytes(std::min<uint64_t>(end - std::min(begin, end), kHeardMax), '\0');
        std::ifstream file(acknowledged_, std::ios::binary);
        file.seekg(static_cast<std::streamoff>(end - bytes.size()));
        file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        std::string text;
        std::istringstream lines(bytes);
        for (std::string line; std::getline(lines, line);)
            text += (text.empty() ? "" : "\n") + printable(line);
        return text.empty() ? "(an empty line)" : text;
    }

    // The command's standard input. A worker is another process, and knows of a file alone.
    const std::string& promised() const {
        return ::access(held_back_.c_str(), F_OK) == 0 ? held_back_ : acknowledged_;
    }

    std::optional<std::string> hold_back(size_t lines) const {
        ::unlink(held_back_.c_str());
        std::ifstream file(acknowledged_, std::ios::binary);
        const std::string text(std::istreambuf_iterator<char>(file), {});
        size_t begin = text.size(), end = begin;
        for (size_t i = 0; i < lines; ++i) {
            if (begin == 0) return std::nullopt;
            end = begin;
            begin = end < 2 ? 0 : text.rfind('\n', end - 2) + 1;  // 0 where there is none
        }
        if (lines == 0 || !write_file(held_back_, text.substr(0, begin))) return std::nullopt;
        return printable(text.substr(begin, text.find('\n', begin) - begin));
    }

    Test test() const {
        const std::string command = setting("RECOVER");
        Test test;
        test.workload = [](History&) {};
        test.recover_file = [this, command](const std::string& image) {
            return run_command(command, image, promised());
        };
        test.check = [this](std::string_view digest, const History&) {
            return crash::verdict_on(digest, promised(), options_.recovery_memory_bytes_max);
        };
        return test;
    }

    const pid_t process_ = ::getpid();
    const Options options_;
    const std::string acknowledged_;
    const std::string held_back_ = options_.image_folder + "/held_back";
    const std::string replay_ = setting("REPLAY");
    const std::string report_ = options_.image_folder + "/report.json";
    const std::string so_far_ = options_.image_folder + "/so_far.json";
    const std::string lost_ = so_far_ + ".lost";
    // A program before has left what it has to say.
    const bool is_second_ =
        ::access(report_.c_str(), F_OK) == 0 || ::access(so_far_.c_str(), F_OK) == 0;
    const Test test_;
    Run run_{test_, options_};
    std::unique_ptr<Foreign> foreign_;
    uint64_t heard_ = 0;  // bytes of what was printed
    std::chrono::steady_clock::time_point note_at_ = {};
    size_t noted_violations_ = 0;
    size_t told_violations_ = 0;  // to who reads the file, or the standard error
};

Preloaded* the_preloaded = nullptr;
pid_t forked_from = 0;

// A program becomes a daemon as a child of itself: where it has not mapped the file before, who
// maps it may be the child. What was begun for the parent stays the parent's. (A process for
// recoveries forks too, and is none that this was begun for.)
void begin_in_child() {
    if (the_preloaded == nullptr || !the_preloaded->is_of(forked_from) ||
        the_preloaded->has_found())
        return;
    the_preloaded = new Preloaded;
    the_preloaded->start();
}

[[gnu::constructor]] void begin() {
    if (setting("FILE").empty()) return;
    // What a C program prints counts as soon as a line ends; others have to write it out
    // themselves.
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    the_preloaded = new Preloaded;
    the_preloaded->start();
    ::pthread_atfork([] { forked_from = ::getpid(); }, nullptr, begin_in_child);
}

[[gnu::destructor]] void end() {
    if (the_preloaded == nullptr) return;
    the_preloaded->finish();
    if (the_preloaded->is_of_this_process())
        delete the_preloaded;  // and what recoveries left behind
}

}  // namespace
}  // namespace cinnabar::crash
