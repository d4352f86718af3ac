// The process is killed amidst a call, a new one recovers and goes on, and then power fails: what
// the killed one had stored and not made durable is relied upon by the new one (traps L1 and L6).
#include "crash/harness.hpp"
#include "trials/killed.hpp"

namespace cinnabar::crash_test {

namespace {

// The mark that a release was about to make durable: the space below it is taken again.
TEST(Kill, L1_AMarkThatAKilledLifeStored) {
    for (const Domain domain : {Domain::cache_line, Domain::page}) {
        Trial trial({.domain = domain, .spares = 0}, seed_of_this_run(), {});
        OneStream setup(trial.life, {.segment_bytes = 4096, .segments = 4});
        const ServiceId keeper = setup.add_service();
        ASSERT_TRUE(setup.life.open());
        while (setup.life.append(setup.history, "s", 700, Durability::forced)) {
        }
        const auto& appended = setup.history["s"].appended;
        const Lsn to = appended[appended.size() - 2].lsn;
        KilledLife killed(trial, setup, 1,
                          [&] { ASSERT_TRUE(setup.life.release(setup.history, keeper, to)); });
        EXPECT_EQ(killed.wrong, "");
        EXPECT_GT(killed.kills, 0u);
        std::cout << killed.kills << " kills, " << trial.explored.images << " images\n";
    }
}

// The ceiling that the first append of a segment was about to make durable, and all else of it.
TEST(Kill, L1_AnywhereInAppending) {
    for (const Domain domain : {Domain::cache_line, Domain::page}) {
        Trial trial({.domain = domain, .spares = 0}, seed_of_this_run(), {});
        OneStream setup(trial.life, {.segment_bytes = 4096, .segments = 6});
        KilledLife killed(trial, setup, 1, [&] {
            ASSERT_TRUE(setup.life.open());
            for (int i = 0; i < 7; ++i)
                setup.append(700, i % 3 == 0 ? Durability::forced : Durability::lazy);
        });
        EXPECT_EQ(killed.wrong, "");
        EXPECT_GT(killed.kills, 10u);
        std::cout << killed.kills << " kills, " << trial.explored.images << " images\n";
    }
}

constexpr Life::Options kCached = {.spares = 0, .forced_cached = true};

// The zeros of a killed recovery are in the caches alone: nothing is left to erase, and the frames
// behind the hole are still there for a power failure to bring back.
TEST(Kill, L6_InRecoveryThatErases) {
    Trial trial({}, seed_of_this_run(), {});
    KilledRecovery killed(trial, kCached, 14);
    killed.run(3, [](Life& life, History& past) {
        CNB_CHECK(life.append(past, "s", 24, Durability::forced).has_value());
    });
    EXPECT_EQ(killed.wrong, "");
    EXPECT_GT(killed.kills, 500u);
}

// So are the new headers of the segments behind the cut, whose links fit again once the segment
// before them is full.
TEST(Kill, L6_InRecoveryThatRenewsSegments) {
    Trial trial({}, seed_of_this_run(), {});
    KilledRecovery killed(trial, kCached, 26);
    killed.run(5, [](Life& life, History& past) {
        const auto core = life.engine().stream("s");
        while (core->appended() % kSpan != 0)  // one line each
            CNB_CHECK(life.append(past, "s", 24, Durability::forced).has_value());
    });
    EXPECT_EQ(killed.wrong, "");
    EXPECT_GT(killed.kills, 500u);
}

}  // namespace

}  // namespace cinnabar::crash_test
