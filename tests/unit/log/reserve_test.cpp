// The restart reserve: what can still be written when the log is full, and what cannot.
#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

constexpr uint64_t kMegabyte = 1 << 20;
constexpr size_t kLarge = 250'000;  // four to a segment

class ReserveTest : public LogTest {
  protected:
    void SetUp() override {
        LogTest::SetUp();
        create(kMegabyte, 16 * kMegabyte);
        log_ = open_it();
        stream_ = must(log_->add_stream("s", Writers::one, Reserve::yes));
        service_ = must(log_->add_service("s", "service"));
    }

    Log open_it() {
        OpenOptions with = options();
        with.spare_segments = 0;
        return open(with);
    }
    // kill -9 and a restart.
    void restart() {
        stream_.reset();
        path_ = as_killed(*log_);
        log_ = open_it();
        stream_ = must(log_->stream("s"));
    }

    Error fill(const AppendOptions& with = lazy()) {
        for (uint64_t i = 0; i < 1000; ++i) {
            const auto done = stream_->append(pattern(i, kLarge), with);
            if (!done) return done.error();
        }
        ADD_FAILURE() << "never full";
        return {};
    }
    AppendOptions drawing_on(Reservation& reservation) { return {.reservation = &reservation}; }

    std::optional<Log> log_;
    std::optional<Stream> stream_;
    ServiceId service_;
};
INSTANTIATE_TEST_SUITE_P(Log, ReserveTest, kBoth, medium_name);

TEST_P(ReserveTest, AFullLogTakesWhatWasReservedAndNothingElse) {
    Reservation outcome = must(stream_->reserve(1000, 2));
    EXPECT_EQ(outcome.bytes_left(), 2 * 1088u);
    const Error full = fill();
    EXPECT_EQ(full.code, Errc::full);
    EXPECT_TRUE(contains(full.message, "kept back")) << full.message;
    EXPECT_TRUE(contains(full.message, "service 'service'")) << full.message;
    while (stream_->append(pattern(1, 100), lazy())) {
    }
    EXPECT_EQ(log_->segments_free(), 4u) << "one for the stream, two to carry into, one promised";
    EXPECT_EQ(log_->segments_kept_back(), 4u);
    must(stream_->append(pattern(2, 1000), drawing_on(outcome)));
    EXPECT_EQ(outcome.bytes_left(), 1088u);
    EXPECT_EQ(code_of(stream_->append(pattern(3, 100))), Errc::full);
    const Lsn last = must(stream_->append(pattern(4, 900), drawing_on(outcome)));
    const auto more = stream_->append(pattern(5, 1000), drawing_on(outcome));
    EXPECT_EQ(code_of(more), Errc::invalid_argument) << "128 bytes are left of it";
    EXPECT_EQ(read_all(*stream_).back().lsn, last);
    // Released, the log takes ordinary records again, in the same segment.
    must(log_->release(service_, last));
    must(stream_->append(pattern(6, 100)));
    EXPECT_EQ(fill().code, Errc::full);
    EXPECT_EQ(must(log_->check()).size(), 0u);
}

TEST_P(ReserveTest, OneCheckpointOfEachServiceUntilASegmentIsReleased) {
    const ServiceId other = must(log_->add_service("s", "other"));
    const AppendOptions checkpoint{.service = service_, .checkpoint = true};
    fill();
    const Lsn first = must(stream_->append(pattern(1, kLarge), checkpoint));
    EXPECT_EQ(code_of(stream_->append(pattern(2, kLarge), checkpoint)), Errc::full);
    must(stream_->append(pattern(3, kLarge), {.service = other, .checkpoint = true}));
    must(log_->release(service_, first));  // the other one still holds everything
    EXPECT_EQ(code_of(stream_->append(pattern(4, kLarge), checkpoint)), Errc::full);
    // A reservation is no checkpoint: it costs none, and is not refused for one that was written.
    Reservation promised = must(stream_->reserve_again(100, 2));
    for (int i = 0; i < 2; ++i)
        must(stream_->append(pattern(5, 100),
                             {.service = service_, .reservation = &promised, .checkpoint = true}));
    // A service that comes in the place of one that is gone has its own.
    must(log_->remove_service(other));
    EXPECT_EQ(must(log_->add_service("s", "another")), other);
    must(stream_->append(pattern(6, 100), {.service = other, .checkpoint = true}));
    // With it went what held the oldest segments: now the first one has one again.
    fill();
    must(stream_->append(pattern(7, kLarge), checkpoint));
    EXPECT_EQ(code_of(stream_->append(pattern(8, kLarge), checkpoint)), Errc::full);
}

