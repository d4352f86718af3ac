// Salvaging a damaged pool: every record that verifies is saved at its LSN, every one that does not
// lies in a reported gap, and the new pool is a sound one.
#include <dlfcn.h>
#include <fcntl.h>

#include <functional>

#include "anatomy.hpp"
#include "cinnabar/bus_error.hpp"

namespace {

std::function<void()> before_allocation;

}  // namespace

// Stands before the C library's own: a new pool's file is allocated when the old one was surveyed.
extern "C" int posix_fallocate(int file, off_t offset, off_t length) {
    if (before_allocation) before_allocation();
    using Own = int(int, off_t, off_t);
    return reinterpret_cast<Own*>(::dlsym(RTLD_NEXT, "posix_fallocate"))(file, offset, length);
}

namespace cinnabar::log_test {
namespace {

class SalvageTest : public LogTest {
  protected:
    void SetUp() override {
        LogTest::SetUp();
        new_path_ = folder_ / "new";
    }

    struct Written {
        Lsn lsn;
        std::vector<std::byte> payload;
    };

    // Two streams of some ten segments, and a service of the first one, which needs all of it.
    void fill() {
        create(4096);
        Log log = open();
        Stream a = must(log.add_stream("a", Writers::many));
        Stream b = must(log.add_stream("b", Writers::many));
        keeper_ = must(log.add_service("a", "keeper"));
        for (uint64_t i = 0; i < 120; ++i) {
            for (auto [stream, of] : {std::pair(&a, "a"), std::pair(&b, "b")}) {
                const auto payload = pattern(i + (stream == &a ? 0 : 1000), 40 + i % 5 * 90);
                written_[of].push_back({must(stream->append(payload, lazy())), payload});
            }
        }
        must(a.force(written_["a"].back().lsn));
        must(b.force(written_["b"].back().lsn));
        must(log.close());
        anatomy_.emplace(path_);
        ASSERT_GT(anatomy_->end["a"], 7 * anatomy_->span());
    }

    uint64_t span() const { return anatomy_->span(); }

    template <class T>
    static std::pair<Errc, std::string> code_and_words(const Result<T>& result) {
        return result ? std::pair<Errc, std::string>{}
                      : std::pair{result.error().code, result.error().message};
    }
    CopyReport salvage() {
        const auto before = file_bytes(path_);
        CopyReport report = must(salvage_pool(path_, new_path_));
        EXPECT_EQ(before, file_bytes(path_)) << "the old file stays as it was";
        expect_sound(new_path_);
        return report;
    }

    // Opens for writing, and checks clean but for gaps.
    void expect_sound(const std::filesystem::path& path) {
        Log log = open_at(path);
        EXPECT_TRUE(log.report().clean());
        for (const Damage& damage : must(log.check())) EXPECT_EQ(damage.verdict, "gap");
    }

    // Every record of `stream` outside of the gaps is there, and no other.
    void expect_saved(const CopyReport& report, const std::string& stream,
                      const std::vector<Lost>& gaps, std::string saved_as = "") {
        if (saved_as.empty()) saved_as = stream;
        EXPECT_EQ(gaps_of(report, saved_as), gaps) << stream;
        Log log = open_at(new_path_);
        const Contents contents = contents_of(must(log.stream(saved_as)));
        size_t at = 0;
        for (const Written& one : written_[stream]) {
            const bool lost = std::any_of(gaps.begin(), gaps.end(), [&](const Lost& gap) {
                return gap.begin <= one.lsn.value && one.lsn.value < gap.end;
            });
            if (lost) continue;
            ASSERT_LT(at, contents.records.size()) << stream;
            EXPECT_EQ(contents.records[at].lsn, one.lsn);
            EXPECT_EQ(contents.records[at].payload, one.payload);
            ++at;
        }
        EXPECT_EQ(at, contents.records.size()) << stream;
        EXPECT_EQ(contents.end, anatomy_->end[stream]) << stream;
    }

    bool noted(const CopyReport& report, const std::string& part) {
        return std::any_of(report.notes.begin(), report.notes.end(),
                           [&](const std::string& note) { return contains(note, part); });
    }

