// Pages that cannot be reached: found before they are read where that was asked for, and else an
// end in words for whoever opted in.
#include "cinnabar/bus_error.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cerrno>

#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

class BusErrorTest : public LogTest {
  protected:
    // Runs `body`, which must not return, in a fresh process.
    template <class Predicate, class Body>
    void expect_end(Predicate&& how, const std::string& words, Body&& body) {
        ::setenv("CINNABAR_TEST_FOLDER", folder_.c_str(), 1);
        EXPECT_EXIT(body(), how, words);
        ::unsetenv("CINNABAR_TEST_FOLDER");
    }

    // Appends to a file that becomes shorter than its mapping.
    void append_to_a_file_that_shrinks() {
        create();
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::one));
        must(stream.append(pattern(1, 100)));
        std::filesystem::resize_file(path_, 8192);
        for (uint64_t i = 0; i < 1000; ++i) must(stream.append(pattern(i, 100)));
    }
};
INSTANTIATE_TEST_SUITE_P(Log, BusErrorTest, kBoth, medium_name);

TEST_P(BusErrorTest, TheLibraryInstallsNoHandlerUnasked) {
    expect_end(::testing::KilledBySignal(SIGBUS), "", [&] {
        ::signal(SIGBUS, SIG_DFL);  // sanitizers have a handler of their own
        append_to_a_file_that_shrinks();
    });
}

TEST_P(BusErrorTest, EndsInWordsWhereThatWasAskedFor) {
    expect_end(::testing::ExitedWithCode(42),
               "'" + path_.string() +
                   "' cannot be reached any more at file byte [0-9]+: the file was made shorter "
                   "and now has 8192 bytes.*cinnabar check",
               [&] {
                   must(end_on_bus_error(3));
                   must(end_on_bus_error(42));
                   append_to_a_file_that_shrinks();
               });
}

// Of several open pools the right one is named; one that was closed is forgotten.
TEST_P(BusErrorTest, NamesThePoolAmongOthers) {
    expect_end(::testing::ExitedWithCode(9), "/pool' cannot be reached", [&] {
        must(end_on_bus_error(9));
        for (int turn = 0; turn < 200; ++turn) {
            const auto other = folder_ / ("other" + std::to_string(turn % 2));
            if (turn < 2)
                must(Log::create(other, {.pool_bytes = kPoolBytes, .segment_bytes = 4096}));
            (void)must(Log::open(other, options()));
        }
        Log before = must(Log::open(folder_ / "other0", options()));
        create();
        Log log = open();
        Log after = must(Log::open(folder_ / "other1", options()));
        Stream stream = must(log.add_stream("s", Writers::many));
        std::filesystem::resize_file(path_, 8192);
        for (uint64_t i = 0; i < 1000; ++i) must(stream.append(pattern(i, 100)));
    });
}

// A file of somebody else's, one page longer in memory than on the disk.
volatile char* strange_page(const std::filesystem::path& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return static_cast<volatile char*>(page);
}

TEST_P(BusErrorTest, LeavesStrangeBusErrorsToTheirOwnHandler) {
    const auto strange = folder_ / "strange";
    expect_end(::testing::KilledBySignal(SIGBUS), "", [&] {
        ::signal(SIGBUS, SIG_DFL);
        must(end_on_bus_error(9));
        create();
        Log log = open();
        *strange_page(strange) = 1;
    });
    expect_end(::testing::KilledBySignal(SIGBUS), "", [&] {
        ::signal(SIGBUS, SIG_DFL);
        must(end_on_bus_error(9));
        ::raise(SIGBUS);
    });
    expect_end(::testing::ExitedWithCode(77), "", [&] {
        ::signal(SIGBUS, [](int) { ::_exit(77); });
        must(end_on_bus_error(9));
        *strange_page(strange) = 1;
    });
    expect_end(::testing::ExitedWithCode(78), "", [&] {
        struct sigaction own = {};
        own.sa_flags = SA_SIGINFO;
        own.sa_sigaction = [](int, siginfo_t* info, void*) {
            ::_exit(info->si_addr != nullptr ? 78 : 1);
        };
        ::sigaction(SIGBUS, &own, nullptr);
        must(end_on_bus_error(9));
        *strange_page(strange) = 1;
    });
}

