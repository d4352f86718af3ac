// The fall-backs for a kernel without membarrier and without wipe-on-fork (trap L21). A seccomp
// filter refuses both; it cannot be taken off again, so it is put on in a process of its own.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstddef>
#include <thread>

#include "base/fork_guard.hpp"
#include "fixture.hpp"
#include "log/frontiers.hpp"
#include "log/futex_park.hpp"
#include "log/pmem_world.hpp"

namespace cinnabar::log_test {
namespace {

// As a kernel that never heard of them answers. False where no filter can be put on.
bool refuse_membarrier_and_wipe_on_fork() {
    constexpr auto load = [](uint32_t offset) {
        return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offset};
    };
    constexpr auto unless = [](uint32_t value, uint8_t skip) {
        return sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, skip, value};
    };
    constexpr auto end = [](uint32_t answer) { return sock_filter{BPF_RET | BPF_K, 0, 0, answer}; };
    constexpr uint32_t third_argument = offsetof(seccomp_data, args) + 2 * sizeof(uint64_t);
    sock_filter program[] = {
        load(offsetof(seccomp_data, nr)),
        unless(SYS_membarrier, 1),
        end(SECCOMP_RET_ERRNO | ENOSYS),
        unless(SYS_madvise, 3),
        load(third_argument),
        unless(MADV_WIPEONFORK, 1),
        end(SECCOMP_RET_ERRNO | EINVAL),
        end(SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter = {std::size(program), program};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// In the environment of a program that runs under the filter.
constexpr char kFiltered[] = "CINNABAR_TEST_FILTERED";

struct Ran {
    int exit_code = -1;
    int tests = 0;
};

// The number of tests in a report of GoogleTest's: the first one that it states is of all of them.
int tests_in(const std::filesystem::path& report) {
    std::ifstream file(report);
    std::string text((std::istreambuf_iterator<char>(file)), {});
    const std::string key = "\"tests\": ";
    const size_t at = text.find(key);
    return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + key.size());
}

// Runs the named tests of this program under the filter, which survives exec.
Ran run_under_filter(const std::string& tests) {
    const std::string report =
        ::testing::TempDir() + "cinnabar-tests-" + std::to_string(::getpid()) + ".json";
    const pid_t child = ::fork();
    if (child == 0) {
        if (!refuse_membarrier_and_wipe_on_fork()) ::_exit(77);
        ::setenv(kFiltered, "1", 1);
        const std::string wanted = "--gtest_filter=" + tests;
        const std::string told = "--gtest_output=json:" + report;
        const std::string self = std::filesystem::read_symlink("/proc/self/exe");
        ::execl(self.c_str(), self.c_str(), wanted.c_str(), told.c_str(), "--gtest_brief=1",
                nullptr);
        ::_exit(78);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    const Ran ran = {WIFEXITED(status) ? WEXITSTATUS(status) : -1, tests_in(report)};
    std::filesystem::remove(report);
    return ran;
}

// A filter that matches nothing ends well, too: the tests are counted.
void expect_well_under_filter(const std::string& tests) {
    const Ran ran = run_under_filter(tests);
    EXPECT_EQ(ran.exit_code, 0) << tests;
    EXPECT_GT(ran.tests, 0) << tests << " names no test";
}

TEST(FallBack, WaitersWakeWithoutMembarrier) {
    for (const char* tests : {"Log/FrontierTest.*", "Log/Threads.OneWriter*", "Log/Threads.Some*"})
        expect_well_under_filter(tests);
}

TEST(FallBack, AForkedChildIsRefusedWithoutWipeOnFork) {
    expect_well_under_filter("Log/ForkTest.*");
}

TEST(FallBack, ANameOfNoTestIsNoticed) {
    EXPECT_EQ(run_under_filter("Log/NoSuchTest.*").tests, 0);
}

// A system without membarrier, for one object.
struct NoMembarrier : log::FutexPark {
    static bool can_fence_others() { return false; }
    static void fence_others() { FAIL() << "there is no membarrier here"; }
};
struct NoMembarrierWorld : log::PmemWorld {
    using Park = NoMembarrier;
};

// A writer that publishes at the very moment at which the waiter goes to sleep, over and over. With
// a plain store, each may see the other's old word, and the waiter sleeps until its time is over.
TEST(FallBack, TheLockedFormLosesNoWakeUp) {
    constexpr auto patience = std::chrono::seconds(5);
    log::Frontiers<NoMembarrierWorld> frontiers(false, 0);
    std::atomic<uint64_t> asked{0};
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        std::minstd_rand random(1);
        for (uint64_t i = 1;; ++i) {
            while (asked.load() != i)
                if (stop.load()) return;
            for (uint64_t delay = random() % 64; delay > 0; --delay) __builtin_ia32_pause();
            frontiers.publish((i - 1) * kLine, 1, true);
        }
    });
    const auto end = std::chrono::steady_clock::now() + milliseconds(2500);
    for (uint64_t i = 1; std::chrono::steady_clock::now() < end; ++i) {
        asked = i;
        const auto begin = std::chrono::steady_clock::now();
        frontiers.wait([&] { return frontiers.published() >= i * kLine; }, patience);
        if (std::chrono::steady_clock::now() - begin < patience) continue;
        ADD_FAILURE() << "nobody woke the waiter in round " << i;
        break;
    }
    stop = true;
    writer.join();
}

class FallBackNote : public LogTest {};
INSTANTIATE_TEST_SUITE_P(Log, FallBackNote, kBoth, medium_name);

// Whether the system has them is found out when the program is loaded, so the filter must be there
// before.
TEST_P(FallBackNote, NamesWhatTheSystemLacks) {
    if (std::getenv(kFiltered) != nullptr) {
        ASSERT_FALSE(log::FutexPark::can_fence_others());
        ASSERT_FALSE(wiped_on_fork());
    }
    create();
    Log log = open();
    const auto naming = [&](const char* word) {
        size_t notes = 0;
        for (const std::string& note : log.report().notes) notes += contains(note, word);
        return notes;
    };
    const size_t membarrier = log::FutexPark::can_fence_others() ? 0 : 1;
    const size_t fork = wiped_on_fork() ? 0 : 1;
    EXPECT_EQ(naming("membarrier"), membarrier);
    EXPECT_EQ(naming("fork"), fork);
    EXPECT_EQ(log.report().notes.size(), membarrier + fork);
    EXPECT_TRUE(log.report().clean());
}

TEST(FallBack, TheReportNamesBoth) {
    expect_well_under_filter("Log/FallBackNote.NamesWhatTheSystemLacks/*");
}

}  // namespace
}  // namespace cinnabar::log_test
