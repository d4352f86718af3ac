// Traps that need several threads: interleavings by seed, every crash point of each.
#include "crash/harness.hpp"
#include "trials/one_stream.hpp"
#include "trials/threads.hpp"

namespace cinnabar::crash_test {

namespace {

void run_seeds(const char* what, ThreadRun::Options options, uint64_t runs,
               const Life::Options& life = {}) {
    const uint64_t first = seed_of_this_run();
    Trial trial(life, first, {});
    for (uint64_t seed = first; seed < first + runs; ++seed) {
        options.seed = seed;
        ASSERT_EQ(ThreadRun(trial, options).run(), "") << what << ", CINNABAR_SEED=" << seed;
    }
    std::cout << runs << " interleavings from seed " << first << ", " << trial.explored.images
              << " images\n";
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

// A reader that asks for the oldest record while it is being released.
TEST(ReaderThreads, BeginWhereTheMarkIsThen) {
    const uint64_t first = seed_of_this_run();
    for (uint64_t seed = first; seed < first + 100; ++seed) {
        OneStream setup({}, {.segments = 5});
        const ServiceId keeper = setup.add_service();
        ASSERT_TRUE(setup.life.open());
        Life& life = setup.life;
        History& history = setup.history;
        for (int i = 0; i < 12; ++i)
            ASSERT_TRUE(life.append(history, "s", 300, Durability::forced));
        std::string wrong;
        const auto release = [&] {
            for (size_t i = 2; i < 12; i += 3)
                if (!life.engine().release(keeper, history["s"].appended[i].lsn))
                    wrong = "not released";
        };
        const auto read = [&] {
            for (int i = 0; i < 4; ++i) {
                auto reader =
                    ReaderCore::open(life.engine().stream("s"), std::nullopt, Frontier::durable);
                if (!reader) wrong = reader.error().message;
            }
        };
        sim::run_interleaved(seed, {release, read});
        ASSERT_EQ(wrong, "") << "CINNABAR_SEED=" << seed;
    }
}

// What recovery delivers of two threads' records, of which nobody was told anything.
TEST(ThreadHistory, AHoleBelowWhatIsThereIsNoPrefix) {
    ThreadHistory history(2, 100);
    const std::vector<std::byte> older = history.next(0);
    history.appended(0, Lsn{64});
    const std::vector<std::byte> newer = history.next(1);
    history.appended(1, Lsn{192});
    EXPECT_EQ(history.compare({}), "");
    EXPECT_EQ(history.compare({{Lsn{64}, {}, older}}), "");
    EXPECT_EQ(history.compare({{Lsn{64}, {}, older}, {Lsn{192}, {}, newer}}), "");
    EXPECT_EQ(history.compare({{Lsn{192}, {}, newer}}),
              "LSN 64 is gone, and a later record is there");
}

// An append returns before those that took space ahead of it have written theirs.
TEST(CarryThreads, WhatWasAppendedCanBeCarriedAtOnce) {
    const uint64_t first = seed_of_this_run();
    for (uint64_t seed = first; seed < first + 100; ++seed) {
        SimPool pool({.segments = 5});
        pool.add_stream("s", true);
        Life life(pool, {});
        ASSERT_TRUE(life.open());
        auto core = life.engine().stream("s");
        const auto append = [&] {
            const std::vector<std::byte> bytes = record_bytes(1, 100);
            const Bytes piece(bytes);
            return core->append({&piece, 1}, bytes.size(), {.durability = Durability::lazy});
        };
        Result<std::vector<Lsn>> copies;
        const auto carry = [&] {
            const auto lsn = append();
            CNB_CHECK(lsn.has_value());
            copies = core->copies().carry_forward(core, {&*lsn, 1});
        };
        sim::run_interleaved(seed, {carry, [&] { CNB_CHECK(append().has_value()); },
                                    [&] { CNB_CHECK(append().has_value()); }});
        ASSERT_TRUE(copies) << copies.error().message << ", CINNABAR_SEED=" << seed;
    }
}

// Segments pass between free, spare and taken meanwhile.
TEST(SegmentThreads, NoneIsKeptBackWhereNobodyAskedForIt) {
    const uint64_t first = seed_of_this_run();
    for (uint64_t seed = first; seed < first + 100; ++seed) {
        OneStream setup({}, {.segments = 5});
        const ServiceId keeper = setup.add_service();
        ASSERT_TRUE(setup.life.open());
        Life& life = setup.life;
        History& history = setup.history;
        uint32_t most = 0;
        const auto use = [&] {
            for (int i = 0; i < 12; ++i) {
                const auto lsn = life.append(history, "s", 300, Durability::forced);
                CNB_CHECK(lsn && life.engine().release(keeper, *lsn));
            }
        };
        const auto look = [&] {
            for (int i = 0; i < 60; ++i) most = std::max(most, life.engine().segments_kept_back());
        };
        sim::run_interleaved(seed, {use, look});
        ASSERT_EQ(most, 0u) << "CINNABAR_SEED=" << seed;
    }
}

TEST(TrapThreads, L3_PageDomain) {
    run_seeds("page", {.threads = 2, .records = 3, .pool = {.segment_bytes = 4096}}, 10,
              {.domain = Domain::page});
}

}  // namespace

}  // namespace cinnabar::crash_test
