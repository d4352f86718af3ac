// What a worker process does until it is ended: waits at the desk, recovers, answers.
#pragma once

#include "cinnabar/crash.hpp"
#include "crash/desk.hpp"

namespace cinnabar::crash {

// Of a process that the zygote has forked: it ends with that one, and dumps no core.
void leave_nothing_behind();

[[noreturn]] void be_worker(Desk& desk, int shared_image, const Test& test, const Options& options);

}  // namespace cinnabar::crash
