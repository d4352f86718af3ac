// What the system does not give to a recovery: room for its image, memory, a process. That is no
// verdict on the image, and ends a run with an error.
#pragma once

#include <stdexcept>

namespace cinnabar::crash {

class Unavailable : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

}  // namespace cinnabar::crash
