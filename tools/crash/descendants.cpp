#include "descendants.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>

namespace cinnabar::tool {

namespace {

// With what dead ones of them have left to us.
std::vector<pid_t> children() {
    std::ifstream file("/proc/thread-self/children");
    return {std::istream_iterator<pid_t>(file), std::istream_iterator<pid_t>()};
}

}  // namespace

Descendants::Descendants() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    std::signal(SIGCHLD, SIG_DFL);  // where it is ignored nobody learns how a child ended
    others_ = children();
}

std::vector<pid_t> Descendants::left() const {
    std::vector<pid_t> left = children();
    std::erase_if(left, [&](pid_t child) { return std::ranges::count(others_, child) > 0; });
    return left;
}

bool Descendants::have_ended() {
    if (int status = 0; !status_ && ::waitpid(first_, &status, WNOHANG) == first_) status_ = status;
    if (!status_) return false;
    const std::vector<pid_t> left = this->left();
    for (const pid_t child : left) ::waitpid(child, nullptr, WNOHANG | __WALL);
    return left.empty();
}

std::string Descendants::kill() {
    constexpr std::chrono::seconds patience(5);
    const auto end = std::chrono::steady_clock::now() + patience;
    auto left = this->left();
    for (; !left.empty() && std::chrono::steady_clock::now() < end; left = this->left()) {
        for (const pid_t child : left) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, WNOHANG | __WALL);
        }
        ::usleep(1000);
    }
    std::string numbers;
    for (const pid_t child : left) numbers += " " + std::to_string(child);
    return left.empty() ? "" : "; these processes of it cannot be killed:" + numbers;
}

}  // namespace cinnabar::tool