TEST_P(ReserveTest, ACheckpointIsOfAServiceOfTheStream) {
    must(log_->add_stream("t", Writers::one));
    const ServiceId of_t = must(log_->add_service("t", "other"));
    for (const ServiceId wrong : {ServiceId{0}, ServiceId{50}, ServiceId{500}, of_t})
        EXPECT_EQ(code_of(stream_->append(pattern(1, 10), {.service = wrong, .checkpoint = true})),
                  Errc::invalid_argument)
            << wrong.value;
    must(stream_->append(pattern(1, 10), {.service = service_, .checkpoint = true}));
}

// What was drawn is promised no more, wherever it went.
TEST_P(ReserveTest, DrawingLowersThePromise) {
    const uint32_t before = log_->segments_kept_back();
    Reservation some = must(stream_->reserve(kLarge, 4));
    EXPECT_GT(log_->segments_kept_back(), before);
    for (uint64_t i = 0; i < 4; ++i) must(stream_->append(pattern(i, kLarge), drawing_on(some)));
    EXPECT_EQ(some.bytes_left(), 0u);
    EXPECT_EQ(log_->segments_kept_back(), before);
}

TEST_P(ReserveTest, TheOldestSegmentCanBeCarriedOutOfAFullLog) {
    const Lsn needed = must(stream_->append(pattern(77, kLarge)));
    fill();
    for (int round = 0; round < 30; ++round) {
        const Lsn at = must(stream_->locate(needed));
        must(stream_->carry_forward({&at, 1}));
        must(log_->release(service_, stream_->oldest_end()));
        if (round % 3 == 0) fill();
        if (round % 7 == 0) restart();
    }
    const auto records = read_all(*stream_, must(stream_->locate(needed)));
    EXPECT_TRUE(records.at(0).payload == pattern(77, kLarge));
}

TEST_P(ReserveTest, ARestartReservesAgainWhatWasPromised) {
    // So much that an ordinary record finds no segment beside them.
    Reservation many = must(stream_->reserve(kLarge, 14));
    EXPECT_EQ(code_of(stream_->reserve(kLarge, 14)), Errc::full);
    fill();
    for (int i = 0; i < 3; ++i) must(stream_->append(pattern(9, kLarge), drawing_on(many)));
    {
        Reservation moved = std::move(many);
        stream_.reset();
        path_ = as_killed(*log_);
    }
    log_ = open_it();
    stream_ = must(log_->stream("s"));
    Reservation again = must(stream_->reserve_again(kLarge, 11));
    fill();
    for (int i = 0; i < 11; ++i) must(stream_->append(pattern(11, kLarge), drawing_on(again)));
    EXPECT_EQ(again.bytes_left(), 0u);
}

// The rest of a segment that was taken from those kept back belongs to who may use it, and a frame
// that does not fit wastes what is left: that much is not promised.
TEST_P(ReserveTest, WhatCouldBeWastedIsNotPromised) {
    fill();
    const AppendOptions checkpoint{.service = service_, .checkpoint = true};
    const Lsn oldest{kLine};
    while (log_->segments_free() > 0)
        if (!stream_->carry_forward({&oldest, 1})) break;
    EXPECT_EQ(log_->segments_free(), 0u);
    while (stream_->carry_forward({&oldest, 1})) {
    }
    // There is room for small frames still, but none that can be relied on.
    EXPECT_EQ(code_of(stream_->reserve_again(10, 1)), Errc::full);
    must(stream_->append(pattern(1, 10), checkpoint));
}

