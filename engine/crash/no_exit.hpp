// While one of these is there, this process does not end by exit: a workload that calls it would
// end the test with it, and exit(0) as if the test had passed.
#pragma once

namespace cinnabar::crash {

class NoExit {
  public:
    NoExit();
    ~NoExit();
    NoExit(const NoExit&) = delete;
    NoExit& operator=(const NoExit&) = delete;
};

}  // namespace cinnabar::crash
