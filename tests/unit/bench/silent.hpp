// Progress that nobody sees, and that must not go back.
#pragma once

#include <gtest/gtest.h>

#include "force/force_bench.hpp"

namespace cinnabar::bench {

class Silent final : public Progress {
  public:
    void at(double fraction, std::string_view) override {
        EXPECT_GE(fraction, last_);
        last_ = fraction;
    }

  private:
    double last_ = 0;
};

}  // namespace cinnabar::bench