TEST_P(ReserveTest, AReservationEndsWithItsScope) {
    const uint32_t before = log_->segments_kept_back();
    {
        const Reservation one = must(stream_->reserve(kLarge, 8));
        EXPECT_GT(log_->segments_kept_back(), before);
        EXPECT_EQ(code_of(log_->remove_stream("s")), Errc::pinned);
    }
    EXPECT_EQ(log_->segments_kept_back(), before);
    Reservation left = must(stream_->reserve(10));
    must(log_->close());
    EXPECT_EQ(code_of(stream_->append(pattern(1, 10), drawing_on(left))), Errc::failed);
}

TEST_P(ReserveTest, WhatMakesNoSenseIsRefused) {
    Stream plain = must(log_->add_stream("plain", Writers::one));
    EXPECT_EQ(code_of(plain.reserve(10)), Errc::invalid_argument);
    EXPECT_EQ(code_of(stream_->reserve(0)), Errc::invalid_argument);
    EXPECT_EQ(code_of(stream_->reserve(10, 0)), Errc::invalid_argument);
    EXPECT_EQ(code_of(stream_->reserve(stream_->record_bytes_max() + 1)), Errc::record_too_large);
    const auto much = stream_->reserve(kLarge, 1'000'000);
    EXPECT_EQ(code_of(much), Errc::full);
    EXPECT_TRUE(contains(much.error().message, "reservation")) << much.error().message;
    Reservation of_s = must(stream_->reserve(10));
    EXPECT_EQ(code_of(plain.append(pattern(1, 10), drawing_on(of_s))), Errc::invalid_argument);
    EXPECT_EQ(code_of(stream_->append(pattern(1, 100), drawing_on(of_s))), Errc::invalid_argument);
    const Reservation moved = std::move(of_s);
    EXPECT_EQ(code_of(stream_->append(pattern(1, 10), drawing_on(of_s))), Errc::invalid_argument);
    EXPECT_EQ(stream_->appended(), Lsn{0});
    const auto streams = log_->streams();
    EXPECT_EQ(streams.at(0).reserve, Reserve::yes);
    EXPECT_EQ(streams.at(1).reserve, Reserve::no);
}

TEST_P(ReserveTest, ASmallPoolHasNoRoomForAReserve) {
    const auto small = folder_ / "small";
    must(Log::create(small, {.pool_bytes = 12 * kMegabyte, .segment_bytes = kMegabyte}));
    Log log = open_at(small);
    const uint32_t total = log.segments_total();
    Errc code{};
    uint32_t streams = 0;
    for (; code == Errc{}; ++streams)
        code = code_of(log.add_stream("s" + std::to_string(streams), Writers::one, Reserve::yes));
    EXPECT_EQ(code, Errc::full);
    EXPECT_EQ(streams - 1, total - 4) << "each needs one, and there are two for all and two to use";
    EXPECT_EQ(log.streams().size(), streams - 1);
    EXPECT_EQ(log.segments_kept_back(), streams - 1 + 2);
    for (uint32_t i = 0; i < streams - 1; ++i) must(log.remove_stream("s" + std::to_string(i)));
    EXPECT_EQ(log.segments_kept_back(), 0u);
}

// Streams without a reserve live beside it: what is kept back is kept from them too.
TEST_P(ReserveTest, AnotherStreamLeavesTheReserveAlone) {
    Stream plain = must(log_->add_stream("plain", Writers::many));
    for (uint64_t i = 0;; ++i)
        if (!plain.append(pattern(i, kLarge), lazy())) break;
    EXPECT_EQ(log_->segments_free(), 3u);
    must(stream_->append(pattern(1, kLarge), {.service = service_, .checkpoint = true}));
    EXPECT_EQ(code_of(stream_->append(pattern(1, kLarge))), Errc::full);
}

}  // namespace
}  // namespace cinnabar::log_test
