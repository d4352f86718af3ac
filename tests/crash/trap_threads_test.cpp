// Traps that need several threads: interleavings by seed, every crash point of each.
#include "crash/threads.hpp"

namespace cinnabar::crash_test {

namespace {

void run_seeds(const char* what, ThreadRun::Options options, uint64_t runs) {
    uint64_t images = 0;
    const uint64_t first = seed_of_this_run();
    for (uint64_t seed = first; seed < first + runs; ++seed) {
        options.seed = seed;
        ThreadRun run(options);
        const std::string wrong = run.run();
        images += run.images;
        ASSERT_EQ(wrong, "") << what << ", CINNABAR_SEED=" << seed;
    }
    std::cout << runs << " interleavings from seed " << first << ", " << images << " images\n";
}

TEST(TrapThreads, L2_SpaceLsnAndSlotComeFromOneStep) {
    run_seeds("forced only", {.threads = 3, .records = 3, .lazy_of_8 = 0}, 25);
}

TEST(TrapThreads, L3_L8_LazyAndForcedMixedAcrossThreads) {
    run_seeds("mixed", {.threads = 3, .records = 3, .lazy_of_8 = 4}, 25);
}

TEST(TrapThreads, L17_SeveralThreadsCrossIntoNewSegments) {
    run_seeds("crossing", {.threads = 3, .records = 8, .lazy_of_8 = 1, .pool = {.segments = 8}}, 8);
}

TEST(TrapThreads, L3_PageDomain) {
    run_seeds("page",
              {.threads = 2,
               .records = 3,
               .life = {.domain = Domain::page},
               .pool = {.segment_bytes = 4096}},
              10);
}

}  // namespace

}  // namespace cinnabar::crash_test
