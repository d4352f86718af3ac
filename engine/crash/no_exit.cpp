#include "crash/no_exit.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace cinnabar::crash {

namespace {

pid_t forbidden_to = 0;  // a process; its children may exit

void refuse(int code, void*) {
    if (::getpid() != forbidden_to) return;
    std::fflush(nullptr);  // what the test has said so far
    std::fprintf(stderr,
                 "cinnabar::crash: exit(%d) was called by the workload or the oracle, before the "
                 "workload had ended: the test has failed, and there is no report\n",
                 code);
    ::_exit(EXIT_FAILURE);
}

}  // namespace

NoExit::NoExit() {
    // Once, since it cannot be taken back.
    static const int registered = ::on_exit(refuse, nullptr);
    (void)registered;
    forbidden_to = ::getpid();
}

NoExit::~NoExit() {
    forbidden_to = 0;
}

}  // namespace cinnabar::crash
