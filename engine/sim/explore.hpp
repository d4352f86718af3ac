// Which images of a crash are tried, and how many there are that are not. Levels, each with a
// budget of its own, in the order in which they run. Where a level has more than its budget, any of
// its images are shown, each as likely as another; of boundaries nothing and everything in any
// case, and of rows the first ones, which have the most pairs.
//   boundary   nothing pending survives; everything does; every prefix in store order
//   one line   every representative of each line, the others all old and then all new
//   two lines  the same for both lines of each pair, with the others as before where few lines are
//              pending; where more are, in rows that have each pair somewhere (pair_cover.hpp)
//   random     each line in any state that the rules allow, drawn from a seed
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "sim/image.hpp"
#include "sim/pending_line.hpp"

namespace cinnabar::sim {

// More pairs of lines' contents are not covered in rows: memory and time grow with their number.
constexpr size_t kCoveredPairsMax = 4'000'000;

enum class Level : uint8_t { boundary, one_line, two_lines, random };
constexpr size_t kLevels = 4;
using LevelCounts = std::array<uint64_t, kLevels>;

// Of one crash point.
struct ExploreOptions {
    size_t pair_lines_max = 2;  // two lines: where so many or fewer are pending, each by itself
    bool cover_pairs = false;   // ... where more are, in rows; not for more pairs than below
    uint64_t random_images = 0;
    LevelCounts images_max = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};  // the budgets
    uint64_t seed = 1;
};

// How many images each level has, or rather more: some come again, and of rows it is not known.
LevelCounts images_at_most(const PendingLines& pending, const ExploreOptions& options);

// What a level came to.
struct LevelImages {
    uint64_t shown = 0;
    uint64_t cut_short =
        0;  // crash points at which it had more, or has no images for so many lines
};

// What was tried at one crash point, or at several.
struct Explored {
    uint64_t crash_points = 0;
    uint64_t images = 0;     // shown; of one crash point each is another one
    uint64_t repeated = 0;   // reached again, and not shown
    uint64_t cut_short = 0;  // crash points at which a level was
    std::array<LevelImages, kLevels> levels = {};
    uint64_t sum = 0;         // of the images shown: other images, another sum, in all likelihood
    bool stopped = false;     // by the visitor
    double states_log10 = 0;  // of 1 + the images that the rules allow, at all crash points

    // Of 1 + the images that were not shown: 0 where every one was.
    double not_tried_log10() const;
    void add(const Explored& other);
};

// Of 1 + the images of a crash that the rules allow.
double states_log10(const PendingLines& pending);

// Shows images of a crash of `live` until `visit` returns false. While it runs, `image` holds the
// one shown, and recovery may run in image.bytes().
Explored explore(std::span<const std::byte> live, const PendingLines& pending, Image& image,
                 const ExploreOptions& options, const std::function<bool()>& visit);

}  // namespace cinnabar::sim
