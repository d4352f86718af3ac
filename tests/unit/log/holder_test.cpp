// A full log says who holds the space, and what makes room.
#include "log/holder.hpp"

#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

constexpr uint64_t kMegabyte = 1 << 20;

TEST(HolderWords, NameTheStreamThatHoldsMost) {
    const log::Holding a{"a", 3, 0, 100, 10, "first"};
    const log::Holding b{"b", 5, 0, 100, 20, "second"};
    const log::Holding c{"c", 5, 0, 100, 30, "third"};
    const auto names = [](const std::vector<log::Holding>& of, const std::string& asking,
                          const std::string& part) {
        return contains(log::holder_words(of, asking, 13), part);
    };
    EXPECT_TRUE(names({a}, "a", "'a' holds 3 of 13 segments: its service 'first' holds"));
    EXPECT_TRUE(names({a, b}, "a", "stream 'b' holds 5 of 13"));
    EXPECT_TRUE(names({b, a}, "a", "from LSN 20 on"));
    EXPECT_TRUE(names({a, b, c}, "b", "service 'second'")) << "the asking one of two equals";
    EXPECT_TRUE(names({a, b, c}, "c", "service 'third'"));
}

TEST(HolderWords, SayWhatMakesRoom) {
    log::Holding held{"s", 2, 0, 100, 99, "service"};
    const auto words = [&] { return log::holder_words({held}, "s", 2); };
    EXPECT_TRUE(contains(words(), "release what it no longer needs"));
    held.service.clear();
    EXPECT_TRUE(contains(words(), "no service"));
    held.mark = 100;  // released, and still there
    EXPECT_TRUE(contains(words(), "a reader stands on the oldest of them, LSN 0 to 100"));
    held.service = "service";
    EXPECT_TRUE(contains(words(), "a reader"));
    held.segments = 1;
    EXPECT_TRUE(contains(words(), "larger one"));
    EXPECT_TRUE(contains(log::holder_words({}, "s", 2), "larger one"));
}

