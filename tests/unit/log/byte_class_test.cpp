// A flipped bit in every class of byte that FORMAT.md, section 9, names: what is covered is found
// with its verdict and range, what is free has no effect, and the rest is as written there.
#include "fixture.hpp"
#include "format/frame.hpp"
#include "format/layout.hpp"

namespace cinnabar::log_test {
namespace {

using format::Catalogue;

constexpr uint64_t kSegmentBytes = 4096;

struct Range {
    uint64_t offset = 0;
    uint64_t length = 0;
};

class ByteClass : public LogTest {
  protected:
    void SetUp() override {
        LogTest::SetUp();
        const char* given = std::getenv("CINNABAR_SEED");
        const uint64_t seed =
            given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
        std::printf("CINNABAR_SEED=%llu\n", static_cast<unsigned long long>(seed));
        random_.seed(seed);
        fill();
        sound_ = file_bytes(path_);
        catalogue_ = offset_in_file(path_, copy_of(std::as_bytes(std::span("CINNABAR", 8))));
    }

    // Two streams, of which one released some segments; a service that never released; a clean end.
    void fill() {
        create(kSegmentBytes);
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::one));
        const ServiceId moving = must(log.add_service("s", "moving"));
        for (uint64_t i = 0; i < 200; ++i) lsns_.push_back(must(stream.append(pattern(i, 150))));
        Stream other = must(log.add_stream("other", Writers::many));
        must(log.add_service("other", "still"));
        must(other.append(pattern(1000, 100)));
        must(log.release(moving, lsns_[20]));
        must(log.release(moving, lsns_[100]));
        must(log.close());
    }

    uint64_t place_of(uint64_t record) {
        return offset_in_file(path_, pattern(record, 150)) - format::kHeaderBytes;
    }
    // The segment that holds the record.
    uint64_t segment_of(uint64_t record) {
        const uint64_t span = format::frame_space(kSegmentBytes);
        return place_of(record) - format::kFramesOffset - lsns_[record].value % span;
    }
    Range in_catalogue(uint64_t offset, uint64_t length) const {
        return {catalogue_ + offset, length};
    }
    bool zero(uint64_t offset, uint64_t length) const {
        const auto begin = sound_.begin() + static_cast<ptrdiff_t>(offset);
        return std::all_of(begin, begin + static_cast<ptrdiff_t>(length),
                           [](std::byte byte) { return byte == std::byte{0}; });
    }

    // The first segment that was never prepared. The pool ends with such.
    uint64_t untouched_segment() {
        const uint64_t any = segment_of(150);
        for (uint64_t at = any; at + kSegmentBytes <= sound_.size(); at += kSegmentBytes)
            if (zero(at, kSegmentBytes)) return at;
        throw std::runtime_error("every segment was used");
    }

    struct Seen {
        std::vector<Damage> damage;
        size_t records = 0;  // that can be read of stream "s"
        std::vector<std::string> notes;
    };
    Seen look() {
        Log log = open(read_only());
        Seen seen{log.report().damage, 0, log.report().notes};
        for (Damage& one : must(log.check())) seen.damage.push_back(std::move(one));
        if (auto stream = log.stream("s"))
            if (auto reader = stream->read())
                for (auto next = reader->next(); next && *next; next = reader->next())
                    ++seen.records;
        return seen;
    }

    template <class Judge>
    void with_flips(const Range& range, Judge&& judge) {
        for (int turn = 0; turn < 6; ++turn) {
            // The ends of the range, and what lies between.
            const uint64_t at = turn == 0   ? range.offset
                                : turn == 1 ? range.offset + range.length - 1
                                            : range.offset + random_() % range.length;
            const auto bit = static_cast<std::byte>(1u << random_() % 8);
            const std::byte was = sound_[at];
            put(at, was ^ bit);
            SCOPED_TRACE("byte " + std::to_string(at - range.offset) + " of the range, mask " +
                         std::to_string(std::to_integer<int>(bit)));
            judge(at);
            restore();
        }
    }

