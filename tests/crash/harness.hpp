// What the crash tests share: the log's trials, and the seed of this run.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

#include "crash/harness.hpp"
#include "trials/trial.hpp"

namespace cinnabar::crash_test {

using namespace trials;

inline uint64_t seed_of_this_run() {
    const char* given = std::getenv("CINNABAR_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : 20260101;
}

}  // namespace cinnabar::crash_test
