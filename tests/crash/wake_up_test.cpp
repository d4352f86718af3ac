// The frontiers alone, under the scheduler: who publishes and who goes to sleep, in every order
// that the seeds bring (trap L8). A sleeper whom nobody wakes stops the run.
#include "crash/harness.hpp"
#include "log/frontiers.hpp"
#include "sim/scheduler.hpp"

namespace cinnabar::crash_test {

namespace {

using Frontiers = log::Frontiers<SimWorld>;

constexpr uint64_t kLine = format::kLineBytes;

// Frames of one line each, by several writers; every fourth is solid, and a waiter sleeps until all
// before a certain one are published.
void run(uint64_t seed, bool many) {
    constexpr uint64_t frames = 6;
    Frontiers frontiers(many, 0);
    uint64_t next = 0;
    std::vector<std::function<void()>> bodies;
    const auto write = [&] {
        while (next < frames) {
            const uint64_t lsn = kLine * next++;
            sim::switch_point();
            frontiers.publish(lsn, 1, lsn / kLine % 4 == 3);
        }
    };
    for (int writer = 0; writer < (many ? 3 : 1); ++writer) bodies.emplace_back(write);
    for (const uint64_t awaited : {uint64_t{1}, frames / 2, frames})
        bodies.emplace_back([&, awaited] {
            frontiers.wait([&] { return frontiers.published() >= awaited * kLine; });
        });
    sim::run_interleaved(seed, bodies);
    ASSERT_EQ(frontiers.published(), frames * kLine);
}

// Waiters for durable: whoever raises it wakes them, and announcements are made once.
void run_durable(uint64_t seed, bool many) {
    constexpr uint64_t frames = 4;
    Frontiers frontiers(many, 0);
    int announced = 0;
    std::vector<std::function<void()>> bodies;
    bodies.emplace_back([&] {
        for (uint64_t i = 0; i < frames; ++i) {
            frontiers.publish(i * kLine, 1, false);
            if (i % 2 == 1) frontiers.raise_durable((i + 1) * kLine);
        }
    });
    bodies.emplace_back([&] {
        frontiers.announce_at(kLine, [&](Result<Lsn> reached) {
            EXPECT_TRUE(reached.has_value());
            ++announced;
        });
    });
    bodies.emplace_back(
        [&] { frontiers.wait([&] { return frontiers.durable() >= frames * kLine; }); });
    sim::run_interleaved(seed, bodies);
    ASSERT_EQ(announced, 1);
}

TEST(TrapThreads, L8_WhoeverMovesAFrontierWakesItsSleepers) {
    constexpr uint64_t runs = 400;
    const uint64_t first = seed_of_this_run();
    for (uint64_t seed = first; seed < first + runs; ++seed)
        for (const bool many : {true, false}) {
            SCOPED_TRACE("CINNABAR_SEED=" + std::to_string(seed));
            ASSERT_NO_FATAL_FAILURE(run(seed, many));
            ASSERT_NO_FATAL_FAILURE(run_durable(seed, many));
        }
}

}  // namespace

}  // namespace cinnabar::crash_test
