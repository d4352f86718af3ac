// SIGINT, SIGTERM and SIGHUP end a run before its next slice, not the process at once: a run has
// files to remove, some of them in memory. A signal that was ignored stays ignored.
#pragma once

#include <array>
#include <csignal>

#include "cinnabar/result.hpp"

namespace cinnabar::bench {

// One at a time in a process.
class StopBySignal {
  public:
    StopBySignal();
    StopBySignal(const StopBySignal&) = delete;
    StopBySignal& operator=(const StopBySignal&) = delete;
    ~StopBySignal();

    // Errors: failed, once a signal came.
    Result<void> go_on() const;

  private:
    static constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
    std::array<struct sigaction, kSignals.size()> before_ = {};
};

}  // namespace cinnabar::bench
