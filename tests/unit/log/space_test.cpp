// Log space: the full log, who holds it, and how it comes back.
#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

constexpr uint64_t kMegabyte = 1 << 20;

// Few large segments, so that a pool is full soon.
class Space : public LogTest {
  protected:
    Log open_small(uint32_t spares = 0) {
        if (!std::filesystem::exists(path_)) create(kMegabyte, 12 * kMegabyte);
        OpenOptions with = options();
        with.spare_segments = spares;
        return open(with);
    }
    // Appends until the log is full, and returns the error.
    Error fill(Stream& stream, size_t size = 250'000) {
        for (uint64_t i = 0; i < 1000; ++i) {
            const auto done = stream.append(pattern(i, size), lazy());
            if (!done) return done.error();
            ++appended_;
        }
        ADD_FAILURE() << "never full";
        return {};
    }
    uint64_t appended_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Log, Space, kBoth, medium_name);

TEST_P(Space, FullNamesTheHolderAndTakesNothing) {
    Log log = open_small();
    Stream stream = must(log.add_stream("s", Writers::many));
    const ServiceId eager = must(log.add_service("s", "eager"));
    must(log.add_service("s", "laggard"));
    const Lsn first = must(stream.append(pattern(0, 100)));
    must(log.release(eager, first));
    const Error full = fill(stream);
    EXPECT_EQ(full.code, Errc::full);
    EXPECT_TRUE(contains(full.message, "laggard")) << full.message;
    EXPECT_FALSE(contains(full.message, "eager")) << full.message;
    EXPECT_EQ(log.segments_free(), 0u);
    const Lsn end = stream.appended();
    const Counters before = stream.counters();
    for (int i = 0; i < 10; ++i) EXPECT_EQ(fill(stream).code, Errc::full);
    EXPECT_EQ(stream.appended(), end);
    EXPECT_EQ(stream.published(), end);
    EXPECT_EQ(stream.counters().bytes, before.bytes);
    // What fits into the rest of the segment is still taken.
    must(stream.append(pattern(1, 100)));
    EXPECT_EQ(must(log.check()).size(), 0u);
}

TEST_P(Space, FullWithoutAServiceSaysSo) {
    Log log = open_small();
    Stream stream = must(log.add_stream("s", Writers::one));
    const Error full = fill(stream);
    EXPECT_EQ(full.code, Errc::full);
    EXPECT_TRUE(contains(full.message, "no service")) << full.message;
}

TEST_P(Space, UsableAsSoonAsReleased) {
    Log log = open_small();
    Stream stream = must(log.add_stream("s", Writers::one));
    const ServiceId service = must(log.add_service("s", "service"));
    for (int round = 0; round < 5; ++round) {
        appended_ = 0;
        EXPECT_EQ(fill(stream).code, Errc::full);
        EXPECT_GE(appended_, 4 * (log.segments_total() - 2)) << round;
        const Lsn last = must(stream.append(pattern(7, 8)));
        must(log.release(service, last));
        EXPECT_EQ(log.segments_free(), log.segments_total() - 1);
    }
    const auto left = read_all(stream);
    ASSERT_EQ(left.size(), 1u);
    EXPECT_TRUE(left[0].payload == pattern(7, 8));
}

