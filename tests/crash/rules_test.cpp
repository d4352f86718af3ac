// Rules that need no image, over many lives of the whole engine: what is acknowledged is neither
// pending nor stored to, no line is stored to in both ways, no flush or fence has nothing to do.
#include "crash/harness.hpp"
#include "trials/mutants.hpp"
#include "trials/one_stream.hpp"
#include "trials/scenarios.hpp"

namespace cinnabar::crash_test {

namespace {

class Rules : public testing::TestWithParam<std::tuple<Domain, bool>> {};

// Forced and lazy records, releases, recycling, and lives that end in a power loss.
TEST_P(Rules, AreKept) {
    const auto& [domain, cached] = GetParam();
    OneStream setup({.domain = domain, .forced_cached = cached},
                    {.segment_bytes = 4096, .segments = 4, .seed = seed_of_this_run()});
    const ServiceId keeper = setup.add_service();
    std::mt19937_64 random(seed_of_this_run());
    for (int life = 0; life < 100; ++life) {
        ASSERT_TRUE(setup.life.open());
        ASSERT_EQ(deliver(setup.life, setup.history), "");
        for (int i = 0; i < 20; ++i) {
            const auto lsn =
                setup.life.append(setup.history, "s", 1 + random() % 300,
                                  random() % 3 == 0 ? Durability::lazy : Durability::forced);
            ASSERT_TRUE(lsn) << lsn.error().message;
            ASSERT_EQ(setup.life.medium().broken_rule(), "") << "life " << life;
            if (i % 7 != 6) continue;
            ASSERT_TRUE(setup.life.engine().stream("s")->force(*lsn));
            ASSERT_TRUE(setup.life.release(setup.history, keeper, *lsn));
        }
        setup.life.lose_power(random);
    }
    const auto& counts = setup.life.medium().counts();
    for (const auto* idle : {&counts.idle_flushes, &counts.idle_fences})
        for (const auto& [site, times] : *idle)
            std::cout << name_of(site) << ": " << times << " with nothing to do\n";
    std::cout << counts.stores << " stores, " << counts.flushes << " flushes, " << counts.fences
              << " fences\n";
}
INSTANTIATE_TEST_SUITE_P(Domains, Rules,
                         testing::Values(std::tuple(Domain::cache_line, false),
                                         std::tuple(Domain::cache_line, true),
                                         std::tuple(Domain::byte, false),
                                         std::tuple(Domain::page, true)),
                         [](const auto& of) {
                             return std::string(name_of(std::get<0>(of.param))) +
                                    (std::get<1>(of.param) ? "_cached" : "");
                         });

// The bounds of recovery's work, each met and each passed by one.
TEST(Rules, RecoveryDoesNoMoreThanItsBounds) {
    const OneStream setup({}, {.segment_bytes = 4096, .segments = 4});
    const pool::Space& space = setup.pool.space();
    constexpr uint64_t kTailLines = (4096 - 512) / 64, kStores = 2 * kTailLines + 4 * 2 + 8 + 3 * 4;
    const auto wrong = [&](const Life::Work& work, uint64_t lines_erased, uint64_t flushed) {
        std::vector<StreamReport> streams(2);
        streams[0].bytes_flushed = flushed;
        streams[1].lines_erased = lines_erased;
        return trials::check_work(space, work, streams);
    };
    const Life::Work most{.stores = kStores, .fences = 8 + 3 * 4};
    EXPECT_EQ(wrong(most, kTailLines, 4 * 4096), "");
    EXPECT_EQ(wrong(most, kTailLines + 1, 0), "recovery erases more than one tail");
    EXPECT_EQ(wrong(most, 0, 4 * 4096 + 1), "recovery flushes more than there is");
    EXPECT_EQ(wrong({.stores = kStores + 1}, 0, 0), "recovery stores 141 times");
    EXPECT_EQ(wrong({.fences = 21}, 0, 0), "recovery fences 21 times");
}

class CallsTwice : public testing::TestWithParam<trials::Broken> {};

std::vector<trials::Broken> every_call() {
    std::vector<trials::Broken> calls = trials::all_broken();
    std::erase_if(calls, [](const trials::Broken& broken) {
        if (!broken.dropped) return true;
        const std::string_view name = name_of(*broken.dropped);
        return !name.ends_with("_flush") && !name.ends_with("_fence") && !name.ends_with("_sync");
    });
    return calls;
}

// No flush, fence or sync can stand there twice, in any domain in which it is reached.
TEST_P(CallsTwice, AreNoticed) {
    const trials::Broken& call = GetParam();
    Trial trial(
        {.domain = call.domain, .forced_cached = call.forced_cached, .doubled = call.dropped}, 1,
        {});
    const bool is_forcer = call.dropped == Site::forcer_flush;
    const Scenario* scenario = find_scenario(is_forcer ? "carrying_forward" : "appending");
    const std::string wrong = scenario->run(trial);
    EXPECT_NE(wrong.find(std::string(name_of(*call.dropped)) + " is a "), std::string::npos);
    EXPECT_TRUE(wrong.ends_with(" with nothing to do")) << wrong;
}
INSTANTIATE_TEST_SUITE_P(Rules, CallsTwice, testing::ValuesIn(every_call()),
                         [](const auto& call) { return call.param.name; });

// They notice an acknowledgement that comes too early before any image is looked at.
TEST(Rules, NoticeWhatIsAcknowledgedAndPending) {
    for (const Site site : {Site::forced_fence, Site::forced_frame_flush}) {
        OneStream setup({.forced_cached = true, .dropped = site});
        ASSERT_TRUE(setup.life.open());
        ASSERT_TRUE(setup.life.append(setup.history, "s", 100, Durability::forced));
        EXPECT_NE(setup.life.medium().broken_rule().find("is pending"), std::string::npos);
    }
}

}  // namespace

}  // namespace cinnabar::crash_test
