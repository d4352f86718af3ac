#include "recovery_command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <fstream>

#include "cinnabar/crash.hpp"
#include "crash/unavailable.hpp"
#include "explain/violation.hpp"
#include "notes.hpp"
#include "settings.hpp"

namespace cinnabar::tool {

namespace {

constexpr size_t kSaidMax = 4096;  // of a command's output

// A command may signal its whole group ("kill 0"), of which this process is one: not while it
// lives.
class Unmoved {
  public:
    Unmoved() {
        for (size_t i = 0; i < kSignals.size(); ++i) before_[i] = ::signal(kSignals[i], SIG_IGN);
    }
    ~Unmoved() { end(); }
    Unmoved(const Unmoved&) = delete;
    Unmoved& operator=(const Unmoved&) = delete;

    void end() const {
        for (size_t i = 0; i < kSignals.size(); ++i) ::signal(kSignals[i], before_[i]);
    }

  private:
    static constexpr std::array kSignals = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    std::array<sighandler_t, kSignals.size()> before_ = {};
};

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

// For the preloaded object, which asks in another process.
constexpr const char *kOpened = "opened.txt", *kSaid = "said.txt";

std::string note(const char* name) {
    return notes_folder(setting("FOLDER")) + "/" + name;
}

void leave(const char* name, const std::string& text) {
    std::ofstream(note(name), std::ios::binary) << text;
}

// What it says beside a verdict other than 1 may differ from run to run, and is no part of what is
// compared.
std::string said_beside(const std::string& before) {
    const std::string text = text_of_file(note(kSaid)).value_or("");
    return text.empty() ? "" : before + text;
}

std::string signal_text(int number, const std::string& said) {
    leave(kSaid, said);
    return "signal " + std::to_string(number) + " (" + ::strsignal(number) + ")";
}

// Leaves a note once a command has opened its image while this lives.
class OpenedNote {
  public:
    explicit OpenedNote(const std::string& image) {
        if (is_left_) return;
        file_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        ::inotify_add_watch(file_, image.c_str(), IN_OPEN);
    }
    ~OpenedNote() {
        if (file_ < 0) return;
        std::array<char, 4096> events = {};
        is_left_ = ::read(file_, events.data(), events.size()) > 0;
        if (is_left_) leave(kOpened, "");
        ::close(file_);
    }
    OpenedNote(const OpenedNote&) = delete;
    OpenedNote& operator=(const OpenedNote&) = delete;

  private:
    inline static bool is_left_ = false;
    int file_ = -1;
};

}  // namespace

void become_recovery_command(const std::string& image, const std::string& acknowledged, int said) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // with the worker, where that one is killed
    const int input = ::open(acknowledged.c_str(), O_RDONLY);
    ::dup2(input, STDIN_FILENO);
    ::dup2(said, STDOUT_FILENO);
    ::dup2(said, STDERR_FILENO);
    if (::chdir(setting("HERE").c_str()) != 0) ::_exit(126);
    const std::string line = setting("RECOVER") + " \"$1\"";
    ::execl("/bin/sh", "sh", "-c", line.c_str(), "sh", image.c_str(), nullptr);
    ::_exit(127);
}

std::string run_recovery_command(const std::string& image, const std::string& acknowledged) {
    int said[2] = {};
    if (::pipe2(said, O_CLOEXEC) != 0) throw crash::Unavailable("no pipe to the command");
    const Unmoved unmoved;
    const OpenedNote opened(image);
    const pid_t child = ::fork();
    if (child == 0) {
        unmoved.end();
        ::unsetenv("LD_PRELOAD");
        become_recovery_command(image, acknowledged, said[1]);
    }
    ::close(said[1]);
    if (child < 0) throw crash::Unavailable("no process for the command");
    const std::string text = said_by(child, said[0]);
    ::close(said[0]);
    int status = 0;
    if (::waitpid(child, &status, 0) != child)
        throw crash::Unavailable("no process for the command");
    if (WIFSIGNALED(status)) return signal_text(WTERMSIG(status), text);
    const int code = WEXITSTATUS(status);
    // As the shell says it; but for -1, with which programs end.
    if (code > 128 && code <= 128 + SIGRTMAX) return signal_text(code - 128, text);
    if (code != 0) leave(kSaid, text);
    const bool told = code == 1 || code == 126 || code == 127;
    return "exit " + std::to_string(code) + (told && !text.empty() ? ": " + text : "");
}

uint64_t bytes_of_file(const std::string& path) {
    struct stat status = {};
    return ::stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

std::string verdict_on(std::string_view end, const std::string& acknowledged,
                       uint64_t memory_bytes) {
    if (end == "exit 0") return {};
    if (end.starts_with("exit 1: ")) return std::string(end.substr(8));
    if (end == "exit 1") return "the recovery command found a violation, and said nothing";
    if (end == "exit 2") {
        if (bytes_of_file(acknowledged) == 0) return {};
        return "the recovery command refused the image, and something is acknowledged already" +
               said_beside(": ");
    }
    for (const std::string_view code : {"exit 126", "exit 127"})  // the shell's own
        if (end.starts_with(code))
            return "the recovery command cannot be run" + std::string(end.substr(code.size()));
    const std::string memory = end.starts_with("signal")
                                   ? ", with " + size_text(memory_bytes) + " of memory (--memory)"
                                   : "";
    return "the recovery command ended by " + std::string(end) + memory + said_beside(": ");
}

}  // namespace cinnabar::tool
