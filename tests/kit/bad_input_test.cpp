// What a user may get wrong: each has a clear verdict or error, and none of it hangs or ends the
// test's process.
#include <gtest/gtest.h>

#include <dlfcn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <thread>

#include "kit/notebook.hpp"
#include "kit/violation.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;
using cinnabar::Domain;
using cinnabar::Errc;
using crash::ViolationKind;

TEST(BadInput, RegionsThatCannotBe) {
    alignas(4096) static std::byte memory[8192];
    for (const size_t bytes : {size_t{0}, size_t{100}, size_t{4095}})
        EXPECT_EQ(crash::Region::create(bytes, Domain::page).error().code, Errc::invalid_argument);
    for (const auto part :
         {std::span(memory, 0), std::span(memory, 64), std::span(memory + 64, 4096)})
        EXPECT_EQ(crash::Region::attach(part, Domain::byte).error().code, Errc::invalid_argument);
    const std::span<std::byte> nowhere(static_cast<std::byte*>(nullptr), sizeof memory);
    EXPECT_EQ(crash::Region::attach(nowhere, Domain::byte).error().code, Errc::invalid_argument);
    EXPECT_TRUE(crash::Region::attach(memory, Domain::byte).has_value());
}

TEST(BadInput, OptionsThatCannotBe) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    const crash::Test right = notebook_test(region, Wrong::nothing);
    const auto refused = [&](const crash::Test& test, const crash::Options& options,
                             const std::string& words) {
        const auto report = crash::run(region, test, options);
        ASSERT_FALSE(report.has_value());
        EXPECT_EQ(report.error().code, Errc::invalid_argument);
        EXPECT_NE(report.error().message.find(words), std::string::npos) << report.error().message;
    };
    refused(right, {.images_per_crash_point_max = 0}, "images_per_crash_point_max is 0");
    refused(right, {.recovery_time_max = std::chrono::milliseconds(0)}, "recovery_time_max");
    refused(right, {.recovery_memory_bytes_max = 0}, "recovery_memory_bytes_max");
    refused(right, {.violations_max = 0}, "violations_max");
    refused(right, {.image_folder = "/no/such"}, "'/no/such' is no folder");
    refused(right, {.page_folder = "/no/such"}, "'/no/such' is no folder");
    crash::Test test = right;
    test.workload = nullptr;
    refused(test, {}, "needs a workload");
    test = right;
    test.recover = nullptr;
    refused(test, {}, "needs recover or recover_file");
    test = right;
    test.recover_file = [](const std::string&) { return std::string(); };
    refused(test, {}, "not both");
    test = right;
    test.check = nullptr;
    refused(test, {}, "needs an oracle");
}

TEST(BadInput, AWorkloadThatNeverForces) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    const crash::Report report = report_of(notebook_test(region, Wrong::no_fence), region);
    expect_violation(report, ViolationKind::wrong, "were acknowledged");
    EXPECT_NE(report.text().find("the workload never forces anything"), std::string::npos);
}

TEST(BadInput, AWorkloadThatStoresNothing) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [](crash::History&) {};
    const crash::Report report = report_of(test, region);
    EXPECT_TRUE(report.clean());
    EXPECT_EQ(report.images_distinct, 1u);
    EXPECT_NE(report.text().find("the workload never forces anything"), std::string::npos);
}

TEST(BadInput, AWorkloadThatThrows) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [](crash::History&) { throw std::runtime_error("out of ink"); };
    expect_violation(report_of(test, region), ViolationKind::workload_threw,
                     "the workload threw: out of ink");
}

// With its process the test would end, and as if it had passed.
TEST(BadInput, AWorkloadThatExits) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [](crash::History&) { std::exit(0); };
    EXPECT_EXIT((void)crash::run(region, test), testing::ExitedWithCode(1),
                "exit\\(0\\) was called .*before the workload had ended");
}

TEST(BadInput, AWorkloadThatLeavesWithoutAWord) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    const auto leaves = [&](auto leave, auto code, const char* words) {
        test.workload = [leave](crash::History&) { leave(); };
        EXPECT_EXIT((void)crash::run(region, test), code,
                    std::string(words) + " was called .*before the workload had ended");
    };
    const testing::ExitedWithCode failed(1);
    leaves([] { ::_exit(0); }, failed, "_exit\\(0\\)");
    leaves([] { std::_Exit(0); }, failed, "_Exit\\(0\\)");
    leaves([] { std::quick_exit(0); }, failed, "quick_exit");
    leaves([] { std::abort(); }, testing::KilledBySignal(SIGABRT), "abort");
    leaves([] { std::terminate(); }, testing::KilledBySignal(SIGABRT), "abort");
}

