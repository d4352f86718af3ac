// Functions that exist hooked and plain in one program. In the header: inline, so that the linker
// keeps one of the two. Behind it: a loop whose speed is compared, under two names.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cinnabar::crash_test {

[[gnu::noipa]] inline uint64_t load_inline(const uint64_t* word) {
    return *word;
}

// The same, called and emitted by a plain file.
uint64_t load_from_plain_file(const uint64_t* word);

// The sum of `count` words at random places of the 2048.
using RandomReads = uint64_t(const uint64_t* words, uint64_t count);
RandomReads random_reads_plain;

// Twice defined, by each of the two under a name of its own.
#define CNB_RANDOM_READS(NAME)                                            \
    [[gnu::noipa]] uint64_t NAME(const uint64_t* words, uint64_t count) { \
        uint64_t place = 1;                                               \
        uint64_t sum = 0;                                                 \
        for (uint64_t i = 0; i < count; ++i) {                            \
            place = place * 6364136223846793005 + 1442695040888963407;    \
            sum += words[place >> 53];                                    \
        }                                                                 \
        return sum;                                                       \
    }

}  // namespace cinnabar::crash_test
