// The preloaded object of `cinnabar crash run`: in the process of a workload in any language it
// stands between the workload's libraries and libpmem, and at each crash point has images recovered
// by a command. What to do stands in the environment, where the command line has put it:
//
//   CINNABAR_CRASH_FILE          the file that the workload maps
//   CINNABAR_CRASH_FOLDER        where images lie, and the folder of which more is said below
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
//   CINNABAR_CRASH_INSIDE, _ACKNOWLEDGED   the workload is a recovery command inside of which power
//                                fails, as the first file says (crashed_command.hpp), and what is
//                                acknowledged stands in the second; or nothing
//   CINNABAR_CRASH_SEED, _IMAGES, _RANDOM, _MILLISECONDS, _MEMORY, _VIOLATIONS, _RECOVERY_CRASHES
//                                the members of crash::Options, as numbers
//
// In that folder (notes.hpp): "acknowledged" holds what the workload has printed so far and is
// the command's standard input, unless "held_back" is there: less of the same, for a moment;
// "so_far.json" is what the report would be by now, for a workload that dies, and which process
// recovers images, if one does, and "so_far.json.lost" is there where a later one could not be
// written; "report.json" is written when the workload ends, and "again.json": what further runs may
// show. A report that is there stays: what a later program has to say, that maps the file too, is
// in "second.txt"; that two did so at once "together.txt" says, and who maps it holds a lock of
// "mapped". For a replay "replayed.txt" says that the image is there, and "refused.txt" why it is
// not, "failed.txt" why a workload could not be looked at, and "unstarted.txt" why a program of it
// could not (which may map no such file); "began.txt" what the file held when it was mapped first
// (FileBefore's mark), "late.txt" that all acknowledgements came after the last crash point but the
// end, and "child.txt" that a process forked later makes the file durable too, "opened.txt" that a
// recovery command has opened its image, "said.txt" what the last one said that ended badly,
// "fixed.txt" that the call was made behind which a fix stands.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "crash/foreign.hpp"
#include "crash/printable.hpp"
#include "crash/run.hpp"
#include "crashed_command.hpp"
#include "explain/image_file.hpp"
#include "explain/violation.hpp"
#include "notes.hpp"
#include "recovery_command.hpp"
#include "settings.hpp"