// As a signal handler may leave, whatever is locked then.
TEST(BadInput, LeavingWaitsForNobody) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [](crash::History&) {
        std::atomic<bool> locked = false;
        std::thread([&] {
            ::flockfile(stdout);
            locked = true;
            ::pause();
        }).detach();
        while (!locked) std::this_thread::yield();
        ::alarm(10);
        ::_exit(0);
    };
    EXPECT_EXIT((void)crash::run(region, test), testing::ExitedWithCode(1), "_exit\\(0\\)");
}

// A library that was linked long ago calls the kit's too.
TEST(BadInput, ALibraryThatLeavesWithoutAWord) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [](crash::History&) {
        reinterpret_cast<void (*)(int)>(::dlsym(RTLD_DEFAULT, "_exit"))(0);
    };
    EXPECT_EXIT((void)crash::run(region, test), testing::ExitedWithCode(1), "_exit\\(0\\)");
}

// What was to happen at abort happens: to the workload's handler nothing changes, and ours is gone.
TEST(BadInput, AHandlerOfAbortIsCalled) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [](crash::History&) { std::abort(); };
    EXPECT_EXIT(
        {
            ::signal(SIGABRT, [](int) { ::syscall(SYS_exit_group, 7); });
            (void)crash::run(region, test);
        },
        testing::ExitedWithCode(7), "abort was called");
    EXPECT_EXIT(
        {
            (void)crash::run(region, notebook_test(region, Wrong::nothing));
            std::abort();
        },
        testing::KilledBySignal(SIGABRT), "^$");
}

TEST(BadInput, AWorkloadMayHaveChildrenThatExit) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [](crash::History&) {
        const pid_t child = ::fork();
        if (child == 0) std::exit(0);
        int status = 0;
        if (::waitpid(child, &status, 0) != child || status != 0)
            throw std::runtime_error("the child ended with " + std::to_string(status));
    };
    const crash::Report report = report_of(test, region);
    EXPECT_TRUE(report.clean()) << report.text();
    EXPECT_EXIT(std::exit(0), testing::ExitedWithCode(0), "");  // the run has ended
}

TEST(BadInput, AnOracleThatThrows) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.check = [](std::string_view, const crash::History&) -> std::string {
        throw std::runtime_error("no opinion");
    };
    expect_violation(report_of(test, region), ViolationKind::oracle_threw,
                     "the oracle threw: no opinion");
}

TEST(BadInput, Misuse) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    const auto misused = [&](const std::string& words, const auto& workload) {
        test.workload = workload;
        expect_violation(report_of(test, region), ViolationKind::misuse, words);
    };
    std::byte elsewhere[8] = {};
    std::byte* end = region.bytes().data() + 4096;
    misused("is outside of the region", [&](crash::History&) { region.zero(elsewhere, 8); });
    misused("is outside of the region", [&](crash::History&) { region.flush(end, 1); });
    misused("is outside of the region",
            [&](crash::History&) { region.copy(end - 8, elsewhere, 9); });
    misused("only the page domain", [&](crash::History&) { region.sync(end - 8, 8); });
    misused("never begun", [&](crash::History& history) { history.acknowledge(0); });
    test.check = [](std::string_view, const crash::History&) { return std::string(); };
    misused("a second time", [&](crash::History& history) {
        history.acknowledge(history.begin("one"));
        history.acknowledge(0);
    });
    misused("a second thread",
            [&](crash::History&) { std::thread([&] { region.zero(end - 8, 8); }).join(); });
}

// The processes of recoveries are none of its children.
TEST(BadInput, AWorkloadThatWaitsForAllItsChildren) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [&](crash::History& history) {
        write_notes(NotebookWriter(region, Wrong::nothing), history);
        const pid_t child = ::fork();
        if (child == 0) {
            region.fence();  // of another process: nothing here
            ::_exit(0);
        }
        int waited = 0;
        while (::wait(nullptr) > 0) ++waited;
        if (waited != 1) throw std::runtime_error("a child of somebody else's");
    };
    const crash::Report report = report_of(test, region);
    EXPECT_TRUE(report.clean()) << report.text();
}

TEST(BadInput, OutsideOfARunARegionIsMemory) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    auto* word = reinterpret_cast<uint64_t*>(region.bytes().data());
    region.store(word, uint64_t{7});
    region.persist(word, 8);
    EXPECT_EQ(*word, 7u);
    region.zero(word, 5000);  // refused
    EXPECT_EQ(*word, 7u);
}

}  // namespace
}  // namespace kit_test
