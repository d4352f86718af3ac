// Reading: where a reader may start, how far it goes, and what it keeps from being reused.
#include <atomic>
#include <thread>

#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

class ReaderTest : public LogTest {};
INSTANTIATE_TEST_SUITE_P(Log, ReaderTest, kBoth, medium_name);

TEST_P(ReaderTest, StartsAtAnyRecordAndAtTheFrontier) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    std::vector<Lsn> lsns;
    for (uint64_t i = 0; i < 60; ++i) lsns.push_back(must(stream.append(pattern(i, 10 + i * 5))));
    for (uint64_t i = 0; i < 60; ++i) {
        Reader reader = must(stream.read(lsns[i]));
        EXPECT_EQ(reader.position(), lsns[i]);
        const auto record = must(reader.next());
        ASSERT_TRUE(record);
        EXPECT_EQ(record->lsn, lsns[i]);
        EXPECT_TRUE(copy_of(record->payload) == pattern(i, 10 + i * 5));
        EXPECT_EQ(read_all(stream, lsns[i]).size(), 60 - i);
    }
    Reader at_end = must(stream.read(stream.durable()));
    EXPECT_FALSE(must(at_end.next()));
    EXPECT_EQ(code_of(stream.read(Lsn{stream.appended().value + 64})), Errc::never_appended);
    EXPECT_EQ(code_of(stream.read(Lsn{UINT64_MAX})), Errc::never_appended);
}

TEST_P(ReaderTest, RefusesWhatIsNotARecordsLsn) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    std::vector<Lsn> lsns;
    for (uint64_t i = 0; i < 20; ++i) lsns.push_back(must(stream.append(pattern(i, 200))));
    for (const uint64_t off : {1u, 32u, 63u, 64u, 128u, 192u})
        for (const Lsn lsn : lsns)
            EXPECT_EQ(code_of(stream.read(Lsn{lsn.value + off})), Errc::invalid_argument)
                << lsn.value << " + " << off;
}

TEST_P(ReaderTest, OfAnEmptyStreamSeesWhatComes) {
    create();
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    Reader reader = must(stream.read());
    EXPECT_FALSE(must(reader.next()));
    EXPECT_FALSE(must(reader.next()));
    for (uint64_t i = 0; i < 300; ++i) {
        const Lsn lsn = must(stream.append(pattern(i, 100)));
        const auto record = must(reader.next());
        ASSERT_TRUE(record);
        EXPECT_EQ(record->lsn, lsn);
        EXPECT_TRUE(copy_of(record->payload) == pattern(i, 100));
        EXPECT_FALSE(must(reader.next()));
        EXPECT_EQ(reader.position(), stream.durable());
    }
}

TEST_P(ReaderTest, DurableStopsWherePublishedGoesOn) {
    create();
    Log log = open();
    for (const char* name : {"one", "many"}) {
        Stream stream = must(log.add_stream(name, *name == 'o' ? Writers::one : Writers::many));
        must(stream.append(pattern(0, 50)));
        Reader durable = must(stream.read());
        Reader published = must(stream.read({}, Frontier::published));
        ASSERT_TRUE(must(durable.next()));
        ASSERT_TRUE(must(published.next()));
        const Lsn lazily = must(stream.append(pattern(1, 50), lazy()));
        EXPECT_FALSE(must(durable.next()));
        const auto seen = must(published.next());
        ASSERT_TRUE(seen);
        EXPECT_EQ(seen->lsn, lazily);
        EXPECT_FALSE(must(published.next()));
        EXPECT_EQ(code_of(stream.read(stream.published())), Errc::never_appended);
        EXPECT_EQ(code_of(stream.read(stream.published(), Frontier::published)), Errc{});
        must(stream.force(lazily));
        EXPECT_EQ(must(durable.next())->lsn, lazily);
    }
}

TEST_P(ReaderTest, MovesWithItsPlace) {
    create();
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    for (uint64_t i = 0; i < 3; ++i) must(stream.append(pattern(i, 50)));
    Reader first = must(stream.read());
    ASSERT_TRUE(must(first.next()));
    Reader second = std::move(first);
    EXPECT_TRUE(copy_of(must(second.next())->payload) == pattern(1, 50));
    Reader third = must(stream.read());
    third = std::move(second);
    EXPECT_TRUE(copy_of(must(third.next())->payload) == pattern(2, 50));
}

TEST_P(ReaderTest, StartsAtTheLowWaterMark) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    const ServiceId service = must(log.add_service("s", "service"));
    std::vector<Lsn> lsns;
    for (uint64_t i = 0; i < 100; ++i) lsns.push_back(must(stream.append(pattern(i, 100))));
    for (const size_t mark : {size_t{1}, size_t{30}, size_t{50}, size_t{99}}) {
        must(log.release(service, lsns[mark]));
        EXPECT_EQ(stream.low_water(), lsns[mark]);
        EXPECT_EQ(code_of(stream.read(lsns[mark - 1])), Errc::below_low_water);
        EXPECT_EQ(code_of(stream.read(Lsn{0})), Errc::below_low_water);
        EXPECT_EQ(code_of(stream.read(Lsn{lsns[mark].value + 1})), Errc::invalid_argument);
        EXPECT_EQ(read_all(stream, lsns[mark]).size(), 100 - mark);
        const auto all = read_all(stream);
        ASSERT_EQ(all.size(), 100 - mark);
        EXPECT_EQ(all[0].lsn, lsns[mark]);
    }
    must(log.release(service, stream.durable()));
    EXPECT_TRUE(read_all(stream).empty());
}