namespace cinnabar::tool {
namespace {

constexpr size_t kHeardMax = 400;  // of what a workload prints between two of its calls
constexpr std::chrono::milliseconds kNotedEvery(200);  // while images are recovered

crash::Options options_of_environment() {
    crash::Options options;
    options.image_folder = setting("FOLDER");
    options.page_folder = setting("PAGES");
    set_number("SEED", options.seed);
    set_number("IMAGES", options.images_per_crash_point_max);
    set_number("RANDOM", options.random_images);
    set_number("MEMORY", options.recovery_memory_bytes_max);
    set_number("VIOLATIONS", options.violations_max);
    set_number("RECOVERY_CRASHES", options.recovery_crashes_max);
    uint64_t milliseconds = static_cast<uint64_t>(options.recovery_time_max.count());
    set_number("MILLISECONDS", milliseconds);
    options.recovery_time_max =
        std::chrono::milliseconds(std::min<uint64_t>(milliseconds, INT64_MAX));
    return options;
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
std::string further_runs(const crash::Run& run) {
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
        : options_(options_of_environment()), acknowledged_(acknowledged()), test_(test()) {}

    void start() {
        if (!replay_.empty()) {
            if (const auto known = run_.look_for(replay_); !known) return refuse(known.error());
        } else if (const auto started = run_.start(); !started) {
            return write_error("unstarted.txt", started.error());
        }
        if (const auto fix = fix_of_environment()) run_.insert(*fix);
        if (const auto earlier = earlier_of_environment()) run_.look_only_at(*earlier);
        if (!inside_.empty()) {
            run_.is_inside(crash::InsideRequest::of(text_of_file(inside_).value_or("")));
            run_.on_recovery([this] { say_that_it_lives(inside_); });
        } else {
            run_.listen_to([this] { return printed_since(); },
                           [this](size_t lines) { return hold_back(lines); });
        }
        foreign_ = std::make_unique<crash::Foreign>(setting("FILE"), run_);
        if (replay_.empty()) run_.look([this](bool recovering) { note_so_far(recovering); });
        foreign_->claim_by([this] { return claim(); });
        foreign_->on_child([this] { (void)write_file(notes_ + "/child.txt", ""); });
        crash::Foreign::watch(foreign_.get());
    }

    bool is_of_this_process() const { return is_of(::getpid()); }
    bool is_of(pid_t process) const { return process == process_; }
    bool has_found() const { return foreign_ && foreign_->found(); }

    // A program that the workload starts, and that maps no such file, has nothing to report.
    void finish() {
        if (!is_of_this_process() || !foreign_) return;
        std::fflush(stdout);
        const bool is_late = heard_ == 0 && run_.so_far().crash_points > 0;
        foreign_->adopt();
        if (foreign_->active()) run_.at_end();
        foreign_->end();
        crash::Foreign::watch(nullptr);
        if (!replay_.empty()) return write_replayed();
        if (foreign_->failed()) return write_error("failed.txt", *foreign_->failed());
        const std::string further = further_runs(run_);
        const auto report = run_.finish();
        if (!report) return write_error("failed.txt", report.error());
        if (!foreign_->found() && report->clean()) return;
        if (is_second_ ||
            !write_file(report_, inside_.empty() ? report->json() : crash::bytes_of(*report))) {
            (void)write_file(notes_ + "/second.txt", report->text());
            return;
        }
        if (bytes_of_file(report_) == 0) return;  // what was noted last counts
        if (!inside_.empty()) return;
        (void)write_file(notes_ + "/again.json", further);
        if (is_late) (void)write_file(notes_ + "/late.txt", "");
        if (run_.fix_was_made()) (void)write_file(notes_ + "/fixed.txt", "");
    }

  private:
    // When it maps the file. The lock ends with the process.
    bool claim() {
        const std::string lock = notes_ + "/mapped";
        const int file = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file >= 0 && ::flock(file, LOCK_EX | LOCK_NB) != 0) {
            ::close(file);
            (void)write_file(notes_ + "/together.txt", "");
            return false;
        }
        // One before, which has ended, may have begun as this one, and later.
        is_second_ = ::access(report_.c_str(), F_OK) == 0 || ::access(so_far_.c_str(), F_OK) == 0;
        if (is_second_)
            foreign_->refuse(
                "two programs of the workload map the file, one after the other; "
                "give each a run of its own");
        return true;
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
        const bool is_whole = bytes_of_file(next) == text.size();
        (void)::rename(next.c_str(), (is_whole ? so_far_ : lost_).c_str());
        if (is_whole) ::unlink(lost_.c_str());
        if (!is_whole) tell_violations();
        told_violations_ = noted_violations_;
        (void)write_file(notes_ + "/began.txt", foreign_->began_with());
    }

    // On a full disk: those that are neither told so far nor in what was written last.
    void tell_violations() const {
        const crash::Report report = run_.so_far();
        for (size_t i = told_violations_; i < report.violations.size(); ++i)
            std::fputs(explain::text_of(report.violations[i]).c_str(), stderr);
    }

    // The number of the error, and its words: those of the program that maps the file, rather than
    // of one that starts it.
    void refuse(const Error& error) const {
        if (foreign_) ::unlink((notes_ + "/refused.txt").c_str());
        write_error("refused.txt", error);
    }

    void write_error(const std::string& name, const Error& error) const {
        (void)write_file(notes_ + "/" + name,
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
        (void)write_file(notes_ + "/replayed.txt", "");
    }

    // Line by line as a terminal bears it; of very much the end.
    crash::Run::Printed printed_since() {
        const uint64_t end = bytes_of_file(acknowledged_);
        if (end == heard_) return {"", lines_};
        const uint64_t begin = std::min(std::exchange(heard_, end), end);
        std::string bytes(end - begin, '\0');
        std::ifstream file(acknowledged_, std::ios::binary);
        file.seekg(static_cast<std::streamoff>(begin));
        file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        lines_ += static_cast<size_t>(std::ranges::count(bytes, '\n'));
        std::string text;
        std::istringstream lines(bytes.substr(bytes.size() - std::min(bytes.size(), kHeardMax)));
        for (std::string line; std::getline(lines, line);)
            text += (text.empty() ? "" : "\n") + crash::printable(line);
        return {text.empty() ? "(an empty line)" : text, lines_};
    }

    // The command's standard input. A worker is another process, and knows of a file alone.
    const std::string& promised() const {
        return ::access(held_back_.c_str(), F_OK) == 0 ? held_back_ : acknowledged_;
    }

    std::optional<std::string> hold_back(size_t lines) const {
        ::unlink(held_back_.c_str());
        const std::string text = text_of_file(acknowledged_).value_or("");
        size_t begin = text.size();
        for (size_t i = 0; i < lines; ++i) {
            if (begin == 0) return std::nullopt;
            const size_t end = begin;
            begin = end < 2 ? 0 : text.rfind('\n', end - 2) + 1;  // 0 where there is none
        }
        if (lines == 0 || !write_file(held_back_, text.substr(0, begin))) return std::nullopt;
        return crash::printable(text.substr(begin, text.find('\n', begin) - begin));
    }

    // Of a recovery command nothing is acknowledged but what the workload has.
    std::string acknowledged() const {
        return inside_.empty() ? notes_ + "/acknowledged" : setting("ACKNOWLEDGED");
    }

    crash::FileCrashes file_crashes() const {
        return {
            .watch = {},
            .elsewhere = [this](const crash::InsideRequest& request, const crash::Options& options,
                                const std::string& image, const std::function<void()>& lives) {
                return crash_recovery_command(request, options, image, promised(), lives);
            }};
    }

    crash::Test test() const {
        crash::Test test;
        test.workload = [](crash::History&) {};
        test.recover_file = [this](const std::string& image) {
            return run_recovery_command(image, promised());
        };
        test.check = [this](std::string_view digest, const crash::History&) {
            return verdict_on(digest, promised(), options_.recovery_memory_bytes_max);
        };
        return test;
    }

    const pid_t process_ = ::getpid();
    const std::string inside_ = setting("INSIDE");
    const crash::Options options_;
    const std::string notes_ = notes_folder(options_.image_folder);
    const std::string acknowledged_;
    const std::string held_back_ = notes_ + "/held_back";
    const std::string replay_ = setting("REPLAY");
    const std::string report_ = notes_ + (inside_.empty() ? "/report.json" : kInsideReply);
    const std::string so_far_ = notes_ + "/so_far.json";
    const std::string lost_ = so_far_ + ".lost";
    bool is_second_ = false;  // a program before has left what it has to say
    const crash::Test test_;
    crash::Run run_{test_, options_, file_crashes()};
    std::unique_ptr<crash::Foreign> foreign_;
    uint64_t heard_ = 0;  // bytes of what was printed
    size_t lines_ = 0;    // of that
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
}  // namespace cinnabar::tool
