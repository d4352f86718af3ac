// Creating, opening, and what stands after a life that was closed, dropped or killed.
#include <fcntl.h>
#include <sys/stat.h>

#include <thread>

#include "fixture.hpp"
#include "msync.hpp"

namespace cinnabar::log_test {
namespace {

class RecoveryTest : public LogTest {};
class PageRecoveryTest : public LogTest {};
INSTANTIATE_TEST_SUITE_P(Log, PageRecoveryTest, ::testing::Values(kPage), medium_name);

// Emulation makes nothing durable on a file. Who opens the pool without it does, before anything is
// acknowledged on top.
TEST_P(PageRecoveryTest, WhatWasWrittenEmulatedIsWrittenBack) {
    create(4096);
    {
        OpenOptions emulated = options();
        emulated.emulate = Emulate::cache_line;
        Log log = open(emulated);
        Stream stream = must(log.add_stream("s", Writers::one));
        for (uint64_t i = 0; i < 60; ++i) must(stream.append(pattern(i, 200)));
        must(log.close());
    }
    {
        Log log = open(read_only());  // which cannot write anything back
        Reader reader = must(must(log.stream("s")).read());
        size_t records = 0;
        for (auto record = must(reader.next()); record; record = must(reader.next()), ++records)
            EXPECT_FALSE(record->known_durable);
        EXPECT_EQ(records, 60u);
    }
    for (const bool first : {true, false}) {
        const WrittenBack written;
        Log log = open();
        Reader reader = must(must(log.stream("s")).read());
        size_t records = 0, back = 0;
        for (auto record = must(reader.next()); record; record = must(reader.next())) {
            ++records;
            back += written.holds(record->payload.data(), record->payload.size());
        }
        EXPECT_EQ(records, 60u);
        if (first)
            EXPECT_EQ(back, records);
        else
            EXPECT_LT(back, records) << "once is enough";
        must(log.close());
    }
}

INSTANTIATE_TEST_SUITE_P(Log, RecoveryTest, kBoth, medium_name);

TEST_P(RecoveryTest, CreateMakesAPrivateFileOrNothing) {
    create();
    struct stat status = {};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_EQ(code_of(Log::create(path_)), Errc::already_exists);
    EXPECT_EQ(code_of(Log::create(folder_ / "no" / "pool")), Errc::not_found);
    for (const CreateOptions& bad :
         {CreateOptions{.pool_bytes = kPoolBytes, .segment_bytes = 3000},
          CreateOptions{.pool_bytes = kPoolBytes, .segment_bytes = 1024},
          CreateOptions{.pool_bytes = kPoolBytes, .segment_bytes = uint64_t{2} << 30},
          CreateOptions{.pool_bytes = 4096, .segment_bytes = 4096}})
        EXPECT_EQ(code_of(Log::create(folder_ / "bad", bad)), Errc::invalid_argument);
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
        (void)entry;
        ++files;
    }
    EXPECT_EQ(files, 1u);
}

TEST_P(RecoveryTest, OpenNamesWhatItCannotOpen) {
    EXPECT_EQ(code_of(Log::open(path_, options())), Errc::not_found);
    std::ofstream(path_) << "not a pool";
    EXPECT_EQ(code_of(Log::open(path_, options())), Errc::not_a_pool);
    std::filesystem::remove(path_);
    create();
    Log log = open();
    const auto second = Log::open(path_, options());
    EXPECT_EQ(code_of(second), Errc::locked);
    must(log.close());
    std::filesystem::resize_file(path_, kPoolBytes / 2);
    EXPECT_EQ(code_of(Log::open(path_, options())), Errc::truncated);
}

TEST_P(RecoveryTest, WaitsForTheLock) {
    create();
    auto first = std::make_unique<Log>(open());
    OpenOptions with = options();
    with.lock_timeout = milliseconds(40);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(code_of(Log::open(path_, with)), Errc::locked);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(40));
    std::thread closer([&] {
        std::this_thread::sleep_for(milliseconds(50));
        first.reset();
    });
    with.lock_timeout = std::chrono::seconds(20);
    EXPECT_EQ(code_of(Log::open(path_, with)), Errc{});
    closer.join();
}

