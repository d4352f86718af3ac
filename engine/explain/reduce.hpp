// From an image that fails to the smallest ones that fail as well: the fewest lines that are older
// than they could be, and the fewest that are newer. First whole lines are put back, by halves,
// then quarters, down to one; then of each line that is left the words, as far as the rules allow.
#pragma once

#include <cstdint>
#include <functional>

#include "explain/replay.hpp"
#include "sim/image.hpp"

namespace cinnabar::explain {

class Reducer {
  public:
    // `fails` says whether the image, as it stands then, fails. It is asked so often at most; what
    // is not settled by then stays as it is.
    Reducer(const sim::PendingLines& pending, sim::Image& image, std::function<bool()> fails,
            uint64_t tries_max)
        : pending_(pending), image_(image), fails_(std::move(fails)), tries_left_(tries_max) {}

    // Of `failing`, which names each pending line: those that have to differ from all that is
    // pending, or from nothing of it. The image stands at what came out.
    Lines fewest(bool all_survives, const Lines& failing);

    // All that is pending, or nothing, but for these lines.
    void put(bool all_survives, const Lines& differ);

  private:
    bool still_fails(bool all_survives, const Lines& differ);
    void drop_lines(bool all_survives, Lines& differ);
    void shrink(bool all_survives, Lines& differ, uint64_t line);

    const sim::PendingLines& pending_;
    sim::Image& image_;
    std::function<bool()> fails_;
    uint64_t tries_left_;
};

}  // namespace cinnabar::explain
