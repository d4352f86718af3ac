#include "force/stop.hpp"

#include <string>

namespace cinnabar::bench {

namespace {

volatile std::sig_atomic_t signal_that_came = 0;

void note_signal(int number) {
    signal_that_came = number;
}

}  // namespace

StopBySignal::StopBySignal() {
    signal_that_came = 0;
    struct sigaction noted = {};
    noted.sa_handler = note_signal;
    for (size_t i = 0; i < kSignals.size(); ++i) {
        ::sigaction(kSignals[i], nullptr, &before_[i]);
        if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &noted, nullptr);
    }
}

StopBySignal::~StopBySignal() {
    for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
}

Result<void> StopBySignal::go_on() const {
    if (signal_that_came == 0) return {};
    return fail(Errc::failed, "stopped by signal " + std::to_string(signal_that_came) +
                                  "; the files of the run are removed");
}

}  // namespace cinnabar::bench