// Who ignores the signal goes on, where it was sent. A fault cannot be ignored.
TEST_P(BusErrorTest, IgnoresWhatWasIgnored) {
    expect_end(::testing::ExitedWithCode(79), "", [&] {
        ::signal(SIGBUS, SIG_IGN);
        must(end_on_bus_error(9));
        for (int i = 0; i < 3; ++i) {
            ::raise(SIGBUS);
            ::kill(::getpid(), SIGBUS);
        }
        ::_exit(79);
    });
    expect_end(::testing::KilledBySignal(SIGBUS), "", [&] {
        ::alarm(20);
        ::signal(SIGBUS, SIG_IGN);
        must(end_on_bus_error(9));
        *strange_page(folder_ / "strange") = 1;
    });
}

TEST_P(BusErrorTest, OneThatIsSentEndsTheProcessAsWithoutTheHandler) {
    expect_end(::testing::KilledBySignal(SIGBUS), "", [&] {
        ::signal(SIGBUS, SIG_DFL);
        must(end_on_bus_error(9));
        create();
        const Log log = open();
        ::kill(::getpid(), SIGBUS);
        ::_exit(80);
    });
}

TEST_P(BusErrorTest, RefusesAStatusThatCannotBe) {
    for (const int status : {0, -1, 256}) {
        const auto refused = end_on_bus_error(status);
        EXPECT_EQ(code_of(refused), Errc::invalid_argument);
        EXPECT_TRUE(contains(refused.error().message, "1 to 255"));
    }
}

// --- found before it is read --------------------------------------------------------------------

class UnreadableTest : public LogTest {
  protected:
    static constexpr uint64_t kRecords = 400;
    static constexpr uint64_t kLost = 200;

    std::vector<Lsn> fill(Log& log) {
        Stream stream = must(log.add_stream("s", Writers::one));
        std::vector<Lsn> lsns;
        for (uint64_t i = 0; i < kRecords; ++i)
            lsns.push_back(must(stream.append(pattern(i, 200))));
        return lsns;
    }

    // Instead of the page that holds a record, one behind the end of an empty file, which ends in
    // SIGBUS when it is touched. It comes back at the end.
    class TakenPage {
      public:
        TakenPage(const std::filesystem::path& pool, const Stream& stream, uint64_t record, Lsn lsn)
            : pool_(pool), offset_(offset_in_file(pool, pattern(record, 200)) & ~uint64_t{4095}) {
            Reader reader = must(stream.read(lsn));
            const auto address = reinterpret_cast<uintptr_t>(must(reader.next())->payload.data());
            page_ = reinterpret_cast<void*>(address & ~uintptr_t{4095});
            const auto empty = pool.parent_path() / "empty";
            { const std::ofstream made(empty); }
            map(empty, 0);
        }
        TakenPage(const TakenPage&) = delete;
        ~TakenPage() { map(pool_, offset_); }

      private:
        void map(const std::filesystem::path& path, uint64_t offset) {
            const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
            EXPECT_EQ(::mmap(page_, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file,
                             static_cast<off_t>(offset)),
                      page_);
            ::close(file);
        }

        const std::filesystem::path pool_;
        const uint64_t offset_;
        void* page_ = nullptr;
    };
};
INSTANTIATE_TEST_SUITE_P(Log, UnreadableTest, kBoth, medium_name);