TEST_P(RecoveryTest, MediumIsNamedAsItIs) {
    create();
    OpenOptions with = options();
    with.modelled = {.fence_ns = 500, .line_ns = 20};
    {
        Log log = open();
        const bool page = GetParam().emulate == Emulate::no;
        EXPECT_EQ(log.medium().domain, page ? Domain::page : Domain::cache_line);
        EXPECT_EQ(log.medium().emulated, !page);
        EXPECT_FALSE(log.medium().modelled.any());
        EXPECT_EQ(contains(log.medium().sentence(), "emulated"), !page);
        EXPECT_FALSE(contains(log.medium().sentence(), "modelled"));
    }
    {
        Log log = open(with);
        EXPECT_EQ(log.medium().modelled, with.modelled);
        EXPECT_TRUE(contains(log.medium().sentence(), "modelled")) << log.medium().sentence();
        Stream stream = must(log.add_stream("s", Writers::one));
        for (uint64_t i = 0; i < 100; ++i) must(stream.append(pattern(i, 100)));
        EXPECT_EQ(read_all(stream).size(), 100u);
    }
    with.emulate = Emulate::byte;
    with.modelled = {};
    Log log = open(with);
    EXPECT_EQ(log.medium().domain, Domain::byte);
    EXPECT_TRUE(log.medium().emulated);
    Stream stream = must(log.stream("s"));
    for (uint64_t i = 0; i < 100; ++i)
        must(stream.append(pattern(i, 100), i % 2 == 0 ? lazy() : AppendOptions{}));
    EXPECT_EQ(read_all(stream).size(), 200u);
}

// A modelled fence makes a force as slow as stated, and nothing durable later than acknowledged.
TEST_P(RecoveryTest, AModelledFenceIsWaitedFor) {
    if (GetParam().emulate == Emulate::no) GTEST_SKIP() << "no fence in the page domain";
    create();
    OpenOptions with = options();
    with.modelled.fence_ns = 2'000'000;
    Log log = open(with);
    Stream stream = must(log.add_stream("s", Writers::one));
    must(stream.append(pattern(0, 10), lazy()));
    const auto begin = std::chrono::steady_clock::now();
    for (uint64_t i = 0; i < 5; ++i) must(stream.append(pattern(i, 10)));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(10));
}

TEST_P(RecoveryTest, AfterAKillEverythingPublishedIsThere) {
    create(2048);
    Log log = open();
    Stream one = must(log.add_stream("one", Writers::one));
    Stream many = must(log.add_stream("many", Writers::many));
    for (uint64_t i = 0; i < 100; ++i) {
        must(one.append(pattern(i, 1 + i * 3), i % 5 == 0 ? AppendOptions{} : lazy()));
        must(many.append(pattern(1000 + i, 1 + i * 3), i % 5 == 0 ? AppendOptions{} : lazy()));
    }
    const Lsn ends[2] = {one.appended(), many.appended()};
    const auto killed = as_killed(log);
    for (int life = 0; life < 3; ++life) {  // recovering again finds the same
        Log again = open_at(killed);
        EXPECT_TRUE(again.report().clean());
        ASSERT_EQ(again.report().streams.size(), 2u);
        for (int i = 0; i < 2; ++i) {
            const StreamReport& report = again.report().streams[static_cast<size_t>(i)];
            EXPECT_EQ(report.name, i == 0 ? "one" : "many");
            EXPECT_EQ(report.end, ends[i]);
            EXPECT_LE(report.testified, report.end);
            EXPECT_EQ(report.low_water.value, 0u);
            EXPECT_EQ(report.begin.value, 0u);
            EXPECT_GT(report.segments, 5u);
            EXPECT_EQ(report.lines_erased, 0u);
            EXPECT_EQ(report.segments_renewed, 0u);
            EXPECT_GT(report.bytes_flushed, 0u);
            Stream stream = must(again.stream(report.name));
            EXPECT_EQ(stream.appended(), ends[i]);
            const auto records = read_all(stream);
            ASSERT_EQ(records.size(), 100u);
            for (uint64_t k = 0; k < 100; ++k)
                EXPECT_TRUE(records[k].payload == pattern((i == 0 ? 0 : 1000) + k, 1 + k * 3));
        }
    }
}

