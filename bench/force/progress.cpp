// Where a run stands, for whoever waits for it.
#include <unistd.h>

#include "force/clock.hpp"
#include "force/force_bench.hpp"

namespace cinnabar::bench {

TerminalProgress::TerminalProgress(std::FILE* out, double apart_s)
    : out_(out),
      terminal_(::isatty(::fileno(out)) == 1),
      apart_ns_(static_cast<uint64_t>(apart_s * 1e9)),
      said_ns_(Clock::monotonic_ns()) {}

TerminalProgress::~TerminalProgress() {
    if (terminal_) std::fputs("\r\033[K", out_);
}

void TerminalProgress::begins(std::string_view what) {
    std::fprintf(out_, "cinnabar: %.*s\n", static_cast<int>(what.size()), what.data());
    std::fflush(out_);
}

void TerminalProgress::at(double fraction, std::string_view what) {
    const int length = static_cast<int>(what.size());
    if (terminal_) {
        std::fprintf(out_, "\r\033[K[%3.0f%%] %.*s", 100 * fraction, length, what.data());
        std::fflush(out_);
        return;
    }
    const uint64_t now = Clock::monotonic_ns();
    if (now - said_ns_ < apart_ns_) return;
    said_ns_ = now;
    std::fprintf(out_, "cinnabar: %.0f %% done, now %.*s\n", 100 * fraction, length, what.data());
    std::fflush(out_);
}

void TerminalProgress::by_now(std::string_view what) {
    const int length = static_cast<int>(what.size());
    if (terminal_) {
        std::fprintf(out_, "\r\033[K%.*s", length, what.data());
        std::fflush(out_);
        return;
    }
    const uint64_t now = Clock::monotonic_ns();
    if (what.empty() || now - said_ns_ < apart_ns_) return;
    said_ns_ = now;
    std::fprintf(out_, "cinnabar: by now %.*s\n", length, what.data());
    std::fflush(out_);
}

}  // namespace cinnabar::bench
