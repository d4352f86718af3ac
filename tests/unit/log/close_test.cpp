// Closing, and what everything answers afterwards.
#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

class CloseTest : public LogTest {};
INSTANTIATE_TEST_SUITE_P(Log, CloseTest, kBoth, medium_name);

TEST_P(CloseTest, EveryCallFailsAfterwards) {
    create();
    Log log = open();
    for (const char* name : {"one", "many"})
        must(log.add_stream(name, *name == 'o' ? Writers::one : Writers::many));
    const ServiceId service = must(log.add_service("one", "service"));
    Stream one = must(log.stream("one"));
    Stream many = must(log.stream("many"));
    const Lsn lsn = must(one.append(pattern(1, 100)));
    must(many.append(pattern(1, 100)));
    Reader standing = must(one.read());
    ASSERT_TRUE(must(standing.next()));
    Reader waiting = must(many.read());
    must(log.close());
    must(log.close());

    for (Stream* stream : {&one, &many}) {
        EXPECT_EQ(code_of(stream->append(pattern(2, 10))), Errc::failed);
        EXPECT_EQ(code_of(stream->append(pattern(2, 10), lazy())), Errc::failed);
        EXPECT_EQ(code_of(stream->force(lsn)), Errc::failed);
        EXPECT_EQ(code_of(stream->wait_durable(lsn)), Errc::failed);
        EXPECT_EQ(code_of(stream->read()), Errc::failed);
        EXPECT_GE(stream->durable(), lsn);  // still numbers
        EXPECT_EQ(stream->counters().records, 1u);
        EXPECT_GT(stream->record_bytes_max(), 0u);
    }
    EXPECT_EQ(code_of(standing.next()), Errc::failed);
    EXPECT_EQ(code_of(waiting.next()), Errc::failed);
    EXPECT_EQ(code_of(log.add_stream("t", Writers::one)), Errc::failed);
    EXPECT_EQ(code_of(log.remove_stream("one")), Errc::failed);
    EXPECT_EQ(code_of(log.stream("one")), Errc::failed);
    EXPECT_EQ(code_of(log.add_service("one", "t")), Errc::failed);
    EXPECT_EQ(code_of(log.remove_service(service)), Errc::failed);
    EXPECT_EQ(code_of(log.release(service, lsn)), Errc::failed);
    EXPECT_EQ(code_of(log.check()), Errc::failed);
    EXPECT_EQ(log.report().streams.size(), 0u);
    EXPECT_FALSE(log.medium().sentence().empty());
}

// Calls that cannot return an error must not end the process either.
TEST_P(CloseTest, TheListsAreHarmlessAfterwards) {
    create();
    expect_ends_well([this] {
        Log log = open();
        must(log.add_stream("s", Writers::one));
        must(log.add_service("s", "service"));
        must(log.close());
        (void)log.segments_free();
        (void)log.segments_total();
        (void)log.segment_bytes();
        (void)log.streams();
        (void)log.services();
    });
}

TEST_P(CloseTest, StreamsAndReadersOutliveTheLog) {
    create();
    auto log = std::make_unique<Log>(open());
    auto stream = std::make_unique<Stream>(must(log->add_stream("s", Writers::many)));
    must(stream->append(pattern(1, 100)));
    auto reader = std::make_unique<Reader>(must(stream->read()));
    ASSERT_TRUE(must(reader->next()));
    log.reset();
    EXPECT_EQ(code_of(stream->append(pattern(2, 10))), Errc::failed);
    EXPECT_EQ(code_of(reader->next()), Errc::failed);
    Log again = open();  // the pool is free for others
    stream.reset();
    EXPECT_EQ(code_of(reader->next()), Errc::failed);
    reader.reset();
    EXPECT_EQ(read_all(must(again.stream("s"))).size(), 1u);
}

TEST_P(CloseTest, MovingALogClosesWhatItReplaces) {
    create();
    must(Log::create(folder_ / "other", {.pool_bytes = 2 * kPoolBytes}));
    Log log = open();
    Log other = open_at(folder_ / "other");
    Stream stream = must(log.add_stream("s", Writers::one));
    log = std::move(other);
    EXPECT_EQ(code_of(stream.append(pattern(1, 10))), Errc::failed);
    must(log.add_stream("t", Writers::one));
    Log again = open();  // no longer held
    EXPECT_EQ(again.streams().size(), 1u);
    Log moved = std::move(again);
    EXPECT_EQ(moved.streams().size(), 1u);
}

TEST_P(CloseTest, MakesLazyRecordsDurable) {
    create();
    {
        Log log = open();
        for (const char* name : {"one", "many"}) {
            Stream stream = must(log.add_stream(name, *name == 'o' ? Writers::one : Writers::many));
            for (uint64_t i = 0; i < 10; ++i) must(stream.append(pattern(i, 100), lazy()));
        }
    }
    Log log = must(Log::open(path_, read_only()));
    for (const char* name : {"one", "many"}) {
        Reader reader = must(must(log.stream(name)).read());
        for (uint64_t i = 0; i < 10; ++i) EXPECT_TRUE(must(reader.next())->known_durable) << i;
    }
    for (const StreamReport& report : log.report().streams)
        EXPECT_GE(report.testified.value, 64 + 10 * 192u);
}

TEST_P(CloseTest, OfALifeThatAppendedNothingWritesNothing) {
    create();
    {
        Log log = open();
        must(must(log.add_stream("s", Writers::one)).append(pattern(1, 100)));
    }
    Lsn end;
    for (int life = 0; life < 5; ++life) {
        Log log = open();
        const Lsn now = must(log.stream("s")).appended();
        EXPECT_TRUE(life == 0 || now == end) << life;
        end = now;
    }
}

// The testifying frame is no record.
TEST_P(CloseTest, ItsFrameIsNotDelivered) {
    create(2048);
    size_t records = 0;
    for (int life = 0; life < 30; ++life) {
        Log log = open();
        Stream stream = life == 0 ? must(log.add_stream("s", Writers::one)) : must(log.stream("s"));
        EXPECT_EQ(read_all(stream).size(), records);
        for (int i = 0; i <= life % 4; ++i, ++records) must(stream.append(pattern(1, 30 + i)));
    }
}

// The segment is full to its last line: closing has no room for its frame, and does not mind.
TEST_P(CloseTest, OfAFullTailIsClean) {
    create(2048);
    {
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::one));
        while (stream.appended().value < 1536) must(stream.append(pattern(1, 32)));
        must(log.close());
    }
    Log log = open();
    Stream stream = must(log.stream("s"));
    EXPECT_EQ(log.report().streams.at(0).end_verdict, "end of segment");
    EXPECT_EQ(stream.appended().value, 1536u);
    EXPECT_EQ(read_all(stream).size(), 23u);
    must(stream.append(pattern(2, 32)));
    EXPECT_EQ(read_all(stream).size(), 24u);
}

}  // namespace
}  // namespace cinnabar::log_test
