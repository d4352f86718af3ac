// While one of these is there, this process does not end unnoticed: a workload that calls exit,
// quick_exit, _exit or _Exit would end the test with it, and exit(0) as if the test had passed.
// abort, and what comes to it, ends it as ever, but in words.
#pragma once

#include <csignal>

namespace cinnabar::crash {

class NoExit {
  public:
    NoExit();
    ~NoExit();
    NoExit(const NoExit&) = delete;
    NoExit& operator=(const NoExit&) = delete;

  private:
    struct sigaction before_ = {};  // what SIGABRT did
};

}  // namespace cinnabar::crash
