// Thread slots: one holder at a time, handed on with what the last holder wrote.
#include "base/thread_slot.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>
#include <vector>

namespace cinnabar {
namespace {

TEST(ThreadSlot, IsTheThreadsOwnWhileItLives) {
    const uint32_t own = thread_slot();
    EXPECT_LT(own, kThreadSlots);
    EXPECT_EQ(thread_slot(), own);
    uint32_t other = own;
    const void* token = nullptr;
    std::atomic<bool> done{false};
    std::atomic<bool> claimed{false};
    std::thread thread([&] {
        other = thread_slot();
        token = thread_token();
        claimed = true;
        while (!done) std::this_thread::yield();
    });
    while (!claimed) std::this_thread::yield();
    EXPECT_NE(other, own);
    EXPECT_NE(token, thread_token());
    EXPECT_EQ(thread_token(), thread_token());
    done = true;
    thread.join();
}

TEST(ThreadSlot, EndsWithItsThread) {
    for (int i = 0; i < 1000; ++i) {
        uint32_t slot = kThreadSlots;
        std::thread([&] { slot = thread_slot(); }).join();
        ASSERT_LT(slot, kThreadSlots) << i;
    }
}

// A thread_local object that came before the slot ends after it, and may append a last record.
TEST(ThreadSlot, IsNotUsedAfterItWasGivenBack) {
    struct Last {
        uint32_t* slot = nullptr;
        ~Last() { *slot = thread_slot(); }
    };
    uint32_t in_life = kThreadSlots, at_the_end = 0;
    std::thread([&] {
        thread_local Last last;
        last.slot = &at_the_end;
        in_life = thread_slot();
    }).join();
    EXPECT_LT(in_life, kThreadSlots);
    EXPECT_EQ(at_the_end, kThreadSlots);
}

TEST(ThreadSlot, MoreThreadsThanSlotsShareTheLast) {
    constexpr size_t kThreads = kThreadSlots + 20;
    std::array<uint32_t, kThreads> slots = {};
    std::array<const void*, kThreads> tokens = {};
    std::atomic<size_t> claimed{0};
    std::atomic<bool> done{false};
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kThreads; ++i)
        threads.emplace_back([&, i] {
            slots[i] = thread_slot();
            tokens[i] = thread_token();
            ++claimed;
            while (!done) std::this_thread::yield();
        });
    while (claimed < kThreads) std::this_thread::yield();
    std::set<uint32_t> own;
    size_t without = 0;
    for (const uint32_t slot : slots) {
        ASSERT_LE(slot, kThreadSlots);
        if (slot == kThreadSlots)
            ++without;
        else
            EXPECT_TRUE(own.insert(slot).second) << slot;
    }
    EXPECT_GE(without, 20u);
    EXPECT_EQ(std::set<const void*>(tokens.begin(), tokens.end()).size(), kThreads);
    done = true;
    for (std::thread& thread : threads) thread.join();
    uint32_t afterwards = kThreadSlots;
    std::thread([&] { afterwards = thread_slot(); }).join();
    EXPECT_LT(afterwards, kThreadSlots);
}

// The counters' use: plain additions by whoever holds the slot, exact over all of them.
TEST(ThreadSlot, HandsOnWhatItsLastHolderWrote) {
    std::array<uint64_t, kThreadSlots> counts = {};
    std::atomic<uint64_t> shared{0};
    constexpr uint64_t kRounds = 50, kThreads = 8;
    for (uint64_t round = 0; round < kRounds; ++round) {
        std::vector<std::thread> threads;
        for (uint64_t t = 0; t < kThreads; ++t)
            threads.emplace_back([&] {
                const uint32_t slot = thread_slot();
                for (int i = 0; i < 1000; ++i) {
                    if (slot < kThreadSlots)
                        ++counts[slot];
                    else
                        ++shared;
                }
            });
        for (std::thread& thread : threads) thread.join();
    }
    uint64_t sum = shared;
    for (const uint64_t count : counts) sum += count;
    EXPECT_EQ(sum, kRounds * kThreads * 1000);
}

}  // namespace
}  // namespace cinnabar
