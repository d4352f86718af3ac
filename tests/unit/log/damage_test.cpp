// Damage: bytes that must verify and do not, found by open, by reading and by check, with their
// position; and what a damaged pool still gives.
#include "anatomy.hpp"
#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

class DamageTest : public LogTest {
  protected:
    static constexpr uint64_t kRecords = 60;
    static constexpr uint64_t kSize = 100;

    // A pool whose records were all forced and closed cleanly.
    void fill() {
        create(2048);
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::many));
        for (uint64_t i = 0; i < kRecords; ++i)
            lsns_.push_back(must(stream.append(pattern(i, kSize))));
        must(log.close());
    }
    uint64_t offset_of(uint64_t record) { return offset_in_file(path_, pattern(record, kSize)); }

    static void expect_at(const std::optional<Lsn>& lsn, const std::optional<ByteRange>& range,
                          Lsn expected, uint64_t offset) {
        ASSERT_TRUE(lsn.has_value());
        EXPECT_EQ(*lsn, expected);
        ASSERT_TRUE(range.has_value());
        EXPECT_LE(range->offset_bytes, offset);
        EXPECT_GT(range->offset_bytes + range->length_bytes, offset);
    }

    // The size where there is none.
    static size_t first_difference(const std::vector<std::byte>& a,
                                   const std::vector<std::byte>& b) {
        const auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
        return static_cast<size_t>(end.first - a.begin());
    }

    std::vector<Lsn> lsns_;
};
INSTANTIATE_TEST_SUITE_P(Log, DamageTest, kBoth, medium_name);

TEST_P(DamageTest, OfTheLastRecordAfterACleanCloseRefusesTheOpen) {
    fill();
    const uint64_t at = offset_of(kRecords - 1);
    flip_byte(path_, at);
    const auto before = file_bytes(path_);
    const auto opened = Log::open(path_, options());
    ASSERT_EQ(code_of(opened), Errc::corrupt);
    expect_at(opened.error().lsn, opened.error().range, lsns_.back(), at);
    EXPECT_TRUE(contains(opened.error().message, std::to_string(lsns_.back().value)));
    // libpmemobj notes the open in its own header, in the first 8 KiB.
    constexpr size_t own = 8192;
    const auto after = file_bytes(path_);
    EXPECT_TRUE(std::equal(before.begin() + own, before.end(), after.begin() + own, after.end()));

    Log log = must(Log::open(path_, read_only()));
    EXPECT_FALSE(log.report().clean());
    ASSERT_EQ(log.report().damage.size(), 1u);
    EXPECT_EQ(log.report().damage[0].stream, "s");
    EXPECT_EQ(log.report().damage[0].verdict, "corrupt_sum");
    expect_at(log.report().damage[0].lsn, log.report().damage[0].range, lsns_.back(), at);
    EXPECT_EQ(read_all(must(log.stream("s"))).size(), kRecords - 1);
}

TEST_P(DamageTest, OfTheLastRecordAfterAKillLooksLikeATornTail) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    for (uint64_t i = 0; i < kRecords; ++i) lsns_.push_back(must(stream.append(pattern(i, kSize))));
    const auto killed = as_killed(log);
    flip_byte(killed, offset_in_file(killed, pattern(kRecords - 1, kSize)));
    Log again = open_at(killed);
    EXPECT_EQ(again.report().streams.at(0).end, lsns_.back());
    EXPECT_EQ(again.report().streams.at(0).end_verdict, "torn");
    EXPECT_EQ(read_all(must(again.stream("s"))).size(), kRecords - 1);
}

TEST_P(DamageTest, BeforeTheLastAcknowledgedRecordIsFoundAfterAKill) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    for (uint64_t i = 0; i < kRecords; ++i) lsns_.push_back(must(stream.append(pattern(i, kSize))));
    const auto killed = as_killed(log);
    const uint64_t at = offset_in_file(killed, pattern(kRecords - 2, kSize));
    flip_byte(killed, at);
    const auto opened = Log::open(killed, options());
    ASSERT_EQ(code_of(opened), Errc::corrupt);
    expect_at(opened.error().lsn, opened.error().range, lsns_[kRecords - 2], at);
}

// What was testified durable is verified when it is read, and by check.
TEST_P(DamageTest, OfAnOldRecordIsFoundByReadingAndByCheck) {
    fill();
    const uint64_t at = offset_of(5) + 50;
    flip_byte(path_, at);
    Log log = open();
    Stream stream = must(log.stream("s"));
    Reader reader = must(stream.read());
    for (uint64_t i = 0; i < 5; ++i) EXPECT_EQ(must(reader.next())->lsn, lsns_[i]);
    for (int again = 0; again < 3; ++again) {
        const auto next = reader.next();
        ASSERT_EQ(code_of(next), Errc::corrupt);
        ASSERT_TRUE(next.error().lsn && next.error().range);
        EXPECT_EQ(*next.error().lsn, lsns_[5]);
        // The frame holds the flipped byte; the range says where it begins at least.
        EXPECT_LE(next.error().range->offset_bytes, at);
        EXPECT_EQ(reader.position(), lsns_[5]);
    }
    const auto damage = must(log.check());
    ASSERT_EQ(damage.size(), 1u);
    EXPECT_EQ(damage[0].stream, "s");
    EXPECT_EQ(damage[0].verdict, "corrupt_sum");
    expect_at(damage[0].lsn, damage[0].range, lsns_[5], at);
    // The other segments are read as ever, and the stream goes on.
    EXPECT_EQ(read_all(stream, lsns_[40]).size(), kRecords - 40);
    must(stream.append(pattern(kRecords, kSize)));
}