    // The frame of a record, as LSNs.
    Lost frame_of(const std::string& stream, size_t record) {
        const Written& one = written_[stream][record];
        return {one.lsn.value, one.lsn.value + format::padded_bytes(one.payload.size())};
    }

    Lost segment_of(uint64_t ordinal) { return {ordinal * span() + kLine, (ordinal + 1) * span()}; }

    std::filesystem::path new_path_;
    std::map<std::string, std::vector<Written>> written_;
    ServiceId keeper_;
    std::optional<Anatomy> anatomy_;
};
INSTANTIATE_TEST_SUITE_P(Log, SalvageTest, ::testing::Values(kCacheLine), medium_name);

TEST_P(SalvageTest, OfASoundPoolIsACopy) {
    fill();
    const CopyReport report = salvage();
    EXPECT_TRUE(report.notes.empty());
    expect_saved(report, "a", {});
    expect_saved(report, "b", {});
    const CopyReport copied = must(copy_pool(path_, folder_ / "copied"));
    for (const char* stream : {"a", "b"})
        EXPECT_EQ(contents_of(must(open_at(folder_ / "copied").stream(stream))),
                  contents_of(must(open_at(new_path_).stream(stream))));
    EXPECT_EQ(report.segments_used, copied.segments_used);
}

// Each byte of a frame in turn, and the records on both sides.
TEST_P(SalvageTest, OfOneFrame) {
    fill();
    const uint64_t offset = anatomy_->frame("a", written_["a"][50].lsn.value);
    const Lost lost = frame_of("a", 50);
    for (const uint64_t byte : {0u, 4u, 7u, 8u, 12u, 16u, 24u, 28u, 32u, 63u}) {
        flip_byte(path_, offset + byte);
        const CopyReport report = salvage();
        expect_saved(report, "a", {lost});
        expect_saved(report, "b", {});
        EXPECT_EQ(report.streams[0].gaps[0].range, (ByteRange{offset, lost.end - lost.begin}));
        flip_byte(path_, offset + byte);
        std::filesystem::remove(new_path_);
    }
}

TEST_P(SalvageTest, OfTheLastRecords) {
    fill();
    // The frame that the clean close wrote testifies all before it.
    zero(path_, anatomy_->frame("a", written_["a"][118].lsn.value), kLine);
    zero(path_, anatomy_->frame("a", written_["a"][119].lsn.value), kLine);
    const CopyReport report = salvage();
    expect_saved(report, "a", {{frame_of("a", 118).begin, frame_of("a", 119).end}});
    EXPECT_EQ(report.streams[0].gaps.size(), 1u);
}

TEST_P(SalvageTest, ReachesTheMarkWhereAllBehindIsLost) {
    fill();
    const Lsn mark = written_["a"][100].lsn;
    must(open().release(keeper_, mark));
    const uint64_t begin = mark.value / span() * span();
    const Anatomy now(path_);
    for (uint64_t ordinal = begin / span(); now.segments.contains({"a", ordinal}); ++ordinal)
        zero(path_, now.segment("a", ordinal), 4096);
    const CopyReport report = salvage();
    EXPECT_EQ(gaps_of(report, "a"), (std::vector<Lost>{{begin + kLine, mark.value}}));
    EXPECT_EQ(report.streams[0].gaps[0].range.length_bytes, 0u);
    Log log = open_at(new_path_);
    EXPECT_EQ(must(must(log.stream("a")).append(pattern(1, 10))), mark);
}

TEST_P(SalvageTest, OfAMissingSegment) {
    fill();
    for (const uint64_t ordinal : {3u, 0u}) {
        const auto sound = file_bytes(path_);
        zero(path_, anatomy_->segment("a", ordinal), 4096);
        const CopyReport report = salvage();
        expect_saved(report, "a", {segment_of(ordinal)});
        expect_saved(report, "b", {});
        EXPECT_EQ(report.streams[0].gaps[0].range, (ByteRange{0, 0}));
        overwrite(path_, 0, sound);
        std::filesystem::remove(new_path_);
    }
}

// No frame testifies anything here: that the next segment was attached is enough.
TEST_P(SalvageTest, OfAMissingSegmentWhereNothingWasForced) {
    create(4096);
    Log log = open();
    Stream stream = must(log.add_stream("a", Writers::many));
    for (uint64_t i = 0; i < 30; ++i) {
        const auto payload = pattern(i, 400);
        written_["a"].push_back({must(stream.append(payload, lazy())), payload});
    }
    path_ = as_killed(log);
    anatomy_.emplace(path_);
    ASSERT_GT(anatomy_->end["a"], 3 * span());
    zero(path_, anatomy_->segment("a", 1), 4096);
    expect_saved(salvage(), "a", {segment_of(1)});
}

TEST_P(SalvageTest, OfHeadersAndLinks) {
    fill();
    zero(path_, anatomy_->segment("a", 1), 512);      // both copies, as if never used
    flip_byte(path_, anatomy_->segment("a", 2) + 8);  // both copies, rotten
    flip_byte(path_, anatomy_->segment("a", 2) + 256 + 8);
    flip_byte(path_, anatomy_->segment("a", 4) + 512 + 40);  // a link
    flip_byte(path_, anatomy_->segment("b", 5) + 8);         // one copy
    zero(path_, anatomy_->segment("b", 6), 576);             // a header and its link
    const CopyReport report = salvage();
    expect_saved(report, "a", {});
    expect_saved(report, "b", {});
    EXPECT_TRUE(noted(report, "link frame is lost"));
    EXPECT_TRUE(noted(report, "neither copy of its header verifies"));
    EXPECT_TRUE(noted(report, "one of its two header copies"));
}

TEST_P(SalvageTest, FindsTheStreamOfALostLinkWithoutASuccessor) {
    fill();
    // The segment behind lost its link too, and then only one stream misses the ordinal.
    for (const uint64_t ordinal : {3u, 4u}) zero(path_, anatomy_->segment("a", ordinal) + 512, 64);
    const uint64_t last = anatomy_->end["b"] / span();
    zero(path_, anatomy_->segment("b", last) + 512, 64);
    const CopyReport report = salvage();
    expect_saved(report, "a", {});
    expect_saved(report, "b", {});
    EXPECT_TRUE(noted(report, "alone misses"));
}

// Two streams end in full segments, and a segment without a link may follow either.
TEST_P(SalvageTest, DoesNotGuessWhoseASegmentIs) {
    create(4096);
    Log log = open();
    for (const char* name : {"a", "b"}) {
        Stream stream = must(log.add_stream(name, Writers::many));
        for (uint64_t i = 0; i < 8; ++i) must(stream.append(pattern(i, 800)));
    }
    must(log.close());
    anatomy_.emplace(path_);
    for (const char* name : {"a", "b"}) zero(path_, anatomy_->segment(name, 1) + 512, 64);
    const CopyReport report = salvage();
    EXPECT_TRUE(noted(report, "may own it: it is not saved"));
    for (const StreamCopy& stream : report.streams) EXPECT_EQ(stream.end, Lsn{span()});
}

TEST_P(SalvageTest, OfAStreamRow) {
    fill();
    flip_byte(path_, anatomy_->stream_row(1) + 9);
    const CopyReport report = salvage();
    expect_saved(report, "a", {});
    expect_saved(report, "b", {}, "stream-2");
    EXPECT_TRUE(noted(report, "'stream-2'"));
}

// The row reads as free; the service's row proves that it was not.
TEST_P(SalvageTest, OfAStreamRowThatReadsAsZeros) {
    fill();
    zero(path_, anatomy_->stream_row(0), 128);
    const CopyReport report = salvage();
    expect_saved(report, "a", {}, "stream-1");
    Log log = open_at(new_path_);
    ASSERT_EQ(log.services().size(), 1u);
    EXPECT_EQ(log.services()[0].stream, "stream-1");
    must(log.add_stream("more", Writers::one));
}

// A removed stream stays removed, though its segments are still there.
TEST_P(SalvageTest, DoesNotBringBackARemovedStream) {
    fill();
    must(open().remove_stream("b"));
    EXPECT_EQ(salvage().streams.size(), 1u);
    // But where a row is damaged and does not say whose it was, either may be meant.
    std::filesystem::remove(new_path_);
    zero(path_, anatomy_->stream_row(0), 8);
    const CopyReport report = salvage();
    ASSERT_EQ(report.streams.size(), 2u);
    EXPECT_EQ(report.streams[0].name, "stream-1");
    EXPECT_EQ(report.streams[1].name, "stream-2");
}

TEST_P(SalvageTest, OfAServiceRow) {
    fill();
    must(open().release(keeper_, written_["a"][60].lsn));
    flip_byte(path_, anatomy_->service_row(0) + 9);
    const CopyReport report = salvage();
    EXPECT_TRUE(noted(report, "'service-1'"));
    Log log = open_at(new_path_);
    ASSERT_EQ(log.services().size(), 1u);
    EXPECT_EQ(log.services()[0].name, "service-1");
    EXPECT_EQ(log.services()[0].service, keeper_);
    // The row may lie about its stream, so its mark is not believed either.
    EXPECT_EQ(log.services()[0].low_water, Lsn{0});
    must(log.close());
    expect_saved(report, "a", {});
}

// A mark of another stream must not be taken for testimony, or for permission to drop records.
TEST_P(SalvageTest, OfAServiceRowThatNamesAnotherStream) {
    fill();
    {
        Log log = open();
        must(log.release(keeper_, written_["a"][100].lsn));
        must(log.add_stream("c", Writers::one));  // empty, with number 3 = 1 ^ 2
    }
    for (const std::byte bits : {std::byte{3}, std::byte{2}}) {  // 1 becomes 2, or 3
        const auto sound = file_bytes(path_);
        const uint64_t row = anatomy_->service_row(0);
        overwrite(path_, row, {sound[row] ^ bits});
        const CopyReport report = salvage();
        expect_saved(report, "b", {});
        EXPECT_EQ(open_at(new_path_).services()[0].stream, bits == std::byte{3} ? "b" : "c");
        EXPECT_EQ(must(open_at(new_path_).stream("c")).durable(), Lsn{0});
        expect_saved(report, "a", {});
        overwrite(path_, 0, sound);
        std::filesystem::remove(new_path_);
    }
}

// As a zeroed row: a service that was removed looks the same.
TEST_P(SalvageTest, OfAServiceRowThatReadsAsZerosInAPoolThatWasUsedAgain) {
    create(64 << 10);
    {
        Log log = open();
        Stream stream = must(log.add_stream("a", Writers::many));
        keeper_ = must(log.add_service("a", "keeper"));
        for (uint64_t i = 0; i < 1000; ++i) {
            const Lsn lsn = must(stream.append(pattern(i, 15000), lazy()));
            must(stream.force(lsn));
            if (i % 10 == 9) must(log.release(keeper_, lsn));
        }
        must(log.close());
    }
    const Anatomy now(path_);
    zero(path_, now.service_row(0), 128);
    const CopyReport report = salvage();
    EXPECT_TRUE(noted(report, "too old"));
    EXPECT_LE(report.segments_used, now.all_segments.size());
    EXPECT_EQ(report.streams[0].end.value, now.end.at("a"));
}

// Which stream the service was of is not known: what it needed is kept wherever no other one says.
TEST_P(SalvageTest, OfAServiceRowThatNamesNoStream) {
    fill();
    flip_byte(path_, anatomy_->service_row(0) + 2);
    const CopyReport report = salvage();
    EXPECT_TRUE(noted(report, "is lost"));
    expect_saved(report, "a", {});
    expect_saved(report, "b", {});
    EXPECT_TRUE(open_at(new_path_).services().empty());
}

TEST_P(SalvageTest, OfAMark) {
    fill();
    must(open().release(keeper_, written_["a"][60].lsn));
    zero(path_, anatomy_->mark(0), 64);
    const CopyReport report = salvage();
    EXPECT_TRUE(noted(report, "low-water mark of service 'keeper'"));
    // Nothing was written over yet.
    expect_saved(report, "a", {});
    EXPECT_EQ(open_at(new_path_).services()[0].low_water, Lsn{0});
}

// Released segments come and go in any order: what is older than the pool is large was never kept.
TEST_P(SalvageTest, OfAMarkInAPoolThatWasUsedAgain) {
    create(64 << 10);
    uint64_t kept_from = 0;
    {
        Log log = open();
        Stream stream = must(log.add_stream("a", Writers::many));
        keeper_ = must(log.add_service("a", "keeper"));
        for (uint64_t i = 0; i < 1000; ++i) {
            const Lsn lsn = must(stream.append(pattern(i, 15000), lazy()));
            must(stream.force(lsn));
            if (i % 10 == 9) must(log.release(keeper_, lsn));
            if (i % 10 == 9) kept_from = lsn.value;
        }
        must(log.close());
    }
    const Anatomy now(path_);
    zero(path_, now.mark(0), 64);
    const CopyReport report = salvage();
    const uint64_t begin = report.streams[0].begin.value;
    EXPECT_LE(begin, kept_from);
    EXPECT_LE(report.segments_used, now.all_segments.size());
    EXPECT_EQ(report.streams[0].end.value, now.end.at("a"));
}

TEST_P(SalvageTest, OfRegisters) {
    fill();
    zero(path_, anatomy_->catalogue + 512, 128);  // the ceiling and the last stream
    zero(path_, anatomy_->segment("b", 2), 512);
    const CopyReport report = salvage();
    expect_saved(report, "a", {});
    expect_saved(report, "b", {});
    EXPECT_TRUE(noted(report, "last stream"));
    Log log = open_at(new_path_);
    must(log.add_stream("more", Writers::one));
}

TEST_P(SalvageTest, OfTheSuperblock) {
    fill();
    for (const uint64_t copy : {0u, 4096u}) {
        flip_byte(path_, anatomy_->catalogue + copy + 100);
        const CopyReport report = salvage();
        expect_saved(report, "a", {});
        EXPECT_TRUE(noted(report, "superblock"));
        EXPECT_EQ(report.notes.size(), 1u) << "the catalogue was found at its place";
        EXPECT_EQ(open_at(new_path_).services().size(), 1u);
        flip_byte(path_, anatomy_->catalogue + copy + 100);
        std::filesystem::remove(new_path_);
    }
    // Without either there is nothing to begin with.
    flip_byte(path_, anatomy_->catalogue + 100);
    flip_byte(path_, anatomy_->catalogue + 4096 + 100);
    const auto refused = salvage_pool(path_, new_path_);
    ASSERT_EQ(code_of(refused), Errc::corrupt);
    EXPECT_TRUE(contains(refused.error().message, "superblock"));
    EXPECT_FALSE(std::filesystem::exists(new_path_));
}

TEST_P(SalvageTest, OfLibpmemobjsOwnBytes) {
    fill();
    zero(path_, 0, anatomy_->catalogue);
    ASSERT_EQ(code_of(Log::open(path_, read_only())), Errc::corrupt);
    const CopyReport report = salvage();
    expect_saved(report, "a", {});
    expect_saved(report, "b", {});
}

// What an open of a damaged head says is what a salvage then does.
TEST_P(SalvageTest, OfADamagedHead) {
    fill();
    for (const auto& [offset, length] : {std::pair{0u, 8u}, {8u, 4u}, {4096u, 1024u}}) {
        flip_byte(path_, offset);
        for (const OpenOptions& with : {options(), read_only()}) {
            const auto refused = Log::open(path_, with);
            ASSERT_EQ(code_of(refused), Errc::corrupt);
            EXPECT_EQ(refused.error().range, (ByteRange{offset, length}));
            EXPECT_TRUE(contains(refused.error().message, "salvage_pool"));
        }
        EXPECT_EQ(code_of(copy_pool(path_, new_path_)), Errc::corrupt);
        const CopyReport report = salvage();
        expect_saved(report, "a", {});
        expect_saved(report, "b", {});
        EXPECT_TRUE(report.notes.empty());
        std::filesystem::remove(new_path_);
        flip_byte(path_, offset);
    }
}

// A file without a head and without a superblock cannot be told from one that is no pool.
TEST_P(SalvageTest, OfAFileThatShowsNothingOfAPool) {
    fill();
    for (const uint64_t copy : {0u, 4096u}) flip_byte(path_, anatomy_->catalogue + copy + 100);
    flip_byte(path_, 0);
    for (const auto& refused : {code_and_words(Log::open(path_, options())),
                                code_and_words(salvage_pool(path_, new_path_))}) {
        EXPECT_EQ(refused.first, Errc::not_a_pool);
        EXPECT_TRUE(
            contains(refused.second, "is not a pool, or its head and its superblocks are damaged"))
            << refused.second;
    }
    EXPECT_FALSE(std::filesystem::exists(new_path_));
}

// A payload may hold the bytes of a pool, on a page as in the file.
TEST_P(SalvageTest, IsNotLedAstrayByAPoolInARecord) {
    create(64 << 10);
    {
        Log log = open();
        Stream stream = must(log.add_stream("a", Writers::many));
        auto pool = must(pool::RawPool::open(as_killed(), milliseconds(0)));
        const auto* catalogue = reinterpret_cast<const std::byte*>(pool.space().catalogue);
        std::vector<std::byte> record(4096 - 608);  // the first record's payload begins at 608
        record.insert(record.end(), catalogue, catalogue + 12000);
        written_["a"].push_back({must(stream.append(record)), record});
        must(log.close());
    }
    anatomy_.emplace(path_);
    const auto bytes = file_bytes(path_);
    const uint64_t inner = anatomy_->segment("a", 0) + 4096;
    ASSERT_EQ(inner % 4096, 0u);
    ASSERT_EQ(std::memcmp(&bytes[inner], "CINNABAR", 8), 0);
    expect_saved(salvage(), "a", {});
    // Nor where nothing else is left that looks like one.
    zero(path_, anatomy_->catalogue, 8192);
    EXPECT_EQ(code_of(salvage_pool(path_, folder_ / "other")), Errc::corrupt);
}

// A stream that was removed left a segment whose link is lost, at the ordinal that another stream
// misses. What stands behind the hole knows that it was another one.
TEST_P(SalvageTest, GivesNoSegmentToAStreamThatHadAnother) {
    fill();
    must(open().remove_stream("b"));
    for (const uint64_t ordinal : {3u, 4u}) zero(path_, anatomy_->segment("b", ordinal) + 512, 64);
    zero(path_, anatomy_->segment("a", 3), 4096);
    expect_saved(salvage(), "a", {segment_of(3)});
}

// Nor to one that had ended before.
TEST_P(SalvageTest, GivesNoSegmentToAStreamThatHadEnded) {
    fill();
    const uint64_t last = anatomy_->end["a"] / span();
    {
        Log log = open();
        Stream b = must(log.stream("b"));
        while (b.appended().value < (last + 2) * span()) {
            const auto payload = pattern(b.appended().value, 300);
            written_["b"].push_back({must(b.append(payload)), payload});
        }
        must(log.close());
    }
    anatomy_.emplace(path_);
    // a ends in `last`, and might have gone on in this one as well as b.
    const uint64_t tail = anatomy_->end["b"] / span();
    ASSERT_EQ(tail, last + 2);
    for (const uint64_t ordinal : {tail - 1, tail})
        zero(path_, anatomy_->segment("b", ordinal) + 512, 64);
    const CopyReport report = salvage();
    expect_saved(report, "a", {});
    expect_saved(report, "b", {});
}

TEST_P(SalvageTest, OfAFileThatWasCut) {
    fill();
    const uint64_t keep = anatomy_->segment("b", 4);
    std::filesystem::resize_file(path_, keep + 1000);
    const uint64_t sound_bytes = kPoolBytes;
    const CopyReport report = salvage();
    EXPECT_TRUE(noted(report, "what stood behind is lost"));
    EXPECT_GT(report.bytes_missing, 0u);
    EXPECT_LE(report.bytes_missing, sound_bytes - keep - 1000);
    EXPECT_GE(std::filesystem::file_size(new_path_), kPoolBytes - (1 << 20));
    Log log = open_at(new_path_);
    const Contents b = contents_of(must(log.stream("b")));
    EXPECT_GE(b.records.size(), 40u);
    for (size_t i = 0; i < b.records.size(); ++i)
        EXPECT_EQ(b.records[i].payload, written_["b"][i].payload);
}

// Cut short after it was surveyed, before its records are copied: the end is one in words.
TEST_P(SalvageTest, OfAFileThatIsCutMeanwhileEndsInWords) {
    if (std::getenv("CINNABAR_TEST_FOLDER") == nullptr) fill();  // not again in the child
    ::setenv("CINNABAR_TEST_FOLDER", folder_.c_str(), 1);
    EXPECT_EXIT(
        {
            before_allocation = [this] { std::filesystem::resize_file(path_, 8192); };
            must(end_on_bus_error(9));
            (void)salvage_pool(path_, new_path_);
        },
        ::testing::ExitedWithCode(9),
        "'" + path_.string() +
            "' cannot be reached any more at file byte [0-9]+: the file was made shorter and now "
            "has 8192 bytes");
    ::unsetenv("CINNABAR_TEST_FOLDER");
    EXPECT_FALSE(std::filesystem::exists(new_path_));
}

TEST_P(SalvageTest, OfASalvagedPoolChangesNothing) {
    fill();
    zero(path_, anatomy_->segment("a", 3), 4096);
    zero(path_, anatomy_->frame("a", written_["a"][100].lsn.value), kLine);
    zero(path_, anatomy_->frame("b", written_["b"][10].lsn.value), kLine);
    const CopyReport first = salvage();
    ASSERT_TRUE(first.gaps());
    const auto again = folder_ / "again";
    const CopyReport second = must(salvage_pool(new_path_, again));
    const CopyReport copied = must(copy_pool(new_path_, folder_ / "copied"));
    EXPECT_TRUE(second.notes.empty());
    for (const char* stream : {"a", "b"}) {
        const Contents contents = contents_of(must(open_at(new_path_).stream(stream)));
        EXPECT_EQ(contents_of(must(open_at(again).stream(stream))), contents);
        EXPECT_EQ(contents_of(must(open_at(folder_ / "copied").stream(stream))), contents);
        EXPECT_EQ(gaps_of(second, stream), gaps_of(first, stream));
        EXPECT_EQ(gaps_of(copied, stream), gaps_of(first, stream));
    }
    EXPECT_EQ(second.segments_used, first.segments_used);
}

// Whoever reads from a mark begins at a gap, also where the gap began before the mark.
TEST_P(SalvageTest, AMarkWithinAGapIsAPlaceToReadFrom) {
    fill();
    const Lsn mark = written_["a"][50].lsn;
    must(open().release(keeper_, mark));
    const uint64_t ordinal = mark.value / span();
    ASSERT_GT(mark.value, ordinal * span() + kLine);
    zero(path_, anatomy_->segment("a", ordinal), 4096);
    const CopyReport report = salvage();
    EXPECT_EQ(gaps_of(report, "a"), std::vector<Lost>{segment_of(ordinal)});
    Log log = open_at(new_path_);
    Stream stream = must(log.stream("a"));
    Reader from_mark = must(stream.read(mark));
    const auto next = from_mark.next();
    ASSERT_EQ(code_of(next), Errc::gap);
    EXPECT_EQ(next.error().lsn, mark);
    EXPECT_EQ(contents_of(stream).gaps, (std::vector<Lost>{{mark.value, (ordinal + 1) * span()}}));
}

// A carried copy says which frame it was copied from, and reading leaves it out where that one was
// read. Whichever frames of a record are lost, it is given out once if one is left.
class CarriedTest : public SalvageTest {
  protected:
    // Writes a carried copy to the end of the stream, as carrying forward does.
    uint64_t carry(uint64_t origin, uint64_t copied, const std::vector<std::byte>& payload) {
        const Anatomy now(path_);
        const uint64_t lsn = now.end.at("a");
        const format::SegmentLife life = now.lives.at({"a", lsn / span()});
        const format::CarriedPrefix prefix{origin, copied, 0};
        const uint64_t bytes = sizeof prefix + payload.size();
        std::vector<std::byte> frame(format::padded_bytes(bytes));
        EXPECT_LE(lsn % span() + frame.size(), span()) << "the test needs room in the segment";
        format::FrameHeader header;
        header.generation = static_cast<uint32_t>(life.generation);
        header.length_and_flags = format::length_and_flags(format::FrameType::carried, true,
                                                           static_cast<uint32_t>(bytes));
        header.distance_lines = 0;
        header.lsn = lsn;
        std::memcpy(frame.data(), &header, sizeof header);
        std::memcpy(frame.data() + sizeof header, &prefix, sizeof prefix);
        std::memcpy(frame.data() + sizeof header + sizeof prefix, payload.data(), payload.size());
        header.checksum = format::frame_sum(life.seed, frame.data(), frame.size());
        std::memcpy(frame.data(), &header, sizeof header);
        overwrite(path_, now.frame("a", lsn), frame);
        return lsn;
    }

