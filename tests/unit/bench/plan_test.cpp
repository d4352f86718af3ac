// Which cells are measured, and which options are refused.
#include "force/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace cinnabar::bench {
namespace {

Errc refusal(const ForceBenchOptions& options) {
    const auto plan = make_plan(options, 2);
    EXPECT_FALSE(plan);
    return plan ? Errc{} : plan.error().code;
}

TEST(Plan, QuickFitsIntoItsBudget) {
    ForceBenchOptions options;
    options.quick = true;
    const auto plan = make_plan(options, 64);
    ASSERT_TRUE(plan);
    const double slices = 1.75 * static_cast<double>(plan->cells.size() * plan->engines.size());
    EXPECT_LE(slices * plan->rounds * plan->slice_ms / 1000, plan->budget_s);
    EXPECT_LE(plan->budget_s, 15);
}

// However few engines share the time, a slice must not outgrow the areas of a quick run.
TEST(Plan, QuickSlicesStayShortWithFewEngines) {
    ForceBenchOptions options;
    options.quick = true;
    options.only = {"cinnabar"};
    const auto plan = make_plan(options, 2);
    ASSERT_TRUE(plan);
    EXPECT_LE(plan->slice_ms, 6u);
    EXPECT_GE(plan->slice_ms, 1u);
}

TEST(Plan, FullCoversTheRangesOfEveryAxis) {
    const auto plan = make_plan({}, 4);
    ASSERT_TRUE(plan);
    const auto has = [&](auto matches) {
        return std::any_of(plan->cells.begin(), plan->cells.end(), matches);
    };
    EXPECT_TRUE(has([](const Cell& c) { return c.record_bytes == 8; }));
    EXPECT_TRUE(has([](const Cell& c) { return c.record_bytes == 65536; }));
    EXPECT_TRUE(has([](const Cell& c) { return c.threads == 8; }));
    EXPECT_FALSE(has([](const Cell& c) { return c.threads > 8; }));
    for (uint32_t group : {1u, 8u, 32u, 128u}) {
        EXPECT_TRUE(has([&](const Cell& c) { return c.records_per_force == group; })) << group;
    }
    EXPECT_TRUE(has([](const Cell& c) { return c.segments == Segments::recycled; }));
    EXPECT_LE(plan->slice_ms, 50u);
}

TEST(Plan, GivenAxesAreCombined) {
    ForceBenchOptions options;
    options.record_bytes = {64, 512};
    options.threads = {1, 3};
    options.records_per_force = {1, 8};
    const auto plan = make_plan(options, 2);
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->cells.size(), 8u);
    EXPECT_EQ(std::count(plan->cells.begin(), plan->cells.end(), Cell{512, 3, 8}), 1);
}

TEST(Plan, TraceIsOneMoreSize) {
    ForceBenchOptions options;
    options.trace = "somewhere";
    options.record_bytes = {64};
    const auto plan = make_plan(options, 2);
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->cells, (std::vector<Cell>{{64}, {0}}));
}

TEST(Plan, FloorIsAlwaysMeasuredAndFirst) {
    ForceBenchOptions options;
    options.only = {"msync"};
    const auto plan = make_plan(options, 2);
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->engines, (std::vector<std::string>{"floor", "msync"}));
}

// A full run takes minutes, a quick one keeps to its budget; a rival without a row costs nothing.
TEST(Plan, SaysAboutHowLongItTakes) {
    constexpr uint64_t kArea = uint64_t{256} << 20;
    ForceBenchOptions full, quick, one;
    quick.quick = true;
    one.record_bytes = {64};
    one.only = {"libpmemlog_appendv"};
    one.rounds = 10;
    one.slice_ms = 40;
    EXPECT_GT(estimated_s(*make_plan(full, 2), kArea), 100);
    EXPECT_LT(estimated_s(*make_plan(full, 2), kArea), 240);
    EXPECT_GT(estimated_s(*make_plan(full, 64), kArea), estimated_s(*make_plan(full, 2), kArea));
    EXPECT_LE(estimated_s(*make_plan(quick, 64), kArea), 15);
    EXPECT_NEAR(estimated_s(*make_plan(one, 2), kArea), 15.25 * 0.04, 0.1);
}

TEST(Plan, RefusesWhatIsOutOfRange) {
    ForceBenchOptions zero_bytes, huge_bytes, no_threads, no_records, long_slice, small_area;
    zero_bytes.record_bytes = {64, 0};
    huge_bytes.record_bytes = {65537};
    no_threads.threads = {0};
    no_records.records_per_force = {0};
    long_slice.slice_ms = 51;
    small_area.area_bytes = 4096;
    for (const auto* options :
         {&zero_bytes, &huge_bytes, &no_threads, &no_records, &long_slice, &small_area}) {
        EXPECT_EQ(refusal(*options), Errc::invalid_argument);
    }
}

TEST(Plan, RefusesAnEngineThatDoesNotExist) {
    ForceBenchOptions options;
    options.only = {"msync", "libpmemlug"};
    EXPECT_EQ(refusal(options), Errc::invalid_argument);
    const std::string message = make_plan(options, 2).error().message;
    EXPECT_NE(message.find("'libpmemlug'; there are: floor, cinnabar, "), std::string::npos);
    for (const EngineInfo& engine : engines()) {
        EXPECT_NE(message.find(engine.name), std::string::npos) << engine.name;
    }
}

}  // namespace
}  // namespace cinnabar::bench