TEST_P(DamageTest, OfEveryByteOfAFrameIsFound) {
    fill();
    const uint64_t payload = offset_of(20);
    const auto sound = file_bytes(path_);
    const uint64_t frame = payload - 32;
    // The whole frame: header, payload, fill.
    for (uint64_t at = frame; at < frame + 192; ++at) {
        flip_byte(path_, at);
        Log log = must(Log::open(path_, read_only()));
        const auto damage = must(log.check());
        EXPECT_EQ(damage.size(), 1u) << at - frame;
        if (!damage.empty()) expect_at(damage[0].lsn, damage[0].range, lsns_[20], frame);
        must(log.close());
        flip_byte(path_, at);
    }
    EXPECT_TRUE(file_bytes(path_) == sound);
}

TEST_P(DamageTest, OfBothHeaderCopiesIsNeverFreeSpace) {
    fill();
    // The segment of record 20: its header lies at its start, twice.
    const uint64_t in_segment = lsns_[20].value % 1536 + 512;
    const uint64_t base = offset_of(20) - 32 - in_segment;
    flip_byte(path_, base + 8);
    {
        Log log = open();  // one copy is enough
        EXPECT_FALSE(log.report().notes.empty());
        const auto damage = must(log.check());
        EXPECT_EQ(damage.size(), 1u);
        EXPECT_EQ(read_all(must(log.stream("s"))).size(), kRecords);
    }
    flip_byte(path_, base + 256 + 8);
    EXPECT_EQ(code_of(Log::open(path_, options())), Errc::corrupt);
    Log log = must(Log::open(path_, read_only()));
    EXPECT_FALSE(log.report().clean());
}

// As an unwritten sector reads: nothing tells it from a segment that was never used but its link.
TEST_P(DamageTest, OfBothHeaderCopiesThatReadAsZerosIsNeverFreeSpace) {
    fill();
    const uint64_t in_segment = lsns_.back().value % 1536 + 512;
    const uint64_t base = offset_of(kRecords - 1) - 32 - in_segment;
    zero(path_, base, 512);
    const auto refused = Log::open(path_, options());
    ASSERT_EQ(code_of(refused), Errc::corrupt);
    EXPECT_TRUE(contains(refused.error().message, "corrupt_segment_header"));
    EXPECT_EQ(refused.error().range->offset_bytes, base);
    Log log = must(Log::open(path_, read_only()));
    EXPECT_FALSE(log.report().clean());
    EXPECT_FALSE(must(log.check()).empty());
}

// The mark says that the log reached it, though no frame is left that says so.
TEST_P(DamageTest, OfEverythingUpToAMarkIsNotTheEndOfTheLog) {
    create(64 << 10);
    {
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::one));
        const ServiceId service = must(log.add_service("s", "service"));
        for (uint64_t i = 0; i < 20; ++i) lsns_.push_back(must(stream.append(pattern(i, kSize))));
        must(log.release(service, lsns_[10]));
        must(log.close());
    }
    zero(path_, offset_of(5) - 32, 8192);
    const auto refused = Log::open(path_, options());
    ASSERT_EQ(code_of(refused), Errc::corrupt);
    EXPECT_EQ(refused.error().lsn, lsns_[5]);
}

TEST_P(DamageTest, OfALinkFrameShowsAsMissing) {
    fill();
    const uint64_t in_segment = lsns_[20].value % 1536 + 512;
    const uint64_t base = offset_of(20) - 32 - in_segment;
    flip_byte(path_, base + 512 + 40);
    EXPECT_EQ(code_of(Log::open(path_, options())), Errc::corrupt);
    Log log = must(Log::open(path_, read_only()));
    EXPECT_FALSE(log.report().clean());
    // What lies before it is read.
    const auto records = read_all(must(log.stream("s")));
    EXPECT_GT(records.size(), 0u);
    EXPECT_LT(records.size(), 21u);
}

TEST_P(DamageTest, ASoundPoolIsFoundSound) {
    fill();
    Log log = open();
    EXPECT_TRUE(log.report().clean());
    EXPECT_TRUE(log.report().notes.empty());
    EXPECT_TRUE(must(log.check()).empty());
}

}  // namespace
}  // namespace cinnabar::log_test
