// Which of so many candidates, one after the other, are taken where not all may be: each with the
// same likelihood.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>

namespace cinnabar::sim {

class Sample {
  public:
    // `random` outlives it.
    Sample(uint64_t candidates, uint64_t taken_max, std::mt19937_64& random)
        : left_(candidates), open_(std::min(candidates, taken_max)), random_(random) {}

    bool takes_next() {
        const bool takes =
            open_ == left_ || std::uniform_int_distribution<uint64_t>(1, left_)(random_) <= open_;
        --left_;
        open_ -= takes ? 1 : 0;
        return takes;
    }

  private:
    uint64_t left_;
    uint64_t open_;  // how many of these are taken
    std::mt19937_64& random_;
};

}  // namespace cinnabar::sim