    uint64_t times_given_out(Lsn from, uint64_t origin, const std::vector<std::byte>& payload) {
        Log log = open_at(new_path_);
        Reader reader = must(must(log.stream("a")).read(from));
        uint64_t times = 0;
        for (;;) {
            const auto next = reader.next();
            if (code_of(next) == Errc::gap) continue;
            const auto& record = must(next);
            if (!record) return times;
            if (record->origin.value != origin) continue;
            EXPECT_EQ(copy_of(record->payload), payload);
            ++times;
        }
    }
};
INSTANTIATE_TEST_SUITE_P(Log, CarriedTest, ::testing::Values(kCacheLine), medium_name);

TEST_P(CarriedTest, IsGivenOutOnceWhicheverFramesAreLost) {
    fill();
    const Written& record = written_["a"][110];
    const uint64_t origin = record.lsn.value;
    const uint64_t first = carry(origin, origin, record.payload);
    const uint64_t second = carry(origin, first, record.payload);
    const uint64_t third = carry(origin, second, record.payload);
    const Anatomy now(path_);
    ASSERT_GT(now.end.at("a"), third);
    const auto sound = file_bytes(path_);
    const uint64_t frames[] = {origin, first, second};  // the third one testifies them
    for (unsigned lost = 0; lost < 8; ++lost) {
        overwrite(path_, 0, sound);
        for (unsigned i = 0; i < 3; ++i)
            if ((lost >> i & 1) != 0) flip_byte(path_, now.frame("a", frames[i]) + 60);
        salvage();
        EXPECT_EQ(times_given_out(Lsn{0}, origin, record.payload), 1u) << "lost: " << lost;
        // Reading that begins behind the record is answered by its first copy.
        const uint64_t behind = times_given_out(written_["a"][111].lsn, origin, record.payload);
        EXPECT_EQ(behind, 1u) << "lost: " << lost;
        std::filesystem::remove(new_path_);
    }
}

// What lies below the segments that are kept is not lost: the copy is right as it is.
TEST_P(CarriedTest, OfAReleasedRecordStaysAsItIs) {
    fill();
    const Written& record = written_["a"][2];
    const uint64_t origin = record.lsn.value;
    must(open().release(keeper_, written_["a"][80].lsn));
    const uint64_t first = carry(origin, origin, record.payload);
    carry(origin, first, record.payload);
    const CopyReport report = salvage();
    EXPECT_FALSE(report.gaps());
    EXPECT_EQ(times_given_out(written_["a"][80].lsn, origin, record.payload), 1u);
    Log log = open_at(path_);
    EXPECT_EQ(contents_of(must(log.stream("a"))),
              contents_of(must(open_at(new_path_).stream("a"))));
}

}  // namespace
}  // namespace cinnabar::log_test