    // Each flip is listed with this verdict and a range that holds it.
    void expect_found(const Range& range, const std::string& verdict) {
        with_flips(range, [&](uint64_t at) {
            const Seen seen = look();
            const bool found =
                std::any_of(seen.damage.begin(), seen.damage.end(), [&](const Damage& one) {
                    return one.verdict == verdict && one.range.offset_bytes <= at &&
                           at < one.range.offset_bytes + one.range.length_bytes;
                });
            EXPECT_TRUE(found) << verdict << " is not among " << seen.damage.size();
            for (const Damage& one : seen.damage)
                if (!found) ADD_FAILURE() << one.verdict << " at " << one.range.offset_bytes;
        });
    }
    void expect_no_effect(const Range& range) {
        with_flips(range, [&](uint64_t) {
            const Seen seen = look();
            for (const Damage& one : seen.damage) ADD_FAILURE() << one.verdict;
            EXPECT_EQ(seen.records, 100u);
            EXPECT_TRUE(seen.notes.empty());
            const Log log = open();  // for writing too
        });
    }

    void put(uint64_t offset, std::byte value) {
        std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(offset));
        file.put(static_cast<char>(value));
        ASSERT_TRUE(file.good());
    }
    void restore() {
        std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
        file.write(reinterpret_cast<const char*>(sound_.data()),
                   static_cast<std::streamsize>(sound_.size()));
        ASSERT_TRUE(file.good());
    }

    std::vector<Lsn> lsns_;
    std::vector<std::byte> sound_;
    uint64_t catalogue_ = 0;
    std::mt19937_64 random_;
};
INSTANTIATE_TEST_SUITE_P(Log, ByteClass, kBoth, medium_name);

TEST_P(ByteClass, ASoundPool) {
    const Seen seen = look();
    EXPECT_TRUE(seen.damage.empty());
    EXPECT_EQ(seen.records, 100u);
    EXPECT_TRUE(zero(untouched_segment(), kSegmentBytes));
}

TEST_P(ByteClass, CoveredInTheCatalogue) {
    expect_found(in_catalogue(0, 512), "corrupt_superblock_copy");
    expect_found(in_catalogue(4096, 512), "corrupt_superblock_copy");
    expect_found(in_catalogue(offsetof(Catalogue, medium), 64), "corrupt_row");
    // The mark of a service that never released has one slot.
    expect_found(in_catalogue(offsetof(Catalogue, marks) + 64, 16), "corrupt_register");
    for (const uint64_t row : {0, 1, 2, 63}) {
        expect_found(in_catalogue(offsetof(Catalogue, streams) + row * 128, 128), "corrupt_row");
        expect_found(in_catalogue(offsetof(Catalogue, services) + row * 128, 128), "corrupt_row");
    }
}

TEST_P(ByteClass, CoveredInSegments) {
    const uint64_t kept = segment_of(150);
    expect_found({kept, 64}, "one_header_copy");
    expect_found({kept + 256, 64}, "one_header_copy");
    expect_found({untouched_segment() + 256, 64}, "corrupt_segment_header");
    expect_found({kept + format::kFramesOffset, 64}, "corrupt_link");
    expect_found({segment_of(5) + format::kFramesOffset, 64}, "corrupt_link");  // released
    const uint64_t both = segment_of(120);
    put(both + 8, sound_[both + 8] ^ std::byte{1});
    sound_ = file_bytes(path_);
    expect_found({both + 256, 64}, "corrupt_segment_header");
}

TEST_P(ByteClass, CoveredFrames) {
    const uint64_t frame = place_of(150);
    expect_found({frame, 4}, "corrupt_stale");
    expect_found({frame + 8, 4}, "corrupt_sum");
    expect_found({frame + 12, 20}, "corrupt_sum");
    expect_found({frame + 32, 150}, "corrupt_sum");
    expect_found({frame + 182, 10}, "corrupt_sum");  // the fill behind the payload
    // The frame before the mark in the segment of the mark.
    expect_found({segment_of(100) + format::kFramesOffset + 64 + 8, 56}, "corrupt_sum");
}

