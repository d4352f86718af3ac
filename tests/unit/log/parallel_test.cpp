// Recovery's parallelism, and that it does not outlive a fork.
#include "log/parallel.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace cinnabar::log {
namespace {

TEST(Parallel, RunsEveryPieceOnce) {
    for (const size_t count : {0u, 1u, 2u, 1000u}) {
        std::vector<std::atomic<int>> runs(count);
        parallel_for(count, [&](size_t i) { ++runs[i]; });
        for (const auto& run : runs) EXPECT_EQ(run, 1);
    }
}

// Also where the parent has not worked in parallel before: it may be about to, in another thread.
TEST(Parallel, AChildWorksAloneFromItsFirstPieceOn) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        ::alarm(10);
        const auto self = std::this_thread::get_id();
        std::atomic<int> elsewhere{0};
        parallel_for(64, [&](size_t) {
            if (std::this_thread::get_id() != self) ++elsewhere;
            ::usleep(1000);
        });
        ::_exit(elsewhere == 0 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// Forked while the workers wake, work and go to sleep: a child that counted on them would wait for
// ever for a lock of theirs, which the alarm ends.
TEST(Parallel, AChildDoesNotWaitForItsParentsThreads) {
    std::atomic<bool> over{false};
    std::thread busy([&] {
        while (!over) parallel_for(8, [](size_t) { std::this_thread::yield(); });
    });
    int well = 0;
    constexpr int kForks = 100;
    for (int i = 0; i < kForks; ++i) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            ::alarm(10);
            std::atomic<int> runs{0};
            for (int again = 0; again < 10; ++again) parallel_for(8, [&](size_t) { ++runs; });
            ::_exit(runs == 80 ? 0 : 1);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        well += WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 1 : 0;
        if (well <= i) break;
    }
    over = true;
    busy.join();
    EXPECT_EQ(well, kForks);
}

}  // namespace
}  // namespace cinnabar::log