class Holder : public LogTest {
  protected:
    void SetUp() override {
        LogTest::SetUp();
        create(kMegabyte, 16 * kMegabyte);
        log_ = open();
        s_ = must(log_->add_stream("s", Writers::one));
        service_ = must(log_->add_service("s", "service"));
    }
    Error fill(Stream& stream) {
        for (uint64_t i = 0; i < 1000; ++i) {
            const auto done = stream.append(pattern(i, 250'000));
            if (!done) return done.error();
        }
        ADD_FAILURE() << "never full";
        return {};
    }

    std::optional<Log> log_;
    std::optional<Stream> s_;
    ServiceId service_;
};
INSTANTIATE_TEST_SUITE_P(Log, Holder, kBoth, medium_name);

TEST_P(Holder, AReaderThatPins) {
    must(s_->append(pattern(1, 100)));
    std::optional<Reader> reader = must(s_->read());
    must(reader->next());
    fill(*s_);
    must(log_->release(service_, s_->durable()));
    const Error full = fill(*s_);
    EXPECT_EQ(full.code, Errc::full);
    EXPECT_TRUE(contains(full.message, "a reader stands on the oldest")) << full.message;
    reader.reset();
    must(s_->append(pattern(2, 250'000)));
}

TEST_P(Holder, AnotherStream) {
    Stream t = must(log_->add_stream("t", Writers::many));
    must(t.append(pattern(1, 100)));
    EXPECT_TRUE(contains(fill(*s_).message, "its service 'service'"));
    const Error full = fill(t);
    EXPECT_EQ(full.code, Errc::full);
    EXPECT_TRUE(contains(full.message, "stream 's' holds")) << full.message;
    EXPECT_TRUE(contains(full.message, "its service 'service'")) << full.message;
    must(log_->release(service_, s_->durable()));
    must(t.append(pattern(2, 250'000)));
    EXPECT_TRUE(contains(fill(t).message, "it has no service"));
}

TEST_P(Holder, APoolThatIsTooSmallForItsStreams) {
    std::vector<Stream> streams;
    std::optional<Error> full;
    for (int i = 0; i < 32 && !full; ++i) {
        streams.push_back(must(log_->add_stream("t" + std::to_string(i), Writers::one)));
        auto done = streams.back().append(pattern(1, 100));
        if (!done) full = done.error();
    }
    ASSERT_TRUE(full);
    EXPECT_EQ(full->code, Errc::full);
    EXPECT_TRUE(contains(full->message, "copy the pool into a larger one")) << full->message;
}

// The callback that warns may do what makes room, also carry records forward, so many here that
// the copies take a segment themselves.
TEST_P(Holder, TheWarningMayCarryForward) {
    s_.reset();
    must(log_->close());
    OpenOptions with = options();
    with.low_space_segments = 4;
    int carried = 0;
    with.on_low_space = [&](const LowSpace&) {
        Stream stream = must(log_->stream("s"));
        if (carried == 1) return must(log_->release(service_, stream.durable()));
        std::vector<Lsn> oldest;
        Reader reader = must(stream.read());
        while (oldest.size() < 6) oldest.push_back(must(reader.next())->lsn);
        const uint64_t end = stream.appended().value;
        must(stream.carry_forward(oldest));
        EXPECT_NE(stream.appended().value / kMegabyte, end / kMegabyte) << "the copies crossed";
        ++carried;
    };
    log_ = open(with);
    s_ = must(log_->stream("s"));
    ::alarm(60);  // where it waits for a lock that it holds
    for (uint64_t i = 0; i < 100; ++i) must(s_->append(pattern(i, 250'000)));
    ::alarm(0);
    EXPECT_EQ(carried, 1);
}

// A reader that is slower than the release goes on where it is.
TEST_P(Holder, AReaderThatStepsKeepsWhatIsBehindIt) {
    for (uint64_t i = 0; i < 20; ++i) must(s_->append(pattern(i, 250'000)));
    Reader reader = must(s_->read());
    must(reader.next());
    must(log_->release(service_, s_->durable()));
    for (uint64_t i = 1; i < 20; ++i) {
        const auto record = must(reader.next());
        ASSERT_TRUE(record) << i;
        EXPECT_TRUE(copy_of(record->payload) == pattern(i, 250'000));
    }
}

TEST_P(Holder, NothingToCallIsRefused) {
    const Lsn lsn = must(s_->append(pattern(1, 10), lazy()));
    EXPECT_EQ(code_of(s_->on_durable(lsn, nullptr)), Errc::invalid_argument);
}

// Lives that carry, and end before they release, use up what is kept back unless they say how far
// they want to release.
TEST_P(Holder, LivesThatCarryAndEndDoNotFillTheLog) {
    Stream r = must(log_->add_stream("r", Writers::one, Reserve::yes));
    const ServiceId service = must(log_->add_service("r", "carrier"));
    std::vector<Lsn> needed;
    for (uint64_t i = 0; i < 3; ++i) needed.push_back(must(r.append(pattern(i, 250'000))));
    fill(r);
    const auto carry = [&](std::optional<Lsn> aim) { return r.carry_forward(needed, aim); };
    for (int life = 0; life < 12; ++life) {
        const auto places = carry(r.oldest_end());
        ASSERT_TRUE(places) << "life " << life << ": " << places.error().message;
        r = Stream(must(log_->stream("s")));
        s_.reset();
        path_ = as_killed(*log_);
        log_ = open();
        s_ = must(log_->stream("s"));
        r = must(log_->stream("r"));
    }
    const auto places = must(carry(r.oldest_end()));
    must(log_->release(service, r.oldest_end()));
    EXPECT_EQ(must(r.locate(needed[2])), places[2]);
    // Without it each time costs a copy.
    needed = places;
    int times = 0;
    while (times < 12 && carry({})) ++times;
    EXPECT_LT(times, 12);
}

}  // namespace
}  // namespace cinnabar::log_test
