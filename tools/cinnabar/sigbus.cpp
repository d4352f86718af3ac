#include "sigbus.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "exit_code.hpp"

namespace cinnabar::tool {

namespace {

// Made before the signal, since little may be called in its handler.
std::array<char, 8192> sentence;
size_t sentence_bytes = 0;

void on_sigbus(int) {
    size_t written = 0;
    while (written < sentence_bytes) {
        const ssize_t n = ::write(STDERR_FILENO, &sentence[written], sentence_bytes - written);
        if (n <= 0) break;
        written += static_cast<size_t>(n);
    }
    ::_exit(static_cast<int>(ExitCode::not_found_or_io));
}

}  // namespace

void guard_mapping(std::string_view path) {
    const std::string text = "cinnabar: a part of '" + std::string(path.substr(0, 4096)) +
                             "' could not be reached any more while it was in use: the file was "
                             "made shorter, its file system is full, or the medium lost a page. "
                             "What was acknowledged before is kept as far as the file still holds "
                             "it; look with: cinnabar check\n";
    sentence_bytes = std::min(text.size(), sentence.size());
    std::copy_n(text.begin(), sentence_bytes, sentence.begin());
    struct sigaction action = {};
    action.sa_handler = on_sigbus;
    ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace cinnabar::tool
