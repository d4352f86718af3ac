// What ends this program by a signal, while workloads run: first all that they have started is to
// be gone, and what lies about of them.
#pragma once

#include <array>
#include <csignal>
#include <string>

namespace cinnabar::tool {

// While it lives SIGINT, SIGQUIT, SIGTERM and SIGHUP are only noted, as often as they come; where
// it ends, the last one that came ends the program as it would have. What is ignored stays so.
class Interruption {
  public:
    Interruption();
    ~Interruption();
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;

    static bool has_come();
    // "this command was told to end (Terminated)"
    static std::string text();

  private:
    static constexpr std::array kSignals{SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    std::array<struct sigaction, kSignals.size()> before_ = {};
};

}  // namespace cinnabar::tool
