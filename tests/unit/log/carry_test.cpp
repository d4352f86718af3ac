// Carrying forward: copies, what a reader makes of them, and where a record is found.
#include <atomic>
#include <thread>

#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

class CarryTest : public LogTest {
  protected:
    void SetUp() override {
        LogTest::SetUp();
        create(4096);
        log_ = open();
        stream_ = must(log_->add_stream("s", Writers::one));
        service_ = must(log_->add_service("s", "service"));
        for (uint64_t i = 0; i < 100; ++i)
            lsns_.push_back(must(stream_->append(
                pattern(i, 30 + i),
                {.durability = i % 2 == 0 ? Durability::forced : Durability::lazy,
                 .service = service_,
                 .kind = static_cast<uint16_t>(i),
                 .previous = i == 0 ? std::nullopt : std::optional<Lsn>(lsns_.back())})));
        must(stream_->force(lsns_.back()));
    }

    std::vector<Lsn> carry(const std::vector<Lsn>& records) {
        return must(stream_->carry_forward(records));
    }
    Record record_at(Lsn lsn) {
        Reader reader = must(stream_->read(lsn));
        auto record = must(reader.next());
        if (!record) throw std::runtime_error("no record");
        bytes_ = copy_of(record->payload);  // the reader goes
        record->payload = bytes_;
        return *record;
    }

    std::optional<Log> log_;
    std::optional<Stream> stream_;
    ServiceId service_;
    std::vector<Lsn> lsns_;
    std::vector<std::byte> bytes_;
};
INSTANTIATE_TEST_SUITE_P(Log, CarryTest, kBoth, medium_name);

TEST_P(CarryTest, ACopyIsTheRecordAtAnotherPlace) {
    const auto copies = carry({lsns_[3], lsns_[4]});
    ASSERT_EQ(copies.size(), 2u);
    EXPECT_GT(copies[0], lsns_.back());
    EXPECT_GT(stream_->durable(), copies[1]) << "durable at return";
    for (const size_t i : {3, 4}) {
        const Record copy = record_at(copies[i - 3]);
        EXPECT_EQ(copy.lsn, copies[i - 3]);
        EXPECT_EQ(copy.origin, lsns_[i]);
        EXPECT_EQ(copy.service, service_);
        EXPECT_EQ(copy.kind, i);
        EXPECT_EQ(copy.durability, i == 4 ? Durability::forced : Durability::lazy);
        EXPECT_EQ(copy.previous, lsns_[i - 1]);
        EXPECT_TRUE(copy_of(copy.payload) == pattern(i, 30 + i));
    }
    // A copy of a copy keeps all of it.
    const auto again = carry({copies[0]});
    const Record copy = record_at(again[0]);
    EXPECT_EQ(copy.origin, lsns_[3]);
    EXPECT_EQ(copy.previous, lsns_[2]);
    EXPECT_TRUE(copy_of(copy.payload) == pattern(3, 33));
}

TEST_P(CarryTest, EachRecordIsDeliveredOnceWhereverReadingBegins) {
    const auto first = carry({lsns_[3], lsns_[50]});
    const auto second = carry({first[0]});
    const auto count_from = [&](std::optional<Lsn> from, Lsn origin) {
        int count = 0;
        Reader reader = must(stream_->read(from));
        while (auto record = must(reader.next())) count += record->origin == origin ? 1 : 0;
        return count;
    };
    for (const auto& from :
         {std::optional<Lsn>(), std::optional(lsns_[3]), std::optional(lsns_[4]),
          std::optional(first[0]), std::optional(first[1]), std::optional(second[0])}) {
        EXPECT_EQ(count_from(from, lsns_[3]), 1) << from.value_or(Lsn{}).value;
    }
    EXPECT_EQ(count_from(lsns_[50], lsns_[50]), 1);
    EXPECT_EQ(count_from(lsns_[51], lsns_[50]), 1);
    EXPECT_EQ(count_from(second[0], lsns_[50]), 0);
}

// A crash came between the copies and the release, and the service carries again.
TEST_P(CarryTest, CarriedAgainIsDeliveredOnce) {
    carry({lsns_[3]});
    stream_.reset();
    path_ = as_killed(*log_);
    log_ = open();
    stream_ = must(log_->stream("s"));
    const auto again = carry({lsns_[3]});
    carry({lsns_[3], lsns_[3]});
    must(log_->release(service_, lsns_[60]));
    int met = 0;
    Reader reader = must(stream_->read());
    while (auto record = must(reader.next())) met += record->origin == lsns_[3] ? 1 : 0;
    EXPECT_EQ(met, 1);
    EXPECT_GT(must(stream_->locate(lsns_[3])), again[0]);
}

TEST_P(CarryTest, LocateBesideReleaseFindsWhatWasCarried) {
    Lsn at = lsns_[3];
    std::atomic<bool> over{false};
    std::thread seeker([&] {
        while (!over) {
            const auto found = stream_->locate(lsns_[3]);
            EXPECT_TRUE(found) << found.error().message;
            if (!found) return;
        }
    });
    for (int i = 0; i < 300; ++i) {
        at = carry({at})[0];
        must(log_->release(service_, at));
    }
    over = true;
    seeker.join();
}

