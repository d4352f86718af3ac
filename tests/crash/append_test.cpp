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

// A second recovery changes nothing: what the first one left is what it finds. (A spare is
// prepared by each open anew, and would hide that.)
std::string recover_twice_and_compare(const SimPool& pool, sim::Image& image,
                                      const History& history, Life::Options options) {
    options.spares = 0;
    Crashed crashed(pool, image, options);
    std::string wrong = recover_and_compare(crashed.pool, crashed.life, history);
    if (!wrong.empty()) return wrong;
    const std::vector<std::byte> left(image.bytes().begin(), image.bytes().end());
    crashed.life.kill();
    wrong = recover_and_compare(crashed.pool, crashed.life, history);
    if (!wrong.empty()) return "recovered again: " + wrong;
    return std::ranges::equal(left, image.bytes()) ? "" : "recovering again changed the pool";
}

class Append : public testing::TestWithParam<Case> {};

TEST_P(Append, EveryImageIsAPrefixWithEverythingAcknowledged) {
    const Case param = GetParam();
    SimPool pool({.segments = 5, .age = param.age, .seed = 3});
    pool.add_stream("s", param.shared);
    const Life::Options options{.forced_cached = param.forced_cached};
    Life life(pool, options);
    History history;
    history["s"];
    Explorer explorer(
        life, [&](auto& image) { return recover_twice_and_compare(pool, image, history, options); },
        {.pair_lines_max = 3, .random_images = 100, .seed = seed_of_this_run()});
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
