// Recoveries that fail, hang, or are not what a recovery is: each is a clear verdict.
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kit/notebook.hpp"
#include "kit/violation.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;
using cinnabar::Domain;
using crash::ViolationKind;
using kit_test::report_of;
using Recover = std::function<std::string(std::span<std::byte>)>;

// Of the right notebook, recovered by this.
crash::Report report_of(const Recover& recover, const crash::Options& options = kFew) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.recover = recover;
    return report_of(test, region, options);
}

TEST(BadRecovery, ARecoveryThatHangs) {
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

// It says so in words, without a digit, that are others each time.
TEST(BadRecovery, WhoseWordsAreOthersEachTimeIsDeterministic) {
    auto* asked = static_cast<std::atomic<size_t>*>(
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    auto region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::count_before_note);
    test.recover = [asked](std::span<std::byte> image) {
        const Notebook& book = *reinterpret_cast<const Notebook*>(image.data());
        for (size_t note = 0; note < book.count; ++note)
            if (book.notes[note].length == 0)
                throw std::runtime_error("ticket " + std::string(++*asked % 1000, 'a'));
        return recover_notebook(image);
    };
    const auto report = crash::run(region, test, {.violations_max = 100}).value();
    ASSERT_FALSE(report.clean());
    for (const crash::Violation& found : report.violations)
        EXPECT_NE(found.kind, ViolationKind::not_deterministic) << report.text();
    EXPECT_GT(asked->load(), 10u);
    ::munmap(asked, 4096);
}

// A mixture of old and new lines hangs it; of 40 lines there are many to ask of.
TEST(BadRecovery, ThatHangsOnSmallerImagesIsAskedOfFew) {
    auto region = crash::Region::create(8192, Domain::cache_line).value();
    auto* hung = static_cast<std::atomic<int>*>(
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    const crash::Test test{
        .workload =
            [&](crash::History& history) {
                const size_t operation = history.begin("all");
                for (size_t i = 1; i <= 40; ++i) region.store(&words[8 * i], uint64_t{1});
                history.acknowledge(operation);
            },
        .recover =
            [hung](std::span<std::byte> image) {
                const auto* found = reinterpret_cast<const uint64_t*>(image.data());
                uint64_t there = 0;
                for (size_t i = 1; i <= 40; ++i) there += found[8 * i];
                if (there != 0 && there != 40)
                    for (++*hung;;) ::pause();
                return std::string(there == 0 ? "none" : "all");
            },
        .recover_file = {},
        .check =
            [](std::string_view digest, const crash::History& history) {
                const bool is_lost = digest == "none" && history.acknowledged_prefix() > 0;
                return std::string(is_lost ? "acknowledged and gone" : "");
            }};
    const crash::Options options{.recovery_time_max = std::chrono::milliseconds(50),
                                 .fixes_max = 0};
    const auto report = crash::run(region, test, options).value();
    ASSERT_FALSE(report.clean());
    EXPECT_EQ(report.violations[0].what, "acknowledged and gone") << report.text();
    EXPECT_LE(hung->load(), 12) << "three for an explanation, three that count, and once more";
    ::munmap(hung, 4096);
}

// Which is not reduced, so that no calls are known by which it could be the same.
TEST(BadRecovery, ARecoveryThatAlwaysHangsIsToldOnce) {
    const crash::Options options{.recovery_time_max = std::chrono::milliseconds(50),
                                 .violations_max = 6};
    const crash::Report report = report_of(
        [](std::span<std::byte>) -> std::string {
            for (;;) ::pause();
        },
        options);
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_EQ(report.violations[0].what, "recovery did not end within 50 ms");
    EXPECT_EQ(report.violations[0].crash_point, 1u);
    EXPECT_EQ(report.violations[0].images, 3u) << "and not six, each of which takes its time";
    EXPECT_GT(report.violations[0].crash_points, 1u);
    EXPECT_TRUE(report.stopped);
    EXPECT_EQ(report.recoveries, 3u + 3 + 1 + 1) << "twice with a check; then each once";
}

// Three recoveries of one image, of which each ends in time.
TEST(BadRecovery, EachRecoveryHasItsOwnTime) {
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

TEST(BadRecovery, LimitsWithoutEnd) {
    const crash::Report report =
        report_of(recover_notebook, {.recovery_time_max = std::chrono::milliseconds::max(),
                                     .recovery_memory_bytes_max = UINT64_MAX});
    EXPECT_TRUE(report.clean()) << report.text();
}

// Of images that are refused by an exception nothing stays in the process: files, memory, locks.
TEST(BadRecovery, ARecoveryThatThrowsLeavesNothingBehind) {
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
TEST(BadRecovery, AFailureThatANewProcessDoesNotHave) {
    expect_violation(report_of([](std::span<std::byte> image) {
                         static int calls = 0;
                         if (++calls == 12) throw std::runtime_error("tired");
                         return recover_notebook(image);
                     }),
                     ViolationKind::not_deterministic, "first 'recovery threw: tired', then");
}

// What an image before has left in the recovery's process is a bug of the recovery's, and none of
// the structure's: what a new process comes to counts.
TEST(BadRecovery, ARecoveryThatRemembersAnotherImage) {
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
TEST(BadRecovery, ARecoveryThatProtectsOrUnmapsItsImage) {
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
TEST(BadRecovery, AProcessThatIgnoresItsChildrenOrIsInterrupted) {
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

TEST(BadRecovery, ARecoveryThatAllocatesWithoutEnd) {
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

TEST(BadRecovery, ARecoveryThatDies) {
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
TEST(BadRecovery, OneDeathIsOneImage) {
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

TEST(BadRecovery, ARecoveryThatThrows) {
    expect_violation(report_of([](std::span<std::byte>) -> std::string {
                         throw std::runtime_error("no such book");
                     }),
                     ViolationKind::threw, "recovery threw: no such book");
    expect_violation(report_of([](std::span<std::byte>) -> std::string { throw 5; }),
                     ViolationKind::threw, "no std::exception");
}

TEST(BadRecovery, ARecoveryThatIsNotDeterministic) {
    expect_violation(report_of([](std::span<std::byte> image) {
                         static int calls = 0;
                         return recover_notebook(image) + std::string(calls++ % 2, '\n');
                     }),
                     ViolationKind::not_deterministic, "first ''");
}

// Twice it comes to what is wrong, in two processes, and to nothing wrong when the image is to be
// reduced: no call is to blame.
TEST(BadRecovery, AFailureThatGoesAway) {
    void* shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    int& failures = *static_cast<int*>(shared);
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::count_before_note);
    test.recover = [&failures](std::span<std::byte> image) {
        const Notebook& book = *reinterpret_cast<const Notebook*>(image.data());
        const bool is_wrong = book.count > 0 && book.notes[book.count - 1].length == 0;
        return is_wrong && ++failures > 2 ? std::string() : recover_notebook(image);
    };
    const crash::Report report = report_of(test, region, {.violations_max = 1});
    expect_violation(report, ViolationKind::not_deterministic, "first 'only the first 0 of 1");
    EXPECT_TRUE(report.violations[0].what.ends_with("', and not so again with the same image"))
        << report.text();
    EXPECT_EQ(report.violations[0].order + report.violations[0].fix, "");
    ::munmap(shared, 4096);
}

TEST(BadRecovery, ARecoveryThatIsNotIdempotent) {
    expect_violation(report_of([](std::span<std::byte> image) {
                         auto& length = reinterpret_cast<Notebook*>(image.data())->notes[14].length;
                         return recover_notebook(image) + std::string(length++, '\n');
                     }),
                     ViolationKind::not_idempotent, "first ''");
}

// The image alone is recovered; what comes behind that is not.
TEST(BadRecovery, ARecoveryThatFailsTheSecondTime) {
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

}  // namespace
}  // namespace kit_test
