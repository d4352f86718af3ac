// Power fails, and fails again inside the recovery from it, at every crash point of that. The last
// recovery finds no record less than the first one would have found. It may find more as long as
// nobody was told of the first one's end: a frame of which words are missing that are to be zero is
// whole once the erasing is torn there. After the first one's end it comes to the same.
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
    RecoveryCrash()
        : options_{.domain = GetParam().domain,
                   .spares = 0,
                   .forced_cached = GetParam().forced_cached},
          pool_({.segments = 6}),
          life_((pool_.add_stream("s", false), pool_), options_) {
        history_["s"];
    }

    // Where the log of an image ends once it is recovered.
    Result<Lsn> end_of(sim::Image& image) {
        Crashed crashed(pool_, image, options_);
        if (auto opened = crashed.life.open(); !opened) return fail(opened.error());
        const Lsn end = crashed.life.report().streams[0].end;
        image.undo();
        return end;
    }

    std::string recover_and_crash_again(sim::Image& image) {
        if (turn_++ % kStride != 0) return "";
        const auto end = end_of(image);
        if (!end) return end.error().message;
        Crashed first(pool_, image, options_);
        bool told = false;
        Explorer again(first.life, [&](sim::Image& both) -> std::string {
            Crashed second(first.pool, both, options_);
            std::string wrong = recover_and_compare(second.pool, second.life, history_);
            if (!wrong.empty()) return wrong;
            const Lsn now = second.life.report().streams[0].end;
            if (told ? now == *end : now >= *end) return "";
            return "the log ends at " + std::to_string(now.value) + " instead of " +
                   std::to_string(end->value);
        });
        if (auto opened = first.life.open(); !opened) return opened.error().message;
        told = true;
        again.look("after recovery");
        seconds_.add(again.explored);
        return again.failure.empty() ? "" : "in recovery: " + again.failure;
    }

    static constexpr uint64_t kStride = 31;  // one image in so many
    const Life::Options options_;
    SimPool pool_;
    Life life_;
    History history_;
    uint64_t turn_ = 0;
    sim::Explored seconds_;
};

TEST_P(RecoveryCrash, TheLastRecoveryFindsWhatTheFirstOneDid) {
    Explorer explorer(life_, [&](sim::Image& image) { return recover_and_crash_again(image); });
    ASSERT_TRUE(life_.open());
    std::mt19937_64 random(seed_of_this_run());
    for (int i = 0; i < 24 && explorer.failure.empty(); ++i) {
        const auto durability = random() % 3 != 0 ? Durability::lazy : Durability::forced;
        ASSERT_TRUE(life_.append(history_, "s", 1 + random() % 330, durability));
    }
    explorer.look("at the end");
    EXPECT_EQ(explorer.failure, "") << "seed " << seed_of_this_run();
    EXPECT_GT(seconds_.images, 1000u);
    std::cout << seconds_.crash_points << " crash points inside recovery, " << seconds_.images
              << " images\n";
}

INSTANTIATE_TEST_SUITE_P(All, RecoveryCrash,
                         testing::Values(Case{"CacheLine", Domain::cache_line, false},
                                         Case{"CacheLineCached", Domain::cache_line, true},
                                         Case{"Page", Domain::page, false},
                                         Case{"Byte", Domain::byte, false}),
                         [](const auto& given) { return std::string(given.param.name); });

}  // namespace

}  // namespace cinnabar::crash_test