TEST_P(RecoveryTest, ReportsWhatItVerified) {
    create(65536);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    must(stream.append(pattern(0, 100)));
    for (uint64_t i = 0; i < 7; ++i) must(stream.append(pattern(i, 100), lazy()));
    Log again = open_at(as_killed(log));
    const StreamReport& report = again.report().streams.at(0);
    EXPECT_EQ(report.segments, 1u);
    EXPECT_EQ(report.frames_verified, 9u);  // the link frame, and every record
    EXPECT_EQ(report.bytes_verified, report.end.value);
    EXPECT_EQ(report.end_verdict, "unwritten");
    EXPECT_EQ(report.testified, Lsn{64 + 3 * 64});  // behind the forced record
    EXPECT_GE(report.bytes_flushed, 7 * 192u);
    EXPECT_GT(again.report().recovery_ns, 0u);
}

TEST_P(RecoveryTest, ATornTailIsCutAndErased) {
    create(65536);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    const Lsn forced = must(stream.append(pattern(0, 100)));
    std::vector<Lsn> lsns;
    for (uint64_t i = 1; i < 10; ++i) lsns.push_back(must(stream.append(pattern(i, 100), lazy())));
    const auto killed = as_killed(log);
    flip_byte(killed, offset_in_file(killed, pattern(5, 100)) + 10);
    Lsn end;
    {
        Log again = open_at(killed);
        const StreamReport& report = again.report().streams.at(0);
        EXPECT_EQ(report.end, lsns[4]);
        EXPECT_EQ(report.end_verdict, "torn");
        // Frames 5 to 9: each one's first line, at least, is erased.
        EXPECT_GE(report.lines_erased, 5u);
        Stream after = must(again.stream("s"));
        EXPECT_EQ(read_all(after).size(), 5u);
        EXPECT_EQ(read_all(after)[0].lsn, forced);
        EXPECT_EQ(must(after.append(pattern(50, 100))), lsns[4]);
        end = after.appended();
    }
    Log again = open_at(killed);
    const auto records = read_all(must(again.stream("s")));
    ASSERT_EQ(records.size(), 6u);
    EXPECT_TRUE(records[5].payload == pattern(50, 100));
    EXPECT_TRUE(must(again.check()).empty());
}

// Behind a hole, later segments of the stream get a new generation.
TEST_P(RecoveryTest, SegmentsBehindTheCutAreRenewed) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    must(stream.append(pattern(0, 100)));
    std::vector<Lsn> lsns;
    for (uint64_t i = 1; i < 60; ++i) lsns.push_back(must(stream.append(pattern(i, 100), lazy())));
    const auto killed = as_killed(log);
    flip_byte(killed, offset_in_file(killed, pattern(3, 100)) + 10);
    {
        Log again = open_at(killed);
        const StreamReport& report = again.report().streams.at(0);
        EXPECT_EQ(report.end, lsns[2]);
        EXPECT_EQ(report.segments, 1u);
        EXPECT_GT(report.segments_renewed, 3u);
        EXPECT_EQ(again.segments_free(), again.segments_total() - 1);
        Stream after = must(again.stream("s"));
        for (uint64_t i = 0; i < 10; ++i) must(after.append(pattern(100 + i, 100), lazy()));
        must(after.force(Lsn{after.appended().value - 1}));
    }
    Log again = open_at(killed);
    EXPECT_EQ(read_all(must(again.stream("s"))).size(), 13u);
    EXPECT_TRUE(must(again.check()).empty());
}

TEST_P(RecoveryTest, ManyLivesCostBytesAndNotSegments) {
    create(16384);
    uint64_t number = 0;
    for (int life = 0; life < 40; ++life) {
        Log log = open();
        for (const char* name : {"one", "many"}) {
            Stream stream =
                life == 0 ? must(log.add_stream(name, *name == 'o' ? Writers::one : Writers::many))
                          : must(log.stream(name));
            ASSERT_EQ(read_all(stream).size(), static_cast<size_t>(life));
            must(stream.append(pattern(number++, 100), life % 2 == 0 ? lazy() : AppendOptions{}));
        }
        EXPECT_GE(log.segments_free(), log.segments_total() - 4);
    }
}