TEST_P(UnreadableTest, CheckNamesThePageAndGoesOn) {
    create(65536);
    Log log = open();
    const auto lsns = fill(log);
    const Stream stream = must(log.stream("s"));
    for (const uint64_t record : {kLost, kLost + 50}) {
        const TakenPage taken(path_, stream, record, lsns[record]);
        const auto damage = must(log.check());
        ASSERT_EQ(damage.size(), 1u);
        EXPECT_EQ(damage[0].verdict, "corrupt_unreadable");
        EXPECT_EQ(damage[0].stream, "s");
        ASSERT_TRUE(damage[0].lsn);
        // The frame before the page may reach into it.
        EXPECT_LE(*damage[0].lsn, lsns[record]);
        EXPECT_GT(damage[0].lsn->value + 4096 + 256, lsns[record].value);
        const ByteRange range = damage[0].range;
        EXPECT_GE(range.length_bytes, 256u);
        EXPECT_LE(range.length_bytes, 4096u + 512);
    }
    EXPECT_TRUE(must(log.check()).empty());
}

TEST_P(UnreadableTest, CheckOfHeadersAndLinks) {
    create(4096);  // a segment is a page
    Log log = open();
    const auto lsns = fill(log);
    const TakenPage taken(path_, must(log.stream("s")), kLost, lsns[kLost]);
    const auto damage = must(log.check());
    ASSERT_GE(damage.size(), 2u);
    for (const Damage& one : damage) EXPECT_EQ(one.verdict, "corrupt_unreadable");
    EXPECT_EQ(damage[0].stream, "");  // the header
    EXPECT_EQ(damage[0].range.length_bytes, 512u);
    EXPECT_EQ(damage[1].stream, "s");
    EXPECT_EQ(damage[1].range.length_bytes, 4096u - 512);
}

TEST_P(UnreadableTest, AReadOnlyOpenReadsUpToIt) {
    create(65536);
    std::vector<Lsn> lsns;
    {
        Log log = open();
        lsns = fill(log);
    }
    Log log = open(read_only());
    const Stream stream = must(log.stream("s"));
    const TakenPage taken(path_, stream, kLost, lsns[kLost]);
    Reader reader = must(stream.read());
    uint64_t read = 0;
    for (;; ++read) {
        const auto record = reader.next();
        if (!record) {
            EXPECT_EQ(record.error().code, Errc::corrupt);
            EXPECT_TRUE(contains(record.error().message, "corrupt_unreadable"));
            EXPECT_TRUE(record.error().lsn && record.error().range);
            break;
        }
        ASSERT_TRUE(*record);
        EXPECT_TRUE(copy_of((*record)->payload) == pattern(read, 200));
    }
    EXPECT_GT(read + 4096 / 256 + 1, kLost);
    EXPECT_LE(read, kLost);
}

// A real one, found by the open itself: a hole in the file on a file system without room.
TEST_P(UnreadableTest, AHoleOnAFullFileSystemIsFoundByTheOpen) {
    const pid_t child = ::fork();
    if (child == 0) {
        const auto place = folder_ / "small";
        std::filesystem::create_directory(place);
        const int namespaces = CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
        if (::unshare(namespaces) != 0 ||
            ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("tmpfs", place.c_str(), "tmpfs", 0, "size=9m,mode=0777") != 0)
            ::_exit(77);
        path_ = place / "pool";
        create(65536);
        std::vector<Lsn> lsns;
        {
            Log log = open();
            lsns = fill(log);
        }
        const uint64_t at = offset_in_file(path_, pattern(kRecords - 1, 200));
        const int file = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
        EXPECT_EQ(::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              static_cast<off_t>(at & ~uint64_t{4095}), 4096),
                  0);
        const int filler = ::open((place / "filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        while (::write(filler, folder_.c_str(), 1) == 1) {
            const std::vector<char> block(4096, 'x');
            if (::write(filler, block.data(), block.size()) <= 0) break;
        }
        Log log = open(read_only());
        EXPECT_EQ(log.report().damage.size(), 1u);
        if (!log.report().clean()) {
            EXPECT_EQ(log.report().damage[0].verdict, "corrupt_unreadable");
            EXPECT_EQ(log.report().damage[0].stream, "s");
        }
        EXPECT_GT(read_all(must(log.stream("s"))).size(), kRecords - 20);
        ::_exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "cannot mount a tmpfs here";
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace cinnabar::log_test
