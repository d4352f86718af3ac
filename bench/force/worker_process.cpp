// One engine in a process of its own, as the benchmark sees it.
#include "force/worker_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "force/force_bench.hpp"
#include "rivals/mapping.hpp"

extern char** environ;

namespace cinnabar::bench {

namespace {

// A slice lasts 50 ms at most; the slowest order is to write a file to a slow disk.
constexpr int kPatience_ms = 60'000;

constexpr const char* kForceVariable = "PMEM_IS_PMEM_FORCE";

std::vector<std::string> environment_for(bool force_pmem) {
    std::vector<std::string> variables;
    const std::string prefix = std::string(kForceVariable) + "=";
    for (char** v = environ; *v != nullptr; ++v) {
        if (!std::string_view(*v).starts_with(prefix)) variables.emplace_back(*v);
    }
    if (force_pmem) variables.push_back(prefix + "1");
    return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
    std::vector<char*> pointers;
    for (std::string& s : strings) pointers.push_back(s.data());
    pointers.push_back(nullptr);
    return pointers;
}

}  // namespace

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(bool force_pmem) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail(Errc::io, errno_text("socketpair"));
    }
    // A copy above the numbers that the child's own standard streams have; it survives exec.
    const int childs = ::fcntl(ends[1], F_DUPFD, 10);
    ::close(ends[1]);
    std::vector<std::string> arguments = {"cinnabar", kWorkerVerb, std::to_string(childs)};
    std::vector<std::string> variables = environment_for(force_pmem);
    pid_t child = -1;
    const int code = ::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr,
                                   pointers_to(arguments).data(), pointers_to(variables).data());
    ::close(childs);
    if (code != 0) {
        ::close(ends[0]);
        return fail(Errc::io, std::string("cannot start a worker: ") + std::strerror(code));
    }
    return std::unique_ptr<WorkerProcess>(new WorkerProcess(child, ends[0]));
}

WorkerProcess::~WorkerProcess() {
    Order quit;  // the worker removes its file and ends
    quit.verb = Verb::quit;
    if (child_ > 0) send_all(socket_, &quit, sizeof quit);
    ::close(socket_);
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
}

Result<const Reply*> WorkerProcess::call(const Order& order) {
    if (!send_all(socket_, &order, sizeof order)) return fail(how_it_ended());
    pollfd answer{socket_, POLLIN, 0};
    int ready = 0;
    do ready = ::poll(&answer, 1, kPatience_ms);
    while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        ::kill(child_, SIGKILL);  // its file goes with the run's directory
        return fail(Errc::timed_out, "no answer for " + std::to_string(kPatience_ms / 1000) +
                                         " s: the engine hangs");
    }
    if (!receive_all(socket_, &reply_, sizeof reply_)) return fail(how_it_ended());
    if (reply_.code != 0) return fail(reply_.error());
    return &reply_;
}

Error WorkerProcess::how_it_ended() {
    int status = 0;
    std::string how = "without a word";
    if (child_ > 0 && ::waitpid(child_, &status, 0) == child_) {
        child_ = -1;
        if (WIFSIGNALED(status)) how = std::string("by ") + ::strsignal(WTERMSIG(status));
        if (WIFEXITED(status)) how = "with code " + std::to_string(WEXITSTATUS(status));
    }
    return {Errc::io, "the worker process ended " + how, {}, {}};
}

}  // namespace cinnabar::bench