TEST_P(ReaderTest, OvertakenByAReleaseIsToldSo) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    const ServiceId service = must(log.add_service("s", "service"));
    Reader before_anything = must(stream.read());
    for (uint64_t i = 0; i < 100; ++i) must(stream.append(pattern(i, 100)));
    must(log.release(service, stream.durable()));
    EXPECT_EQ(code_of(before_anything.next()), Errc::below_low_water);
    EXPECT_EQ(code_of(before_anything.next()), Errc::below_low_water);
}

// A reader that stands on a released segment keeps its bytes, holds back nothing else for ever,
// and lets writers go on until there is no other segment.
TEST_P(ReaderTest, KeepsItsSegmentUntilItMovesOn) {
    create(1 << 20, uint64_t{16} << 20);
    OpenOptions with = options();
    with.spare_segments = 0;
    Log log = open(with);
    Stream stream = must(log.add_stream("s", Writers::one));
    const ServiceId service = must(log.add_service("s", "service"));
    const uint64_t size = 200'000;
    const Lsn first = must(stream.append(pattern(0, size)));
    uint64_t count = 1;
    const auto append_segments = [&](uint32_t segments) {
        const uint64_t until = stream.appended().value + segments * uint64_t{1 << 20};
        while (stream.appended().value < until) {
            const auto done = stream.append(pattern(count, size));
            if (!done) return done.error().code;
            ++count;
            must(log.release(service, *done));
        }
        return Errc{};
    };
    auto reader = std::make_unique<Reader>(must(stream.read(first)));
    const Record held = *must(reader->next());
    EXPECT_EQ(append_segments(2), Errc{});
    EXPECT_EQ(stream.low_water().value > (1 << 20), true);
    EXPECT_TRUE(copy_of(held.payload) == pattern(0, size));
    // Whoever stands on the oldest keeps all behind it; the pool fills, and the writer is told.
    EXPECT_EQ(append_segments(3 * log.segments_total()), Errc::full);
    EXPECT_TRUE(copy_of(held.payload) == pattern(0, size));
    EXPECT_EQ(log.segments_free(), 0u);
    reader.reset();
    EXPECT_GT(log.segments_free(), log.segments_total() - 4);
    EXPECT_EQ(append_segments(3 * log.segments_total()), Errc{});
}

TEST_P(ReaderTest, WalkingOnFreesTheSegmentBehind) {
    create(2048);
    OpenOptions with = options();
    with.spare_segments = 0;
    Log log = open(with);
    Stream stream = must(log.add_stream("s", Writers::one));
    const ServiceId service = must(log.add_service("s", "service"));
    for (uint64_t i = 0; i < 60; ++i) must(stream.append(pattern(i, 300)));
    Reader reader = must(stream.read());
    ASSERT_TRUE(must(reader.next()));
    const uint32_t before = log.segments_free();
    must(log.release(service, Lsn{1536}));  // exactly the first segment
    EXPECT_EQ(log.segments_free(), before);
    while (must(reader.next())->lsn.value < 1536) {
    }
    EXPECT_EQ(log.segments_free(), before + 1);
}

TEST_P(ReaderTest, ReadsWhileAWriterWritesAndReleases) {
    create(4096);
    Log log = open();
    for (const char* name : {"one", "many"}) {
        Stream stream = must(log.add_stream(name, *name == 'o' ? Writers::one : Writers::many));
        const ServiceId service = must(log.add_service(name, std::string("service of ") + name));
        const uint64_t records = GetParam().emulate == Emulate::no ? 2000 : 20000;
        std::atomic<uint64_t> read_so_far{0};
        std::thread reading([&] {
            Reader reader = must(stream.read());
            uint64_t expected = 0;
            while (expected < records) {
                const auto record = must(reader.next());
                if (!record) {
                    std::this_thread::yield();
                    continue;
                }
                uint64_t number = 0;
                std::memcpy(&number, record->payload.data(), sizeof number);
                ASSERT_EQ(number, expected);
                ASSERT_TRUE(copy_of(record->payload) == pattern(number, 8 + number % 200));
                read_so_far = record->lsn.value;
                ++expected;
            }
        });
        for (uint64_t i = 0; i < records; ++i) {
            while (true) {
                const auto done =
                    stream.append(pattern(i, 8 + i % 200), i % 10 == 0 ? AppendOptions{} : lazy());
                if (done) break;
                ASSERT_EQ(done.error().code, Errc::full);
                // A reader that got no processor for long has let the log fill up.
                must(log.release(service, Lsn{read_so_far.load()}));
                std::this_thread::yield();
                must(log.release(service,
                                 Lsn{read_so_far.load()}));  // the reader may lag far behind
            }
            if (i % 100 == 0) must(log.release(service, Lsn{read_so_far.load()}));
        }
        must(stream.append(pattern(0, 8)));
        reading.join();
    }
}

}  // namespace
}  // namespace cinnabar::log_test
