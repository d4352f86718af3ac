// What a user may get wrong: each has a clear verdict or error, and none of it hangs or ends the
// test's process.
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <thread>

#include "kit/notebook.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;
using cinnabar::Domain;
using cinnabar::Errc;
using crash::ViolationKind;
using Recover = std::function<std::string(std::span<std::byte>)>;

const crash::Options kFew{.recovery_memory_bytes_max = 64 << 20, .violations_max = 3};

crash::Report report_of(const crash::Test& test, crash::Region& region,
                        const crash::Options& options = kFew) {
    auto report = crash::run(region, test, options);
    EXPECT_TRUE(report.has_value()) << report.error().message;
    return std::move(*report);
}

// Of the right notebook, recovered by this.
crash::Report report_of(const Recover& recover, const crash::Options& options = kFew) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.recover = recover;
    return report_of(test, region, options);
}

void expect_violation(const crash::Report& report, ViolationKind kind, const std::string& words) {
    ASSERT_FALSE(report.clean()) << report.text();
    EXPECT_EQ(report.violations[0].kind, kind) << report.text();
    EXPECT_NE(report.violations[0].what.find(words), std::string::npos) << report.text();
}

TEST(BadInput, RegionsThatCannotBe) {
    alignas(4096) static std::byte memory[8192];
    for (const size_t bytes : {size_t{0}, size_t{100}, size_t{4095}})
        EXPECT_EQ(crash::Region::create(bytes, Domain::page).error().code, Errc::invalid_argument);
    for (const auto part :
         {std::span(memory, 0), std::span(memory, 64), std::span(memory + 64, 4096)})
        EXPECT_EQ(crash::Region::attach(part, Domain::byte).error().code, Errc::invalid_argument);
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

TEST(BadInput, ARecoveryThatHangs) {
    // A second is long enough for the others, also on a machine with more to do than this.
    const crash::Options second{.recovery_time_max = std::chrono::seconds(1), .violations_max = 1};
    const crash::Report report = report_of(
        [](std::span<std::byte> image) {
            for (volatile uint64_t count = 0; image[0] == std::byte{1};) count = count + 1;
            return recover_notebook(image);
        },
        second);
    expect_violation(report, ViolationKind::hung, "recovery did not end within 1000 ms");
    EXPECT_GT(report.images_distinct, 3u);  // those before were recovered
}

// Three recoveries of one image, of which each ends in time.
TEST(BadInput, EachRecoveryHasItsOwnTime) {
    const crash::Options options{.recovery_time_max = std::chrono::seconds(2)};
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [](crash::History&) {};
    test.recover = [](std::span<std::byte> image) {
        image[4095] = std::byte{1};
        ::usleep(900'000);
        return recover_notebook(image);
    };
    const crash::Report report = report_of(test, region, options);
    EXPECT_TRUE(report.clean()) << report.text();
    EXPECT_EQ(report.recoveries, 3u);
}

TEST(BadInput, LimitsWithoutEnd) {
    const crash::Report report =
        report_of(recover_notebook, {.recovery_time_max = std::chrono::milliseconds::max(),
                                     .recovery_memory_bytes_max = UINT64_MAX});
    EXPECT_TRUE(report.clean()) << report.text();
}

// Of images that are refused by an exception nothing stays in the process: files, memory, locks.
TEST(BadInput, ARecoveryThatThrowsLeavesNothingBehind) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.recover = [](std::span<std::byte> image) {
        static bool locked = false;
        const auto& book = *reinterpret_cast<const Notebook*>(image.data());
        if (locked) throw std::runtime_error("locked");
        locked = book.count == 2;
        if (locked) throw std::runtime_error("two notes");
        return recover_notebook(image);
    };
    const crash::Report report = report_of(test, region, {.violations_max = 1'000'000});
    ASSERT_FALSE(report.clean());
    for (const crash::Violation& violation : report.violations)
        EXPECT_EQ(violation.what, "recovery threw: two notes");
}

// Its process was spoiled by images before: a new one masters the image.
TEST(BadInput, AFailureThatANewProcessDoesNotHave) {
    expect_violation(report_of([](std::span<std::byte> image) {
                         static int calls = 0;
                         if (++calls == 12) throw std::runtime_error("tired");
                         return recover_notebook(image);
                     }),
                     ViolationKind::not_deterministic, "first 'recovery threw: tired', then");
}

// What an image before has left in the recovery's process is a bug of the recovery's, and none of
// the structure's: what a new process comes to counts.
TEST(BadInput, ARecoveryThatRemembersAnotherImage) {
    const crash::Report report = report_of([](std::span<std::byte> image) {
        static bool full = false;
        const bool has_last = reinterpret_cast<const Notebook*>(image.data())->notes[9].length > 0;
        full = full || has_last;
        return full && !has_last ? std::string("damaged: full") : recover_notebook(image);
    });
    expect_violation(report, ViolationKind::not_deterministic, "first 'damaged: full', then 'note");
    EXPECT_NE(report.violations[0].what.find("' in a new process"), std::string::npos);
}

// As one does that closes what it has recovered. The next image is there and can be written to.
TEST(BadInput, ARecoveryThatProtectsOrUnmapsItsImage) {
    using Close = int (*)(void* at, size_t bytes);
    const Close closes[] = {
        [](void* at, size_t bytes) { return ::mprotect(at, bytes, PROT_READ); },
        [](void* at, size_t bytes) { return ::mprotect(at, bytes, PROT_NONE); },
        [](void* at, size_t bytes) { return ::munmap(at, bytes); },
        [](void* at, size_t) { return ::munmap(static_cast<char*>(at) + 4096, 4096); },
    };
    for (const Close close : closes) {
        crash::Region region = crash::Region::create(3 * 4096, Domain::cache_line).value();
        crash::Test test = notebook_test(region, Wrong::nothing);
        test.recover = [close](std::span<std::byte> image) {
            const std::string lines = recover_notebook(image);
            image[2 * 4096] = std::byte{1};
            if (close(image.data(), image.size()) != 0) throw std::runtime_error("no close");
            return lines;
        };
        const crash::Report report = report_of(test, region);
        EXPECT_TRUE(report.clean()) << report.text();
    }
}

// Neither keeps the kit from learning how a recovery ended.
TEST(BadInput, AProcessThatIgnoresItsChildrenOrIsInterrupted) {
    struct sigaction before = {};
    struct sigaction handler = {};
    handler.sa_handler = [](int) {};  // without SA_RESTART
    ::sigaction(SIGUSR1, &handler, &before);
    ::signal(SIGCHLD, SIG_IGN);
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [&](crash::History& history) {
        std::FILE* children = std::fopen("/proc/thread-self/children", "re");
        int interrupted = 0;
        for (int child = 0; children != nullptr && std::fscanf(children, "%d", &child) == 1;)
            interrupted += ::kill(child, SIGUSR1) == 0 ? 1 : 0;
        if (children != nullptr) std::fclose(children);
        if (interrupted == 0) throw std::runtime_error("no process of recoveries to interrupt");
        ::usleep(50'000);
        write_notes(NotebookWriter(region, Wrong::nothing), history);
    };
    test.recover = [](std::span<std::byte> image) {
        if (image[0] == std::byte{3}) std::raise(SIGKILL);
        return recover_notebook(image);
    };
    const crash::Report report = report_of(test, region);
    ::signal(SIGCHLD, SIG_DFL);
    ::sigaction(SIGUSR1, &before, nullptr);
    expect_violation(report, ViolationKind::crashed, "recovery died: Killed (signal 9)");
}

TEST(BadInput, ARecoveryThatAllocatesWithoutEnd) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "skipped: AddressSanitizer's allocator bears no limit of the address space";
#endif
    const crash::Report report = report_of([](std::span<std::byte> image) {
        std::vector<std::string> all;
        while (image[0] == std::byte{2}) all.emplace_back(1 << 20, 'x');
        return recover_notebook(image);
    });
    expect_violation(report, ViolationKind::out_of_memory, "memory");
}

TEST(BadInput, ARecoveryThatDies) {
    expect_violation(report_of([](std::span<std::byte> image) {
                         if (image[0] == std::byte{3}) std::raise(SIGKILL);
                         return recover_notebook(image);
                     }),
                     ViolationKind::crashed, "recovery died: Killed (signal 9)");
    expect_violation(report_of([](std::span<std::byte> image) {
                         if (image[0] == std::byte{3}) ::_exit(17);
                         return recover_notebook(image);
                     }),
                     ViolationKind::crashed, "ended its process with exit code 17");
}

// The worker after a dead one goes on with the next image.
TEST(BadInput, OneDeathIsOneImage) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    const auto clean = crash::run(region, test).value();
    test.recover = [](std::span<std::byte> image) {
        const auto& book = *reinterpret_cast<const Notebook*>(image.data());
        if (book.count == 9 && book.notes[9].length == 0) std::abort();
        return recover_notebook(image);
    };
    crash::Options many;
    many.violations_max = 1'000'000;
    const auto report = crash::run(region, test, many).value();
    EXPECT_FALSE(report.clean());
    EXPECT_EQ(report.images_distinct, clean.images_distinct);
}

