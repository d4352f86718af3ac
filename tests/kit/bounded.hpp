// How many images a test whose recovery takes milliseconds may look at: what fits into the run of
// all tests, or CINNABAR_KIT_IMAGES for each crash point.
#pragma once

#include <cinnabar/crash.hpp>
#include <cstdint>
#include <cstdlib>

namespace kit_test {

#ifdef __SANITIZE_ADDRESS__
inline constexpr uint64_t kImages = 15;
#else
inline constexpr uint64_t kImages = 40;
#endif

inline cinnabar::crash::Options bounded() {
    cinnabar::crash::Options options;
    const char* images = std::getenv("CINNABAR_KIT_IMAGES");
    options.images_per_crash_point_max =
        images != nullptr ? std::strtoull(images, nullptr, 10) : kImages;
    options.random_images = 20;
    return options;
}

}  // namespace kit_test
