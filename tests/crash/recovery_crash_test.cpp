// Power fails, and fails again inside the recovery from it, at every crash point of that; and
// recovery is done twice (trials/crash_in_recovery.hpp). Of one image in 31; scenarios have it of
// one in some thousands.
#include "trials/crash_in_recovery.hpp"

#include "crash/harness.hpp"

namespace cinnabar::crash_test {

namespace {

struct Case {
    const char* name;
    Domain domain;
    bool forced_cached;
};

class RecoveryCrash : public testing::TestWithParam<Case> {
  protected:
    RecoveryCrash() : pool_({.segments = 6}) { pool_.add_stream("s", false); }

    Life::Options options() const {
        return {
            .domain = GetParam().domain, .spares = 0, .forced_cached = GetParam().forced_cached};
    }

    // Records in one life, and what each image of it is checked for.
    void append(Life& life, Explorer& explorer) {
        ASSERT_TRUE(life.open());
        std::mt19937_64 random(seed_of_this_run());
        for (int i = 0; i < 24 && explorer.failure.empty(); ++i) {
            const auto durability = random() % 3 != 0 ? Durability::lazy : Durability::forced;
            ASSERT_TRUE(life.append(history_, "s", 1 + random() % 330, durability));
        }
        explorer.look("at the end");
    }

    SimPool pool_;
    History history_ = {{"s", {}}};
};

TEST_P(RecoveryCrash, TheLastRecoveryFindsWhatTheFirstOneDid) {
    Trial trial(options(), seed_of_this_run(), {});
    trial.twice_every = trial.crash_every = 31;
    Life life(pool_, trial.life);
    Explorer explorer(trial, life, [&](auto& image) {
        return recover_and_compare(pool_, image, history_, trial.life);
    });
    append(life, explorer);
    EXPECT_EQ(explorer.failure, "") << "seed " << seed_of_this_run();
    EXPECT_GT(trial.explored.images, 1000u);
    std::cout << trial.explored.crash_points << " crash points inside recovery, "
              << trial.explored.images << " images\n";
}

INSTANTIATE_TEST_SUITE_P(All, RecoveryCrash,
                         testing::Values(Case{"CacheLine", Domain::cache_line, false},
                                         Case{"CacheLineCached", Domain::cache_line, true},
                                         Case{"Page", Domain::page, false},
                                         Case{"Byte", Domain::byte, false}),
                         [](const auto& given) { return std::string(given.param.name); });

}  // namespace

}  // namespace cinnabar::crash_test
