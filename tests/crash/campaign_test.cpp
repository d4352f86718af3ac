// Work in processes of its own: each end has an outcome. And what of it a campaign calls a
// violation.
#include "trials/campaign.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <stdexcept>

#include "base/check.hpp"

namespace cinnabar::crash_test {

namespace {

using trials::CampaignRun;
using trials::Outcome;

std::string outcome_of(const std::function<void(Outcome&)>& work) {
    const auto outcomes =
        trials::run_forked(1, {.seconds_max = 1}, [&](size_t, Outcome& outcome) { work(outcome); });
    return outcomes.at(0).wrong;
}

TEST(Forked, EachEndHasAnOutcome) {
    EXPECT_EQ(outcome_of([](Outcome&) {}), "");
    EXPECT_EQ(outcome_of([](Outcome& outcome) { outcome.set_wrong("lost"); }), "lost");
    EXPECT_EQ(outcome_of([](Outcome&) { throw std::runtime_error("full"); }), "throws full");
    EXPECT_EQ(outcome_of([](Outcome&) { _exit(3); }), "exit code 3: ");
    const std::string aborted = outcome_of([](Outcome&) { CNB_CHECK(false); });
    EXPECT_NE(aborted.find("ended by Aborted: cinnabar: check failed"), std::string::npos)
        << aborted;
    EXPECT_EQ(outcome_of([](Outcome&) { pause(); }), trials::kDoesNotEnd);
    EXPECT_EQ(outcome_of([](Outcome& outcome) { outcome.set_wrong(std::string(5000, 'x')); }),
              std::string(sizeof(Outcome::wrong) - 1, 'x'));
}

TEST(Forked, EachPieceHasItsOwn) {
    size_t looks = 0, most = 0;
    const auto outcomes = trials::run_forked(
        20, {.at_once = 3}, [](size_t i, Outcome& outcome) { outcome.appends = i; },
        [&](size_t ended, std::span<const Outcome> all) {
            ++looks;
            most = std::max(most, ended);
            EXPECT_EQ(all.size(), 20u);
        });
    ASSERT_EQ(outcomes.size(), 20u);
    for (size_t i = 0; i < 20; ++i) EXPECT_EQ(outcomes[i].appends, i);
    EXPECT_EQ(most, 20u);
    EXPECT_GT(looks, 1u);
    EXPECT_TRUE(trials::run_forked(0, {}, {}).empty());
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
