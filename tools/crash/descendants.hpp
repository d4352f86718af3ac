// The processes of a workload: the one that was started, and all that has come of it, also where
// who started them has ended before.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace cinnabar::tool {

class Descendants {
  public:
    // Before the workload is started: what is there now is none of it. From now on what loses its
    // parent becomes a child of this process.
    Descendants();

    // The workload.
    void began_with(pid_t first) { first_ = first; }
    // Of the first one, once it has ended: as waitpid gives it.
    std::optional<int> status() const { return status_; }
    // All of them.
    bool have_ended();
    // In words which of them have not ended by that: they are somebody else's, or the system holds
    // them. Nothing: all have.
    std::string kill();

  private:
    std::vector<pid_t> left() const;

    std::vector<pid_t> others_;
    pid_t first_ = 0;
    std::optional<int> status_;
};

}  // namespace cinnabar::tool