TEST_P(Space, FullIsFullAfterReopenAndUsableAfterRelease) {
    Lsn last;
    uint32_t total = 0;
    {
        Log log = open_small();
        total = log.segments_total();
        Stream stream = must(log.add_stream("s", Writers::one));
        must(log.add_service("s", "service"));
        EXPECT_EQ(fill(stream).code, Errc::full);
        last = must(stream.append(pattern(7, 8)));
    }
    Log log = open_small(4);
    EXPECT_EQ(log.segments_total(), total);
    EXPECT_EQ(log.segments_free(), 0u);
    Stream stream = must(log.stream("s"));
    EXPECT_EQ(read_all(stream).size(), appended_ + 1);
    EXPECT_EQ(fill(stream).code, Errc::full);
    must(log.release(log.services().at(0).service, last));
    EXPECT_EQ(log.segments_free(), total - 1);
    must(stream.append(pattern(1, 250'000)));
}

TEST_P(Space, WhatOneStreamReleasesAnotherMayUse) {
    Log log = open_small();
    Stream a = must(log.add_stream("a", Writers::one));
    Stream b = must(log.add_stream("b", Writers::many));
    const ServiceId service = must(log.add_service("a", "service of a"));
    EXPECT_EQ(fill(a).code, Errc::full);
    const Error full = fill(b);
    EXPECT_EQ(full.code, Errc::full);
    EXPECT_EQ(appended_ > 0 && read_all(b, {}, Frontier::published).empty(), true);
    must(a.force(Lsn{a.appended().value - 1}));
    must(log.release(service, a.durable()));
    EXPECT_EQ(code_of(b.append(pattern(1, 1000))), Errc{});
    EXPECT_EQ(read_all(b).size(), 1u);
}

// The last segment is filled to its end, released, and left behind: nobody needs it then.
TEST_P(Space, ASegmentReleasedWhileItHeldTheTailIsFreeOnceTheTailMovesOn) {
    create(2048);
    OpenOptions with = options();
    with.spare_segments = 0;
    Log log = open(with);
    Stream stream = must(log.add_stream("s", Writers::one));
    const ServiceId service = must(log.add_service("s", "service"));
    while (stream.appended().value < 1536) must(stream.append(pattern(1, 32)));
    ASSERT_EQ(stream.appended().value, 1536u);
    must(log.release(service, stream.durable()));
    must(stream.append(pattern(2, 32)));
    EXPECT_EQ(log.segments_free(), log.segments_total() - 1);
}

TEST_P(Space, WarnsBeforeItIsFull) {
    create(kMegabyte, 24 * kMegabyte);
    OpenOptions with = options();
    with.low_space_segments = 3;
    std::vector<LowSpace> warnings;
    Log* open_log = nullptr;
    Stream* open_stream = nullptr;
    with.on_low_space = [&](const LowSpace& low) {
        warnings.push_back(low);
        if (warnings.size() == 3)  // from inside the callback, as is promised
            must(open_log->release(open_log->services().at(0).service, open_stream->durable()));
    };
    Log log = open(with);
    Stream stream = must(log.add_stream("s", Writers::many));
    must(log.add_service("s", "holder"));
    open_log = &log;
    open_stream = &stream;
    const uint32_t total = log.segments_total();
    for (uint64_t i = 0; i < 4 * (total + 1); ++i) {
        const auto done = stream.append(pattern(i, 250'000));
        ASSERT_TRUE(done) << done.error().message;
        ASSERT_TRUE(log.segments_free() < 3 || warnings.empty() || warnings.size() == 3);
    }
    ASSERT_EQ(warnings.size(), 3u);
    for (uint32_t i = 0; i < 3; ++i) {
        EXPECT_EQ(warnings[i].stream, "s");
        EXPECT_EQ(warnings[i].segments_free, 2 - i);
        EXPECT_TRUE(contains(warnings[i].holder, "holder")) << warnings[i].holder;
    }
}

TEST_P(Space, ReleaseRefusesWhatItMust) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    const ServiceId service = must(log.add_service("s", "service"));
    EXPECT_EQ(code_of(log.release(ServiceId{0}, Lsn{0})), Errc::not_found);
    EXPECT_EQ(code_of(log.release(ServiceId{50}, Lsn{0})), Errc::not_found);
    EXPECT_EQ(code_of(log.release(ServiceId{65535}, Lsn{0})), Errc::not_found);
    const Lsn first = must(stream.append(pattern(1, 100)));
    const Lsn second = must(stream.append(pattern(2, 100)));
    const Lsn unforced = must(stream.append(pattern(3, 100), lazy()));
    must(stream.append(pattern(4, 100), lazy()));
    must(log.release(service, second));
    must(log.release(service, second));  // raising to where it stands
    EXPECT_EQ(code_of(log.release(service, first)), Errc::invalid_argument);
    EXPECT_EQ(code_of(log.release(service, Lsn{unforced.value + 128})), Errc::invalid_argument);
    EXPECT_EQ(code_of(log.release(service, Lsn{UINT64_MAX})), Errc::invalid_argument);
    EXPECT_EQ(stream.low_water(), second);
    EXPECT_EQ(log.services().at(0).low_water, second);
    must(log.release(service, unforced));  // the durable frontier itself
    EXPECT_EQ(stream.low_water(), unforced);
}

TEST_P(Space, TheLowestServiceHolds) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    const ServiceId a = must(log.add_service("s", "a"));
    const ServiceId b = must(log.add_service("s", "b"));
    std::vector<Lsn> lsns;
    for (uint64_t i = 0; i < 50; ++i) lsns.push_back(must(stream.append(pattern(i, 100))));
    must(log.release(a, lsns[20]));
    EXPECT_EQ(stream.low_water(), Lsn{0});
    must(log.release(b, lsns[10]));
    EXPECT_EQ(stream.low_water(), lsns[10]);
    const ServiceId c = must(log.add_service("s", "c"));  // starts at the stream's mark
    EXPECT_EQ(log.services().at(2).low_water, lsns[10]);
    must(log.release(b, lsns[40]));
    EXPECT_EQ(stream.low_water(), lsns[10]);
    const uint32_t before = log.segments_free();
    must(log.remove_service(c));  // what it alone held
    EXPECT_EQ(stream.low_water(), lsns[20]);
    EXPECT_GT(log.segments_free(), before);
    EXPECT_EQ(read_all(stream).size(), 30u);
    EXPECT_EQ(code_of(log.release(c, lsns[45])), Errc::not_found);
}

TEST_P(Space, MarksStandAfterReopenAndAfterAKill) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    const ServiceId a = must(log.add_service("s", "a"));
    const ServiceId b = must(log.add_service("s", "b"));
    std::vector<Lsn> lsns;
    for (uint64_t i = 0; i < 50; ++i) lsns.push_back(must(stream.append(pattern(i, 100))));
    must(log.release(a, lsns[20]));
    must(log.release(b, lsns[30]));
    const auto killed = as_killed();
    must(log.close());
    for (const auto& path : {killed, path_}) {
        Log again = open_at(path);
        const auto services = again.services();
        ASSERT_EQ(services.size(), 2u);
        EXPECT_EQ(services[0].service, a);
        EXPECT_EQ(services[0].name, "a");
        EXPECT_EQ(services[0].stream, "s");
        EXPECT_EQ(services[0].low_water, lsns[20]);
        EXPECT_EQ(services[1].low_water, lsns[30]);
        EXPECT_EQ(must(again.stream("s")).low_water(), lsns[20]);
        EXPECT_EQ(again.report().streams.at(0).low_water, lsns[20]);
        EXPECT_EQ(read_all(must(again.stream("s"))).size(), 30u);
    }
}

// What a removed last service released stays released: the stream works on, over every reopen.
TEST_P(Space, AStreamThatLostItsLastServiceGoesOn) {
    create(2048);
    Lsn mark;
    {
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::one));
        const ServiceId service = must(log.add_service("s", "service"));
        for (uint64_t i = 0; i < 50; ++i) mark = must(stream.append(pattern(i, 100)));
        must(log.release(service, mark));
        must(log.remove_service(service));
        EXPECT_EQ(stream.low_water(), mark);
        for (uint64_t i = 50; i < 80; ++i) must(stream.append(pattern(i, 100)));
        const auto killed = as_killed(log);
        Log again = open_at(killed);
        EXPECT_EQ(read_all(must(again.stream("s"))).size(), 31u);
    }
    for (int life = 0; life < 2; ++life) {
        Log log = open();
        Stream stream = must(log.stream("s"));
        EXPECT_EQ(stream.low_water(), mark);
        const auto records = read_all(stream);
        ASSERT_EQ(records.size(), 31u + static_cast<size_t>(life));
        EXPECT_EQ(records[0].lsn, mark);
        must(stream.append(pattern(80, 100)));
    }
    Log log = open();
    must(log.add_service("s", "next"));
    EXPECT_EQ(log.services().at(0).low_water, mark);
    EXPECT_TRUE(must(log.check()).empty());
}

TEST_P(Space, ARemovedStreamGivesEverythingBack) {
    Log log = open_small();
    uint32_t free = log.segments_free();
    EXPECT_EQ(free, log.segments_total());
    for (int round = 0; round < 3; ++round) {
        {
            Stream stream = must(log.add_stream("s", Writers::many));
            EXPECT_EQ(fill(stream).code, Errc::full);
        }
        must(log.remove_stream("s"));
        EXPECT_EQ(log.segments_free(), free);
    }
    must(log.close());
    Log again = open_small();
    EXPECT_EQ(again.segments_free(), free);
    EXPECT_TRUE(again.streams().empty());
}

TEST_P(Space, SparesCountAsFreeAndAreCapped) {
    for (const uint32_t spares : {0u, 1u, 4u, 1000u}) {
        Log log = open_small(spares);
        EXPECT_EQ(log.segments_free(), log.segments_total()) << spares;
        EXPECT_EQ(log.segments_total() >= 4, true);
    }
}

}  // namespace
}  // namespace cinnabar::log_test
