// The scheduler: one thread at a time, the seed decides, and a lost wake-up is seen.
#include "sim/scheduler.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace cinnabar::sim {
namespace {

// The order in which three threads take five steps each.
std::string order_of(uint64_t seed) {
    std::string order;
    const auto body = [&](char name) {
        return [&order, name] {
            for (int i = 0; i < 5; ++i) {
                order.push_back(name);
                switch_point();
            }
        };
    };
    run_interleaved(seed, {body('a'), body('b'), body('c')});
    return order;
}

TEST(Scheduler, TheSeedDecides) {
    std::set<std::string> orders;
    for (uint64_t seed = 0; seed < 30; ++seed) {
        const std::string order = order_of(seed);
        EXPECT_EQ(order.size(), 15u);
        EXPECT_EQ(order, order_of(seed));
        orders.insert(order);
    }
    EXPECT_GT(orders.size(), 20u);
}

TEST(Scheduler, OneThreadAtATime) {
    int inside = 0;
    int steps = 0;
    const auto body = [&] {
        for (int i = 0; i < 100; ++i) {
            EXPECT_EQ(++inside, 1);
            ++steps;
            --inside;
            switch_point();
        }
    };
    run_interleaved(3, {body, body, body, body});
    EXPECT_EQ(steps, 400);
}

TEST(Scheduler, ThreadsHaveNumbers) {
    EXPECT_EQ(current_thread(), 0u);
    std::set<size_t> numbers;
    const auto body = [&] { numbers.insert(current_thread()); };
    run_interleaved(1, {body, body, body});
    EXPECT_EQ(numbers, (std::set<size_t>{0, 1, 2}));
    EXPECT_EQ(current_thread(), 0u);
}

TEST(Scheduler, AWakeEndsASleep) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
        bool ready = false;
        bool other_ready = false;
        int other = 0;
        run_interleaved(seed, {[&] {
                                   while (!ready) sleep_on(&ready);
                                   other_ready = true;
                                   wake_all_on(&other);
                               },
                               [&] {
                                   while (!other_ready) sleep_on(&other);
                               },
                               [&] {
                                   switch_point();
                                   ready = true;
                                   wake_all_on(&ready);
                               }});
        EXPECT_TRUE(other_ready);
    }
}

TEST(SchedulerDeathTest, ALostWakeUpAborts) {
    ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
    int word = 0;
    EXPECT_DEATH(run_interleaved(1, {[&] { sleep_on(&word); }, [] { switch_point(); }}),
                 "every_thread_sleeps");
    EXPECT_DEATH(sleep_on(&word), "check failed");
}

TEST(Scheduler, AStandstillKeepsTheTurn) {
    std::string order;
    run_interleaved(5, {[&] {
                            const Standstill standstill;
                            for (int i = 0; i < 10; ++i) {
                                order.push_back('a');
                                switch_point();
                            }
                        },
                        [&] {
                            for (int i = 0; i < 10; ++i) {
                                order.push_back('b');
                                switch_point();
                            }
                        }});
    EXPECT_NE(order.find("aaaaaaaaaa"), std::string::npos);
}

TEST(Scheduler, OutsideOfARunNothingHappens) {
    switch_point();
    int word = 0;
    wake_all_on(&word);
    const Standstill standstill;
    switch_point();
}

}  // namespace
}  // namespace cinnabar::sim
