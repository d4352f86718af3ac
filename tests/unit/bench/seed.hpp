// Seeds of randomised tests: printed, and taken from CINNABAR_SEED.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

inline uint64_t test_seed() {
    const char* given = std::getenv("CINNABAR_SEED");
    const uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
    std::printf("CINNABAR_SEED=%llu\n", static_cast<unsigned long long>(seed));
    return seed;
}