TEST_P(RecoveryTest, ManyStreamsOfManySegments) {
    create(2048);
    Log log = open();
    std::vector<Stream> streams;
    for (int i = 0; i < 12; ++i)
        streams.push_back(must(
            log.add_stream("s" + std::to_string(i), i % 2 == 0 ? Writers::one : Writers::many)));
    for (uint64_t k = 0; k < 100; ++k)
        for (uint64_t i = 0; i < 12; ++i)
            must(streams[i].append(pattern(i * 1000 + k, 20 + i * 20),
                                   k % 10 == 9 ? AppendOptions{} : lazy()));
    Log again = open_at(as_killed(log));
    ASSERT_EQ(again.report().streams.size(), 12u);
    for (uint64_t i = 0; i < 12; ++i) {
        const auto records = read_all(must(again.stream("s" + std::to_string(i))));
        ASSERT_EQ(records.size(), 100u) << i;
        for (uint64_t k = 0; k < 100; ++k)
            ASSERT_TRUE(records[k].payload == pattern(i * 1000 + k, 20 + i * 20));
    }
    EXPECT_TRUE(must(again.check()).empty());
}

TEST_P(RecoveryTest, ReadOnlyChangesNoByte) {
    create(2048);
    Lsn forced;
    std::filesystem::path killed;
    {
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::one));
        must(log.add_service("s", "service"));
        for (uint64_t i = 0; i < 30; ++i) forced = must(stream.append(pattern(i, 100)));
        for (uint64_t i = 30; i < 33; ++i) must(stream.append(pattern(i, 100), lazy()));
        killed = as_killed(log);
        flip_byte(killed, offset_in_file(killed, pattern(32, 100)));  // a torn tail
    }
    for (const auto& path : {killed, path_}) {
        const auto before = file_bytes(path);
        {
            Log log = must(Log::open(path, read_only()));
            Stream stream = must(log.stream("s"));
            EXPECT_EQ(read_all(stream).size(), path == killed ? 32u : 33u);
            EXPECT_EQ(code_of(stream.append(pattern(1, 10))), Errc::read_only);
            EXPECT_EQ(code_of(stream.force(forced)), Errc::read_only);
            EXPECT_EQ(code_of(log.add_stream("t", Writers::one)), Errc::read_only);
            EXPECT_EQ(code_of(log.remove_stream("s")), Errc::read_only);
            EXPECT_EQ(code_of(log.add_service("s", "t")), Errc::read_only);
            EXPECT_EQ(code_of(log.remove_service(log.services().at(0).service)), Errc::read_only);
            EXPECT_EQ(code_of(log.release(log.services().at(0).service, forced)), Errc::read_only);
            EXPECT_EQ(must(log.check()).size(), 0u);
            EXPECT_EQ(log.streams().size(), 1u);
            must(log.close());
        }
        EXPECT_TRUE(file_bytes(path) == before) << path;
    }
}

std::vector<bool> known_durable_of(const Stream& stream) {
    std::vector<bool> known;
    Reader reader = must(stream.read());
    while (const auto record = must(reader.next())) known.push_back(record->known_durable);
    return known;
}

TEST_P(RecoveryTest, ReadOnlyMarksWhatIsNotKnownDurable) {
    create();
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    for (uint64_t i = 0; i < 5; ++i) must(stream.append(pattern(i, 100)));
    for (uint64_t i = 5; i < 8; ++i) must(stream.append(pattern(i, 100), lazy()));
    const auto killed = as_killed(log);
    Log again = must(Log::open(killed, read_only()));
    // The lazy ones state that the forced ones before them were durable.
    std::vector<bool> forced(8, true);
    std::fill(forced.begin() + 5, forced.end(), false);
    EXPECT_EQ(known_durable_of(must(again.stream("s"))), forced);
}

// What it forces is durable by other rules than those of the next life.
TEST_P(RecoveryTest, ALifeWhoseMediumAsksForLessSaysSoBeforeItAppends) {
    create();
    must(must(open().add_stream("s", Writers::one)).append(pattern(0, 100)));
    OpenOptions with = options();
    with.emulate = Emulate::byte;
    Log log = open(with);
    Stream stream = must(log.stream("s"));
    for (uint64_t i = 1; i < 4; ++i) must(stream.append(pattern(i, 100)));
    const auto killed = as_killed(log);
    Log again = must(Log::open(killed, read_only()));
    EXPECT_EQ(known_durable_of(must(again.stream("s"))), std::vector<bool>(4, false));
}

}  // namespace
}  // namespace cinnabar::log_test