TEST_P(ByteClass, APadIsCoveredInItsFirstLineAlone) {
    const uint64_t segment = segment_of(150);
    // Frames of 192 bytes behind the link: what is left at the end is the pad.
    const uint64_t frames = (kSegmentBytes - format::kFramesOffset - 64) / 192;
    const uint64_t pad = segment + format::kFramesOffset + 64 + frames * 192;
    ASSERT_LT(pad, segment + kSegmentBytes);
    expect_found({pad + 8, 56}, "corrupt_sum");
    if (pad + 64 < segment + kSegmentBytes)
        expect_no_effect({pad + 64, segment + kSegmentBytes - pad - 64});
}

TEST_P(ByteClass, FreeBytesHaveNoEffect) {
    expect_no_effect(in_catalogue(704, 4096 - 704));
    expect_no_effect(in_catalogue(4608, 8192 - 4608));
    for (const uint64_t line : {offsetof(Catalogue, generation_ceiling),
                                offsetof(Catalogue, last_stream), offsetof(Catalogue, marks)})
        expect_no_effect(in_catalogue(line + 32, 32));
    expect_no_effect(in_catalogue(offsetof(Catalogue, marks) + 2 * 64, 62 * 64));
    const uint64_t kept = segment_of(150);
    expect_no_effect({kept + 64, 192});
    expect_no_effect({kept + 320, 192});
    const uint64_t unused = untouched_segment();
    expect_no_effect({unused, 64});
    expect_no_effect({unused + 512, kSegmentBytes - 512});
    // Frames of a released segment, but for its link.
    expect_no_effect({segment_of(5) + format::kFramesOffset + 64, 64});
    // Behind the close frame.
    const uint64_t last = place_of(199);
    const uint64_t behind = last + 192 + 64;
    const uint64_t end = segment_of(199) + kSegmentBytes;
    ASSERT_LT(behind, end);
    expect_no_effect({behind, end - behind});
}

TEST_P(ByteClass, TheNewestValueOfARegisterFallsBackToTheOlderOne) {
    const uint64_t line = catalogue_ + offsetof(Catalogue, marks);
    uint64_t values[2];
    for (size_t i = 0; i < 2; ++i) std::memcpy(&values[i], &sound_[line + i * 16], 8);
    ASSERT_EQ(std::max(values[0], values[1]), lsns_[100].value);
    const uint64_t newest = line + (values[0] < values[1] ? 16 : 0);
    with_flips({newest, 16}, [&](uint64_t) {
        Log log = open(read_only());
        EXPECT_EQ(log.services().at(0).low_water, lsns_[20]);
        for (const Damage& one : log.report().damage) EXPECT_EQ(one.verdict, "missing_segment");
    });
    expect_no_effect({line + (values[0] < values[1] ? 0 : 16), 16});
}

TEST_P(ByteClass, BeyondTestimonyLooksLikeATornTail) {
    std::filesystem::path killed;
    Lsn last;
    {
        Log log = open();
        Stream stream = must(log.stream("s"));
        for (uint64_t i = 500; i < 510; ++i) last = must(stream.append(pattern(i, 150)));
        killed = as_killed(log);
    }
    path_ = killed;
    sound_ = file_bytes(path_);
    with_flips({offset_in_file(path_, pattern(509, 150)) - format::kHeaderBytes, 192},
               [&](uint64_t) {
                   const Seen seen = look();
                   for (const Damage& one : seen.damage) ADD_FAILURE() << one.verdict;
                   EXPECT_EQ(seen.records, 109u);
                   Log log = open();
                   EXPECT_EQ(log.report().streams.at(0).end, last);
               });
}

TEST_P(ByteClass, LibpmemobjsOwnIsRefusedOrHarmless) {
    for (const Range& range : {Range{0, 4096}, Range{4096, 4096}, Range{8192, 3072}}) {
        with_flips(range, [&](uint64_t) {
            auto log = Log::open(path_, read_only());
            if (!log) {
                EXPECT_TRUE(log.error().code == Errc::corrupt ||
                            log.error().code == Errc::truncated)
                    << log.error().message;
                EXPECT_TRUE(contains(log.error().message, path_.string())) << log.error().message;
                return;
            }
            EXPECT_EQ(read_all(must(log->stream("s"))).size(), 100u);
        });
    }
}

}  // namespace
}  // namespace cinnabar::log_test
