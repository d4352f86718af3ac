// The failing sequences of a full log: L4 and L18 of engine/doc/TRAPS.md.
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "crash/harness.hpp"
#include "trials/one_stream.hpp"
#include "trials/scenario_bodies.hpp"

namespace cinnabar::crash_test {

namespace {

TEST(Trap, L4_AFullLogRefusesBeforeSpaceIsTakenAndLivesCostBytes) {
    OneStream setup({.spares = 0}, {.segments = 4});
    const ServiceId keeper = setup.add_service();
    ASSERT_TRUE(setup.life.open());
    Result<Lsn> last = Lsn{};
    while ((last = setup.life.append(setup.history, "s", 200, Durability::forced))) {
    }
    ASSERT_EQ(last.error().code, Errc::full);
    EXPECT_NE(last.error().message.find("service 'keeper'"), std::string::npos)
        << last.error().message;
    const uint64_t end = setup.life.engine().stream("s")->appended();
    // Lives that find the log full take nothing, and what a life appends costs its bytes alone.
    for (int life = 0; life < kManyLives; ++life) {
        setup.life.kill();
        ASSERT_TRUE(setup.life.open()) << "life " << life;
        auto refused = setup.life.append(setup.history, "s", 200, Durability::forced);
        ASSERT_FALSE(refused);
        ASSERT_EQ(refused.error().code, Errc::full);
        ASSERT_EQ(setup.life.engine().stream("s")->appended(), end);
    }
    EXPECT_EQ(compare(setup.life, setup.history), "");
    // Released, it is usable at once.
    ASSERT_TRUE(setup.life.release(setup.history, keeper, setup.history["s"].appended.back().lsn));
    setup.history["s"].low_water = setup.history["s"].appended.back().lsn.value;
    EXPECT_TRUE(setup.life.append(setup.history, "s", 200, Durability::forced));
    EXPECT_EQ(compare(setup.life, setup.history), "");
}

// A transaction in doubt holds the log, life after life, each of which appends one record: its
// record is carried forward whenever the log is full, and its outcome finds room at last.
TEST(Trap, L4_TheRestartReserve) {
    OneStream setup({.spares = 1}, {.segments = 8}, true);
    const ServiceId keeper = setup.add_service();
    ASSERT_TRUE(setup.life.open());
    setup.append(100, Durability::forced);
    const Appended in_doubt = setup.history["s"].appended.front();
    Lsn stands_at = in_doubt.lsn;
    uint64_t carried = 0;
    for (int life = 0; life < kManyLives; ++life) {
        auto core = setup.life.engine().stream("s");
        auto reserved = StreamCoreBase::reserve(core, 40, 1, life != 0);
        ASSERT_TRUE(reserved) << "life " << life << ": " << reserved.error().message;
        std::optional<Reservation> outcome = std::move(*reserved);
        if (!setup.life.append(setup.history, "s", 24, Durability::forced)) {
            ++carried;
            auto copies = core->copies().carry_forward(core, {&stands_at, 1});
            ASSERT_TRUE(copies) << "life " << life << ": " << copies.error().message;
            stands_at = copies->front();
            ASSERT_TRUE(setup.life.release(setup.history, keeper, Lsn{core->oldest_end()}));
            ASSERT_TRUE(setup.life.append(setup.history, "s", 24, Durability::forced));
        }
        if (life == kManyLives - 1) {
            ASSERT_TRUE(append_reserved(core, *outcome, 40));
            break;
        }
        outcome.reset();  // the engine goes, and all that stands on it
        core.reset();
        setup.life.kill();
        ASSERT_TRUE(setup.life.open()) << "life " << life;
    }
    EXPECT_GT(carried, uint64_t{kManyLives / 100});
    auto reader = ReaderCore::open(setup.life.engine().stream("s"), stands_at, Frontier::durable);
    auto record = (*reader)->next();
    ASSERT_TRUE(record && *record);
    EXPECT_EQ((*record)->origin, in_doubt.lsn);
    EXPECT_TRUE(
        std::ranges::equal((*record)->payload, record_bytes(in_doubt.number, in_doubt.length)));
}

// Crash anywhere in a full log: the outcome can be written after the restart, and frees the log.
TEST(Trap, L4_AnOutcomeFindsRoomInAFullLogAfterEveryCrash) {
    Trial trial({}, seed_of_this_run(), {});
    EXPECT_EQ(full_log(trial), "");
    EXPECT_GT(trial.explored.crash_points, 20u);
}

TEST(Trap, L4_TenThousandOneRecordLivesFillNoSegmentEach) {
    OneStream setup({.spares = 1}, {.segments = 4});
    const ServiceId keeper = setup.add_service();
    for (int i = 0; i < kManyLives; ++i) {
        ASSERT_TRUE(setup.life.open()) << "life " << i;
        setup.append(24, Durability::forced);
        const Lsn lsn = setup.history["s"].appended.back().lsn;
        ASSERT_TRUE(setup.life.release(setup.history, keeper, lsn));
        setup.history["s"].low_water = lsn.value;
        setup.life.kill();
    }
    // 64 bytes a life, and a link frame a segment.
    const uint64_t end = setup.history["s"].appended.back().lsn.value;
    EXPECT_LE(end, kManyLives * 64 * kSpan / (kSpan - 64) + kSpan);
}

// What a recovered log delivers, by origin, with how often each comes.
Result<std::map<uint64_t, int>> origins(Life& life) {
    std::map<uint64_t, int> found;
    auto reader = ReaderCore::open(life.engine().stream("s"), std::nullopt, Frontier::durable);
    if (!reader) return fail(reader.error());
    for (;;) {
        auto record = (*reader)->next();
        if (!record) return fail(record.error());
        if (!*record) return found;
        ++found[(*record)->origin.value];
    }
}

// Crash between the copies and the mark, before, behind: each needed record is delivered once.
TEST(Trap, L18_CarriedCopiesAreDeliveredOnceAfterEveryCrash) {
    Trial trial({}, seed_of_this_run(), {});
    EXPECT_EQ(carrying_forward(trial), "");
    EXPECT_GT(trial.explored.crash_points, 50u);
}

// T writes a record and then its outcome. Carried behind its outcome, the record outlives it, and T
// is undecided again: so a service is to carry nothing whose outcome it has appended. The engine
// knows of no outcomes and does as it is told; by the rule, record and outcome go together.
TEST(Trap, L18_ARecordCarriedBehindItsOutcomeOutlivesIt) {
    for (const bool by_the_rule : {true, false}) {
        OneStream setup({.spares = 0}, {.segments = 6});
        const ServiceId keeper = setup.add_service();
        ASSERT_TRUE(setup.life.open());
        auto core = setup.life.engine().stream("s");
        setup.append(100, Durability::forced);
        const Lsn redo = setup.history["s"].appended.back().lsn;
        while (core->appended() < kSpan + 200) setup.append(200, Durability::forced);
        setup.append(10, Durability::forced);
        const Lsn outcome = setup.history["s"].appended.back().lsn;
        while (core->appended() < 2 * kSpan + 200) setup.append(200, Durability::forced);
        if (!by_the_rule) {
            ASSERT_TRUE(core->copies().carry_forward(core, {&redo, 1}));
        }
        ASSERT_TRUE(setup.life.release(setup.history, keeper, Lsn{2 * kSpan}));
        core.reset();
        setup.life.kill();
        ASSERT_TRUE(setup.life.open());
        auto found = origins(setup.life);
        ASSERT_TRUE(found);
        EXPECT_FALSE(found->contains(outcome.value));
        EXPECT_EQ(found->contains(redo.value), !by_the_rule);
    }
}

}  // namespace

}  // namespace cinnabar::crash_test
