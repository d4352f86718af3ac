#include "crash/no_exit.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace cinnabar::crash {

namespace {

pid_t forbidden_to = 0;  // a process; its children may exit
struct sigaction abort_before = {};

[[noreturn]] void end(int code) {
    for (;;) ::syscall(SYS_exit_group, code);
}

// Of the function, with its code: "exit(0)". Nothing of the C library's files: a signal handler may
// leave, while the thread that it has interrupted, or another, has one locked.
void say(const char* call) {
    char text[256];
    std::snprintf(text, sizeof text,
                  "cinnabar::crash: %s was called by the workload or the oracle, before the "
                  "workload had ended: the test has failed, and there is no report\n",
                  call);
    if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) return;  // nobody can be told
}

void refuse(const char* function, int code) {
    if (::getpid() != forbidden_to) return;
    char call[64];
    std::snprintf(call, sizeof call, "%s(%d)", function, code);
    say(call);
    end(EXIT_FAILURE);
}

void refuse_exit(int code, void*) {
    if (::getpid() == forbidden_to) std::fflush(nullptr);  // what the test has said so far
    refuse("exit", code);
}

void refuse_quick_exit() {
    if (::getpid() != forbidden_to) return;
    say("quick_exit");
    end(EXIT_FAILURE);
}

// Whatever was to happen happens when this one returns.
void tell_of_abort(int number) {
    if (::getpid() == forbidden_to) say("abort");
    ::sigaction(number, &abort_before, nullptr);
    ::raise(number);
}

}  // namespace

NoExit::NoExit() {
    // Once, since they cannot be taken back.
    static const int registered = ::on_exit(refuse_exit, nullptr);
    static const int registered_quick = ::at_quick_exit(refuse_quick_exit);
    (void)registered;
    (void)registered_quick;
    struct sigaction handler = {};
    handler.sa_handler = tell_of_abort;
    ::sigaction(SIGABRT, &handler, &before_);
    abort_before = before_;
    forbidden_to = ::getpid();
}

NoExit::~NoExit() {
    forbidden_to = 0;
    ::sigaction(SIGABRT, &before_, nullptr);
}

}  // namespace cinnabar::crash

// The C library's, taken over for the whole program: they tell nobody that they are called.
// NOLINTBEGIN(*-reserved-identifier,*-identifier-naming)
extern "C" {

#pragma GCC visibility push(default)
void _exit(int status) {
    cinnabar::crash::refuse("_exit", status);
    cinnabar::crash::end(status);
}

void _Exit(int status) noexcept {
    cinnabar::crash::refuse("_Exit", status);
    cinnabar::crash::end(status);
}
#pragma GCC visibility pop
}
// NOLINTEND(*-reserved-identifier,*-identifier-naming)
