// Work in processes of its own: each end has an outcome. And what of it a campaign calls a
// violation.
#include "trials/campaign.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

#include "base/check.hpp"

namespace cinnabar::crash_test {

namespace {

using trials::CampaignRun;
using trials::Outcome;

std::string outcome_of(const std::function<void(Outcome&)>& work,
                       const trials::ForkOptions& options = {}) {
    return trials::run_forked(1, options, [&](size_t, Outcome& outcome) { work(outcome); })
        .at(0)
        .wrong;
}

TEST(Forked, EachEndHasAnOutcome) {
    EXPECT_EQ(outcome_of([](Outcome&) {}), "");
    EXPECT_EQ(outcome_of([](Outcome& outcome) { outcome.set_wrong("lost"); }), "lost");
    EXPECT_EQ(outcome_of([](Outcome&) { throw std::runtime_error("full"); }), "throws full");
    EXPECT_EQ(outcome_of([](Outcome&) { _exit(3); }), "exit code 3: ");
    const std::string aborted = outcome_of([](Outcome&) { CNB_CHECK(false); });
    EXPECT_NE(aborted.find("ended by Aborted: cinnabar: check failed"), std::string::npos)
        << aborted;
    EXPECT_EQ(outcome_of([](Outcome& outcome) { outcome.set_wrong(std::string(5000, 'x')); }),
              std::string(sizeof(Outcome::wrong) - 1, 'x'));
}

std::atomic<uint64_t> turns = 0;

[[noreturn]] void spin() {
    for (;;) ++turns;
}

// Each bound alone, so that it is the one that ends it.
TEST(Forked, WorkThatDoesNotEndIsEnded) {
    const trials::ForkOptions cpu{.cpu_seconds_max = 1, .clock_seconds_max = 0};
    const trials::ForkOptions clock{.cpu_seconds_max = 0, .clock_seconds_max = 1};
    EXPECT_EQ(outcome_of([](Outcome&) { spin(); }, cpu), trials::kDoesNotEnd);
    EXPECT_EQ(outcome_of([](Outcome&) { pause(); }, clock), trials::kDoesNotEnd);
    // All threads of it, of which the one that waits for them takes none.
    EXPECT_EQ(outcome_of([](Outcome&) { std::thread(spin).join(); }, cpu), trials::kDoesNotEnd);
}

// As on a busy machine: twice as long as it may take of a processor, which it does not take.
TEST(Forked, SlowWorkGoesOn) {
    const auto sleep_and_end = [](Outcome& outcome) {
        std::this_thread::sleep_for(std::chrono::seconds(2));
        outcome.set_wrong("ended");
    };
    EXPECT_EQ(outcome_of(sleep_and_end, {.cpu_seconds_max = 1}), "ended");
}

// Its own, and not what the process that started it has left.
TEST(Forked, WorkInsideOfWorkHasBoundsOfItsOwn) {
    const trials::ForkOptions cpu{.cpu_seconds_max = 1};
    const auto inner = [](Outcome& outcome) { outcome.set_wrong("ended"); };
    const auto outer = [&](Outcome& outcome) {
        outcome.set_wrong(outcome_of([](Outcome&) { spin(); }, cpu) + ", " +
                          outcome_of(inner, cpu));
    };
    EXPECT_EQ(outcome_of(outer, {.cpu_seconds_max = 1}), "does not end, ended");
}

TEST(Forked, EachPieceHasItsOwn) {
    size_t looks = 0, most = 0;
    const auto outcomes = trials::run_forked(
        20, {.at_once = 3}, [](size_t i, Outcome& outcome) { outcome.appends = i; },
        [&](size_t ended, std::span<const Outcome> all) {
            ++looks;
            most = std::max(most, ended);
            EXPECT_EQ(all.size(), 20u);
            return true;
        });
    ASSERT_EQ(outcomes.size(), 20u);
    for (size_t i = 0; i < 20; ++i) {
        EXPECT_EQ(outcomes[i].appends, i);
        EXPECT_TRUE(outcomes[i].has_ended);
    }
    EXPECT_EQ(most, 20u);
    EXPECT_GT(looks, 1u);
    EXPECT_TRUE(trials::run_forked(0, {}, {}).empty());
}

// What has ended by then is there, what has not is gone, and the rest never begins.
TEST(Forked, WhoLooksMayEndIt) {
    const auto begin = std::chrono::steady_clock::now();
    const auto outcomes = trials::run_forked(
        4, {.at_once = 2},
        [](size_t i, Outcome& outcome) {
            outcome.appends = static_cast<uint64_t>(getpid());
            if (i != 0) std::this_thread::sleep_for(std::chrono::seconds(60));
        },
        [](size_t ended, std::span<const Outcome> all) {
            return ended < 1 || all[1].appends == 0 || all[2].appends == 0;
        });
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
    ASSERT_EQ(outcomes.size(), 4u);
    for (size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(outcomes[i].has_ended, i == 0);
        EXPECT_EQ(std::string_view(outcomes[i].wrong), "");
    }
    for (const size_t i : {size_t{1}, size_t{2}})
        EXPECT_EQ(kill(static_cast<pid_t>(outcomes[i].appends), 0), -1);
    EXPECT_EQ(outcomes[3].appends, 0u);
}

bool is_violation(const trials::Known* known, const char* scenario, std::string_view wrong) {
    CampaignRun run{.tried = {.scenario = trials::find_scenario(scenario)}, .known = known};
    run.outcome.set_wrong(wrong);
    return run.is_violation();
}

TEST(Campaign, WhatIsAViolation) {
    const trials::Known defect{"forced_fence", "appending"};
    const trials::Known none{"close_store_swapped", "closing", "either kind is durable"};
    EXPECT_FALSE(is_violation(nullptr, "appending", ""));
    EXPECT_TRUE(is_violation(nullptr, "appending", "gone"));
    EXPECT_TRUE(is_violation(nullptr, "appending", trials::kDoesNotEnd));
    EXPECT_FALSE(is_violation(&defect, "appending", "gone"));
    EXPECT_TRUE(is_violation(&defect, "appending", "")) << "nobody notices it";
    EXPECT_TRUE(is_violation(&defect, "appending", trials::kDoesNotEnd));
    EXPECT_FALSE(is_violation(&defect, "recycling", "")) << "another one notices it";
    const std::string nothing = std::string(trials::kShowsNothing) + "killed once only";
    EXPECT_TRUE(is_violation(nullptr, "appending", nothing));
    EXPECT_TRUE(is_violation(&defect, "appending", nothing)) << "that is not to notice it";
    EXPECT_FALSE(is_violation(&none, "closing", ""));
    EXPECT_TRUE(is_violation(&none, "closing", "gone")) << "a false alarm";
    EXPECT_TRUE(is_violation(&none, "appending", "gone"));
}

}  // namespace

}  // namespace cinnabar::crash_test