// A life that only carried has something to lose as well.
TEST_P(CarryTest, ALifeThatOnlyCarriedTestifiesAtItsClose) {
    stream_.reset();
    must(log_->close());
    log_ = open();
    stream_ = must(log_->stream("s"));
    const auto copies = carry({lsns_[3]});
    const Lsn end = stream_->appended();
    stream_.reset();
    must(log_->close());
    log_ = open();
    EXPECT_GE(log_->report().streams.at(0).testified, end);
    EXPECT_GE(log_->report().streams.at(0).testified, copies[0]);
}

TEST_P(CarryTest, ABackDistanceBelowTheMarkIsAnsweredByTheCopy) {
    EXPECT_EQ(must(stream_->locate(lsns_[3])), lsns_[3]);
    const auto first = carry({lsns_[3], lsns_[4]});
    must(log_->release(service_, lsns_[60]));
    EXPECT_EQ(code_of(stream_->locate(lsns_[5])), Errc::below_low_water);
    // Record 4's copy says that record 3 came before it, and there it is found.
    EXPECT_EQ(must(stream_->locate(*record_at(first[1]).previous)), first[0]);
    const auto second = carry({first[0]});
    EXPECT_EQ(must(stream_->locate(lsns_[3])), second[0]) << "the newest";
    must(log_->release(service_, first[1]));
    EXPECT_EQ(must(stream_->locate(lsns_[4])), first[1]);
    must(log_->release(service_, second[0]));
    EXPECT_EQ(code_of(stream_->locate(lsns_[4])), Errc::below_low_water);
    EXPECT_EQ(must(stream_->locate(lsns_[3])), second[0]);
    // And after a restart, which knows only what stands in the log.
    stream_.reset();
    log_.reset();
    log_ = open();
    stream_ = must(log_->stream("s"));
    EXPECT_EQ(must(stream_->locate(lsns_[3])), second[0]);
    EXPECT_EQ(code_of(stream_->locate(stream_->appended())), Errc::never_appended);
}

TEST_P(CarryTest, TheGreatestRecordCanBeCarried) {
    const uint64_t greatest = stream_->record_bytes_max();
    const Lsn lsn = must(stream_->append(pattern(1, greatest)));
    const auto copies = carry({lsn});
    EXPECT_TRUE(copy_of(record_at(copies[0]).payload) == pattern(1, greatest));
    EXPECT_EQ(must(log_->check()).size(), 0u);
}

// What stands where it can stay is not copied once more.
TEST_P(CarryTest, WithAnAimOnlyWhatStandsBelowItIsCopied) {
    const auto first = carry({lsns_[3], lsns_[4]});
    const std::vector<Lsn> both = {lsns_[3], lsns_[4], lsns_[90], first[0]};
    const Lsn end = stream_->appended();
    EXPECT_EQ(must(stream_->carry_forward(both, lsns_[90])),
              (std::vector<Lsn>{first[0], first[1], lsns_[90], first[0]}));
    EXPECT_EQ(stream_->appended(), end) << "nothing was copied";
    const auto moved = must(stream_->carry_forward(both, first[1]));
    EXPECT_GE(moved[0], end);
    EXPECT_EQ(moved[1], first[1]);
    EXPECT_GT(moved[2], moved[0]);
    EXPECT_EQ(moved[3], moved[0]);
    must(log_->release(service_, first[1]));
    EXPECT_EQ(must(stream_->locate(lsns_[3])), moved[0]);
    EXPECT_EQ(must(stream_->locate(lsns_[90])), moved[2]);
}

// A lazy record that stays where it is, is durable at return like a copy.
TEST_P(CarryTest, WhatStaysIsDurableToo) {
    const Lsn unforced = must(stream_->append(pattern(1, 100), lazy()));
    EXPECT_EQ(must(stream_->carry_forward({&unforced, 1}, lsns_[50])).at(0), unforced);
    EXPECT_GT(stream_->durable(), unforced);
}

TEST_P(CarryTest, OnlyRecordsThatAreThere) {
    EXPECT_TRUE(must(stream_->carry_forward({})).empty());
    const Lsn end = stream_->appended();
    const auto refused = [&](Lsn lsn) { return code_of(stream_->carry_forward({&lsn, 1})); };
    EXPECT_EQ(refused(end), Errc::never_appended);
    EXPECT_EQ(refused(Lsn{0}), Errc::invalid_argument) << "the link frame";
    EXPECT_EQ(refused(Lsn{lsns_[90].value + 64}), Errc::invalid_argument) << "inside a record";
    EXPECT_EQ(refused(Lsn{lsns_[90].value + 1}), Errc::invalid_argument);
    must(log_->release(service_, lsns_[10]));
    EXPECT_EQ(refused(lsns_[9]), Errc::below_low_water);
    EXPECT_EQ(stream_->appended(), end) << "nothing was copied";
    // In any order, also twice.
    EXPECT_EQ(carry({lsns_[70], lsns_[20], lsns_[70]}).size(), 3u);
    EXPECT_EQ(read_all(*stream_).size(), 90u);
    stream_.reset();
    log_.reset();
    Log log = open(read_only());
    const Lsn lsn = lsns_[20];
    EXPECT_EQ(code_of(must(log.stream("s")).carry_forward({&lsn, 1})), Errc::read_only);
}

}  // namespace
}  // namespace cinnabar::log_test
