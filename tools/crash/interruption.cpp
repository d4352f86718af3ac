#include "interruption.hpp"

#include <cstring>

namespace cinnabar::tool {

namespace {

volatile sig_atomic_t the_signal = 0;

}  // namespace

Interruption::Interruption() {
    struct sigaction handler = {};
    handler.sa_handler = [](int number) { the_signal = number; };
    handler.sa_flags = 0;  // without SA_RESTART: nothing waits on
    for (size_t i = 0; i < kSignals.size(); ++i) {
        ::sigaction(kSignals[i], nullptr, &before_[i]);
        if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &handler, nullptr);
    }
}

Interruption::~Interruption() {
    for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
    if (has_come()) ::raise(the_signal);
}

bool Interruption::has_come() {
    return the_signal != 0;
}

std::string Interruption::text() {
    return std::string("this command was told to end (") + ::strsignal(the_signal) + ")";
}

}  // namespace cinnabar::tool
