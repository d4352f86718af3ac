// Every crash point of appending, forcing, crossing and recycling, every boundary and single-line
// image of each: what is recovered is an exact prefix that holds everything acknowledged.
#include "crash/harness.hpp"

namespace cinnabar::crash_test {

namespace {

struct Case {
    Age age;
    bool shared;
    bool forced_cached;
};

class Append : public testing::TestWithParam<Case> {};

TEST_P(Append, EveryImageIsAPrefixWithEverythingAcknowledged) {
    const Case param = GetParam();
    SimPool pool({.segments = 5, .age = param.age, .seed = 3});
    pool.add_stream("s", param.shared);
    Trial trial({.forced_cached = param.forced_cached}, seed_of_this_run(),
                {.pair_lines_max = 3, .random_images = 100, .seed = seed_of_this_run()});
    trial.twice_every = 1;
    Life life(pool, trial.life);
    History history;
    history["s"];
    Explorer explorer(trial, life, [&](auto& image) {
        return recover_and_compare(pool, image, history, trial.life);
    });
    ASSERT_TRUE(life.open());
    std::mt19937_64 random(seed_of_this_run());
    for (int i = 0; i < 24 && explorer.failure.empty(); ++i) {
        const auto durability = random() % 3 == 0 ? Durability::lazy : Durability::forced;
        ASSERT_TRUE(life.append(history, "s", 1 + random() % 330, durability));
    }
    explorer.look("at the end");
    EXPECT_EQ(explorer.failure, "") << "seed " << seed_of_this_run();
    EXPECT_TRUE(life.medium().counts().mixed.empty());
    EXPECT_GT(explorer.explored.crash_points, 20u);
    std::cout << explorer.explored.crash_points << " crash points, " << explorer.explored.images
              << " images; not tried: 10^" << explorer.explored.not_tried_log10() << '\n';
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
    constexpr const char* ages[] = {"Zero", "Ones", "Random", "Stale"};
    return std::string(ages[static_cast<int>(info.param.age)]) +
           (info.param.shared ? "Shared" : "OneWriter") +
           (info.param.forced_cached ? "Cached" : "");
}

INSTANTIATE_TEST_SUITE_P(
    All, Append,
    testing::Values(Case{Age::zero, false, false}, Case{Age::ones, false, false},
                    Case{Age::random, true, false}, Case{Age::stale, false, false},
                    Case{Age::stale, true, false}, Case{Age::stale, false, true}),
    case_name);

}  // namespace

}  // namespace cinnabar::crash_test