TEST(BadInput, ARecoveryThatThrows) {
    expect_violation(report_of([](std::span<std::byte>) -> std::string {
                         throw std::runtime_error("no such book");
                     }),
                     ViolationKind::threw, "recovery threw: no such book");
    expect_violation(report_of([](std::span<std::byte>) -> std::string { throw 5; }),
                     ViolationKind::threw, "no std::exception");
}

TEST(BadInput, ARecoveryThatIsNotDeterministic) {
    expect_violation(report_of([](std::span<std::byte> image) {
                         static int calls = 0;
                         return recover_notebook(image) + std::string(calls++ % 2, '\n');
                     }),
                     ViolationKind::not_deterministic, "first ''");
}

TEST(BadInput, ARecoveryThatIsNotIdempotent) {
    expect_violation(report_of([](std::span<std::byte> image) {
                         auto& length = reinterpret_cast<Notebook*>(image.data())->notes[14].length;
                         return recover_notebook(image) + std::string(length++, '\n');
                     }),
                     ViolationKind::not_idempotent, "first ''");
}

// The image alone is recovered; what comes behind that is not.
TEST(BadInput, ARecoveryThatFailsTheSecondTime) {
    const std::string left = "recovery of what a recovery had left ";
    expect_violation(report_of([](std::span<std::byte> image) {
                         std::byte& mark = image[4095];
                         if (mark == std::byte{1}) std::abort();
                         mark = std::byte{1};
                         return recover_notebook(image);
                     }),
                     ViolationKind::not_idempotent, left + "died: Aborted (signal 6)");
    expect_violation(report_of([](std::span<std::byte> image) {
                         std::byte& mark = image[4095];
                         if (mark == std::byte{1}) throw std::runtime_error("marked");
                         mark = std::byte{1};
                         return recover_notebook(image);
                     }),
                     ViolationKind::not_idempotent, left + "threw: marked");
    expect_violation(report_of([](std::span<std::byte> image) {
                         static int calls = 0;
                         if (++calls == 2) throw std::runtime_error("once is enough");
                         return recover_notebook(image);
                     }),
                     ViolationKind::not_deterministic,
                     "a second recovery of the same image threw: once is enough");
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
