#include "trials/forked.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <exception>
#include <map>
#include <new>
#include <thread>

#include "base/check.hpp"

namespace cinnabar::trials {

namespace {

// Outcomes that this process and its children see.
class Shared {
  public:
    explicit Shared(size_t count) {
        void* memory = mmap(nullptr, count * sizeof(Outcome), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CNB_CHECK(memory != MAP_FAILED);
        outcomes_ = {static_cast<Outcome*>(memory), count};
        for (Outcome& outcome : outcomes_) new (&outcome) Outcome;
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared() { munmap(outcomes_.data(), outcomes_.size_bytes()); }

    Outcome& operator[](size_t i) { return outcomes_[i]; }
    std::span<const Outcome> all() const { return outcomes_; }

  private:
    std::span<Outcome> outcomes_;
};

// SIGPROF and SIGALRM, which nobody handles. A process does not inherit them.
void bound_time(const ForkOptions& options) {
    itimerval cpu = {};
    cpu.it_value.tv_sec = options.cpu_seconds_max;
    CNB_CHECK(setitimer(ITIMER_PROF, &cpu, nullptr) == 0);
    alarm(options.clock_seconds_max);
}

[[noreturn]] void run_one(size_t i, const ForkOptions& options, int said, Outcome& outcome,
                          const std::function<void(size_t, Outcome&)>& work) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bound_time(options);
    dup2(said, STDERR_FILENO);
    try {
        work(i, outcome);
    } catch (const std::exception& error) {
        outcome.kind = crash::ViolationKind::threw;
        outcome.set_wrong(std::string("throws ") + error.what());
    }
    outcome.seconds = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    _exit(0);
}

std::string first_line(int file) {
    char bytes[256];
    const ssize_t length = pread(file, bytes, sizeof bytes, 0);
    const std::string text(bytes, static_cast<size_t>(std::max<ssize_t>(length, 0)));
    return text.substr(0, text.find('\n'));
}

void note_end(int status, int said, Outcome& outcome) {
    outcome.has_ended = true;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGALRM)) {
        outcome.kind = crash::ViolationKind::hung;
        return outcome.set_wrong(kDoesNotEnd);
    }
    outcome.kind = crash::ViolationKind::crashed;
    outcome.set_wrong((WIFSIGNALED(status) ? std::string("ended by ") + strsignal(WTERMSIG(status))
                                           : "exit code " + std::to_string(WEXITSTATUS(status))) +
                      ": " + first_line(said));
}

}  // namespace

void Outcome::set_wrong(std::string_view text) {
    const size_t length = std::min(text.size(), sizeof wrong - 1);
    std::memcpy(wrong, text.data(), length);
    wrong[length] = 0;
}

std::vector<Outcome> run_forked(size_t count, const ForkOptions& options,
                                const std::function<void(size_t, Outcome&)>& work,
                                const LookAtOutcomes& look) {
    if (count == 0) return {};
    Shared shared(count);
    struct Child {
        size_t job;
        int said;  // what it writes to its standard error
    };
    std::map<pid_t, Child> running;
    size_t started = 0, done = 0;
    while (done < count) {
        for (; started < count && running.size() < options.at_once; ++started) {
            const int said = memfd_create("said", MFD_CLOEXEC);
            CNB_CHECK(said >= 0);
            const pid_t child = fork();
            CNB_CHECK(child >= 0);
            if (child == 0) run_one(started, options, said, shared[started], work);
            running[child] = {started, said};
        }
        for (auto at = running.begin(); at != running.end();) {
            int status = 0;
            const pid_t child = waitpid(at->first, &status, WNOHANG);
            CNB_CHECK(child >= 0);
            if (child == 0) {
                ++at;
                continue;
            }
            note_end(status, at->second.said, shared[at->second.job]);
            close(at->second.said);
            at = running.erase(at);
            ++done;
        }
        if (look && !look(done, shared.all())) {
            for (const auto& [child, job] : running) kill(child, SIGKILL);
            for (const auto& [child, job] : running) {
                CNB_CHECK(waitpid(child, nullptr, 0) == child);
                close(job.said);
            }
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return {shared.all().begin(), shared.all().end()};
}

}  // namespace cinnabar::trials
