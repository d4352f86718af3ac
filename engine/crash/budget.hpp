// Which images of a crash point are tried where the levels have more than the budget allows: each
// level has an equal share, what it does not need the others have, and within a level one image is
// as likely as another.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace cinnabar::crash {

class Budget {
  public:
    // `images`: how many each level has at most, in the order in which they are shown.
    Budget(const std::vector<uint64_t>& images, uint64_t max, uint64_t seed);

    // Of the next image that is shown.
    bool is_tried();
    bool is_spent() const { return left_ == 0; }

  private:
    struct Level {
        uint64_t shown;  // images that are still to come
        uint64_t tried;  // of these
    };

    std::vector<Level> levels_;
    size_t level_ = 0;
    uint64_t left_ = 0;
    std::mt19937_64 draw_;
};

}  // namespace cinnabar::crash
