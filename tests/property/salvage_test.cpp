// Salvage under random damage to random pools. Whatever happens to the old file, the new pool is a
// sound one; every record of which a frame is still as it was, its own or a carried copy, is in it
// once, at the LSN of such a frame; every other one lies in a reported gap, or behind the end where
// the old log testifies nothing. CINNABAR_SEED gives a run again.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>

#include "format/codec.hpp"
#include "unit/log/anatomy.hpp"

namespace cinnabar::log_test {
namespace {

constexpr int kRounds = 120;

// A frame of the old pool before it was damaged.
struct OldFrame {
    uint64_t lsn = 0;
    uint64_t origin = 0;  // of a record or a carried copy of it
    uint64_t offset = 0;  // in the file
    uint64_t summed_bytes = 0;
    uint64_t testimony = 0;
    format::FrameType type = format::FrameType::record;
};

struct OldStream {
    uint32_t number = 0;
    uint32_t row = 0;
    uint64_t mark = 0;
    std::vector<OldFrame> frames;  // from the first segment that is kept

    bool has_records() const {
        return std::ranges::any_of(frames, [](const OldFrame& frame) { return is_record(frame); });
    }
    static bool is_record(const OldFrame& frame) {
        return frame.type == format::FrameType::record || frame.type == format::FrameType::carried;
    }
};

struct OldPool {
    std::vector<std::byte> bytes;
    uint64_t catalogue = 0;
    uint64_t segment_bytes = 0;
    std::vector<uint64_t> used;  // offsets of segments that a stream keeps
    std::map<std::string, OldStream> streams;
    struct Service {
        std::string stream;
        uint64_t mark = 0;
    };
    std::map<uint32_t, Service> services;  // by row
};

class SalvageProperty : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = "/dev/shm/cinnabar-test.XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    uint64_t below(uint64_t limit) { return random_() % limit; }
    bool chance(uint64_t percent) { return below(100) < percent; }

    void build();
    void append_some(Log& log);
    void append_to(Stream& stream);
    void carry_some(Log& log);
    void learn();
    void damage();
    void damage_once();
    void check();
    struct Fate {
        bool present;  // here, or in another frame
        bool here;
        bool in_gap;
        bool behind_end;   // and above what the old log testified
        bool below_begin;  // and the mark is lost
    };
    void expect_fate(const Fate& fate, bool intact, bool must_be_saved, const std::string& which);
    void check_stream(Log& log, const CopyReport& report, const std::string& name);
    bool may_be_missing(const CopyReport& report, const OldStream& stream) const;
    uint64_t needed_from(const std::string& name) const;

    bool changed(uint64_t offset, uint64_t length) const {
        return !std::equal(old_.bytes.begin() + static_cast<ptrdiff_t>(offset),
                           old_.bytes.begin() + static_cast<ptrdiff_t>(offset + length),
                           damaged_.begin() + static_cast<ptrdiff_t>(offset));
    }
    void flip(uint64_t begin, uint64_t length) {
        damaged_[begin + below(length)] ^= std::byte{1} << static_cast<int>(below(8));
    }
    void wipe(uint64_t begin, uint64_t length) {
        const bool noise = chance(30);
        for (uint64_t i = 0; i < length; ++i)
            damaged_[begin + i] = noise ? static_cast<std::byte>(random_()) : std::byte{0};
    }
    const OldStream& any_stream() {
        auto at = old_.streams.begin();
        std::advance(at, static_cast<ptrdiff_t>(below(old_.streams.size())));
        return at->second;
    }
    uint64_t any_used_segment() { return old_.used[below(old_.used.size())]; }
    static bool noted(const CopyReport& report, const std::string& part) {
        return std::any_of(report.notes.begin(), report.notes.end(),
                           [&](const std::string& note) { return contains(note, part); });
    }

    std::mt19937_64 random_;
    std::filesystem::path folder_;
    std::map<std::string, std::map<uint64_t, Kept>> appended_;  // by origin; `lsn` is 0
    OldPool old_;
    std::vector<std::byte> damaged_;
    std::string done_;  // the damage, in words
    uint64_t checked_ = 0, saved_ = 0, lost_ = 0, ambiguous_ = 0;
    uint64_t carried_ = 0, saved_by_a_copy_ = 0;
};

void SalvageProperty::append_to(Stream& stream) {
    const uint64_t greatest = stream.record_bytes_max();
    const uint64_t size = 1 + below(chance(80) ? std::min<uint64_t>(300, greatest) : greatest);
    Kept record;
    record.payload = pattern(random_(), size);
    record.durability = chance(30) ? Durability::forced : Durability::lazy;
    record.service = ServiceId{static_cast<uint16_t>(below(4))};
    record.kind = static_cast<uint16_t>(random_());
    auto& known = appended_[stream.name()];
    if (!known.empty() && chance(30)) record.previous = known.rbegin()->second.origin;
    AppendOptions with;
    with.durability = record.durability;
    with.service = record.service;
    with.kind = record.kind;
    with.previous = record.previous;
    const auto lsn = stream.append(record.payload, with);
    if (!lsn) return;  // full
    record.origin = *lsn;
    known[lsn->value] = std::move(record);
}

// Records of all ages, copies too; the log may be full.
void SalvageProperty::carry_some(Log& log) {
    for (const StreamInfo& info : log.streams()) {
        if (chance(60)) continue;
        Stream stream = must(log.stream(info.name));
        std::vector<Lsn> chosen;
        Reader reader = must(stream.read());
        while (auto record = must(reader.next()))
            if (chance(10)) chosen.push_back(record->lsn);
        if (stream.carry_forward(chosen)) carried_ += chosen.size();
    }
}

void SalvageProperty::append_some(Log& log) {
    const std::vector<StreamInfo> streams = log.streams();
    const uint64_t records = below(120);
    for (uint64_t i = 0; i < records; ++i) {
        Stream stream = must(log.stream(streams[below(streams.size())].name));
        append_to(stream);
    }
    carry_some(log);
    for (const ServiceInfo& service : log.services()) {
        const auto& records_of = appended_[service.stream];
        if (records_of.empty() || chance(50)) continue;
        auto at = records_of.begin();
        std::advance(at, static_cast<ptrdiff_t>(below(records_of.size())));
        (void)log.release(service.service, Lsn{at->first});  // below its mark, above durable: no
    }
}

void SalvageProperty::build() {
    const auto path = folder_ / "building";
    appended_.clear();
    const uint64_t segment_bytes = uint64_t{2048} << below(6);
    must(Log::create(path, {.pool_bytes = kPoolBytes, .segment_bytes = segment_bytes}));
    OpenOptions with;
    with.emulate = Emulate::cache_line;
    const uint64_t lives = 1 + below(4);
    uint64_t streams_made = 0;
    for (uint64_t life = 0; life < lives; ++life) {
        Log log = must(Log::open(path, with));
        for (uint64_t more = life == 0 ? 1 + below(3) : below(5) / 4; more > 0; --more) {
            const std::string name = "s" + std::to_string(streams_made++);
            if (log.add_stream(name, chance(50) ? Writers::one : Writers::many,
                               chance(30) ? Reserve::yes : Reserve::no))
                for (uint64_t n = below(3); n > 0; --n)
                    must(log.add_service(name, name + "-" + std::to_string(n)));
        }
        append_some(log);
        if (chance(10) && !log.services().empty())
            must(log.remove_service(log.services().front().service));
        if (chance(10) && log.streams().size() > 1)
            (void)log.remove_stream(log.streams().front().name);  // not while it has services
        const bool last = life + 1 == lives;
        if (last && chance(40)) std::filesystem::copy_file(path, folder_ / "old");  // a kill
        must(log.close());
        if (last && !std::filesystem::exists(folder_ / "old"))
            std::filesystem::copy_file(path, folder_ / "old");
    }
    std::filesystem::remove(path);
}

void SalvageProperty::learn() {
    const auto path = folder_ / "old";
    old_ = {};
    old_.bytes = file_bytes(path);
    auto pool = must(pool::RawPool::open(path, milliseconds(0)));
    const pool::Space& space = pool.space();
    old_.catalogue = space.offset_of(space.catalogue);
    old_.segment_bytes = space.segment_bytes;
    const log::PoolScan scan = log::scan_pool(space, log::parallel_for);
    ASSERT_TRUE(scan.damage.empty());
    for (const log::StreamScan& one : scan.streams) {
        OldStream stream;
        stream.number = one.stream;
        for (uint32_t row = 0; row < format::kStreamRows; ++row)
            if (space.catalogue->streams[row].stream == one.stream) stream.row = row;
        stream.mark = one.mark;
        for (size_t i = 0; i < one.kept.size(); ++i) {
            const uint32_t segment = one.kept[i];
            old_.used.push_back(space.offset_of(space.segments[segment]));
            const uint64_t span = format::frame_space(space.segment_bytes);
            const format::SegmentLife life =
                log::life_of(space, segment, scan.segments[segment].header.generation,
                             (one.first_ordinal + i) * span);
            for (uint64_t at = format::kFramesOffset;
                 at < life.segment_bytes && life.lsn_at(at) < one.cut;) {
                const format::Seen seen = format::look(life, at, true);
                ASSERT_EQ(seen.verdict, format::Verdict::valid);
                OldFrame frame;
                frame.lsn = frame.origin = life.lsn_at(at);
                frame.offset = space.offset_of(life.base + at);
                frame.summed_bytes = format::summed_bytes(seen.header.type(), seen.frame_bytes);
                frame.testimony = format::testimony(seen.header);
                frame.type = seen.header.type();
                if (frame.type == format::FrameType::carried)  // its prefix begins with it
                    std::memcpy(&frame.origin, life.base + at + format::kHeaderBytes,
                                sizeof frame.origin);
                stream.frames.push_back(frame);
                at += seen.frame_bytes;
            }
        }
        old_.streams[one.name] = std::move(stream);
    }
    for (uint32_t row = 0; row < format::kServiceRows; ++row) {
        const format::ServiceRow& service = space.catalogue->services[row];
        for (const auto& [name, stream] : old_.streams)
            if (stream.number == service.stream)
                old_.services[row] = {
                    name, format::read_register(
                              space.id, format::register_key(format::RegisterRole::mark, row),
                              space.catalogue->marks[row])
                              ->value};
    }
}

// One damage of a random class of byte (FORMAT.md 9).
void SalvageProperty::damage_once() {
    const uint64_t c = old_.catalogue;
    const uint64_t what = below(15);
    done_ += " " + std::to_string(what);
    const OldStream& stream = any_stream();
    const uint64_t segment = old_.used.empty() ? c + 28672 : any_used_segment();
    const uint64_t service = old_.services.empty() ? 0 : below(old_.services.size());
    switch (what) {
        case 0:
        case 1:
            if (stream.frames.empty()) break;
            {
                const OldFrame& frame = stream.frames[below(stream.frames.size())];
                flip(frame.offset, frame.summed_bytes);
            }
            break;
        case 2: {  // what a medium loses at once
            const uint64_t unit = uint64_t{64} << 2 * below(4);
            const uint64_t length = std::min(unit, old_.segment_bytes);
            wipe(segment + below(old_.segment_bytes / length) * length, length);
            break;
        }
        case 3: wipe(segment, old_.segment_bytes); break;
        case 4: flip(segment + format::kHeaderOffset[below(2)], 64); break;
        case 5: wipe(segment, format::kFramesOffset); break;
        case 6: flip(segment + format::kFramesOffset, 64); break;
        case 7: flip(c + 8192 + stream.row * 128, 128); break;
        case 8: wipe(c + 8192 + stream.row * 128, 128); break;
        case 9: flip(c + 16384 + service * 128, 128); break;
        case 10: flip(c + 24576 + service * 64, 32); break;
        case 11: wipe(c + 24576 + service * 64, 64); break;
        case 12: wipe(c + 512 + 64 * below(3), 64); break;
        case 13: wipe(below(c - 4096), 1 + below(4096)); break;
        case 14: flip(below(2) * 4096 + c, 512); break;
    }
    if (chance(20)) flip(0, damaged_.size());
}

void SalvageProperty::damage() {
    done_.clear();
    damaged_ = old_.bytes;
    for (uint64_t n = 1 + below(5); n > 0; --n) damage_once();
    // Without a superblock there is nothing to be found: that is another test's.
    const uint64_t b = old_.catalogue + 4096;
    if (changed(old_.catalogue, 512) && changed(b, 512))
        std::copy_n(old_.bytes.begin() + static_cast<ptrdiff_t>(b), 512,
                    damaged_.begin() + static_cast<ptrdiff_t>(b));
    overwrite(folder_ / "old", 0, damaged_);
}

// The lowest mark that can be known to be this stream's.
uint64_t SalvageProperty::needed_from(const std::string& name) const {
    std::optional<uint64_t> lowest;
    for (const auto& [row, service] : old_.services)
        if (service.stream == name && !changed(old_.catalogue + 16384 + row * 128, 4))
            lowest = std::min(lowest.value_or(service.mark), service.mark);
    return lowest.value_or(old_.streams.at(name).mark);
}

// A row that reads as free, or that names another stream, of which nothing else speaks.
bool SalvageProperty::may_be_missing(const CopyReport& report, const OldStream& stream) const {
    const uint64_t row = old_.catalogue + 8192 + stream.row * 128;
    if (!changed(row, 128)) return false;
    bool linked = false;
    for (const OldFrame& frame : stream.frames)
        linked |= frame.type == format::FrameType::link && !changed(frame.offset, 64);
    const bool zero = std::all_of(damaged_.begin() + static_cast<ptrdiff_t>(row),
                                  damaged_.begin() + static_cast<ptrdiff_t>(row + 128),
                                  [](std::byte byte) { return byte == std::byte{0}; });
    return !linked || zero ||
           noted(report, "segments of stream " + std::to_string(stream.number) + " are there");
}

void SalvageProperty::check_stream(Log& log, const CopyReport& report, const std::string& name) {
    const OldStream& old = old_.streams.at(name);
    const bool named = !changed(old_.catalogue + 8192 + old.row * 128, 128);
    const std::string saved_as = named ? name : "stream-" + std::to_string(old.number);
    auto stream = log.stream(saved_as);
    if (!stream) {
        EXPECT_TRUE(!old.has_records() || may_be_missing(report, old)) << saved_as;
        return;
    }
    const std::vector<Lost> gaps = gaps_of(report, saved_as);
    uint64_t begin = 0;
    for (const StreamCopy& copy : report.streams)
        if (copy.name == saved_as) begin = copy.begin.value;
    const Contents contents = contents_of(*stream);
    std::map<uint64_t, uint64_t> present;  // where it stands, by origin
    for (const Kept& record : contents.records) {
        EXPECT_TRUE(present.emplace(record.origin.value, record.lsn.value).second)
            << record.origin.value << " comes twice";
        // Records that were released may be there again, where the mark was lost.
        const auto known = appended_[name].find(record.origin.value);
        ASSERT_NE(known, appended_[name].end()) << record.origin.value;
        Kept as_appended = record;
        as_appended.lsn = {};
        ASSERT_TRUE(as_appended == known->second) << record.origin.value;
    }
    uint64_t testified = 0;
    for (const OldFrame& frame : old.frames)
        if (!changed(frame.offset, frame.summed_bytes))
            testified = std::max(testified, frame.testimony);
    const uint64_t from = needed_from(name);
    bool unbroken = true;  // since the testimony
    for (const OldFrame& frame : old.frames) {
        const bool intact = !changed(frame.offset, frame.summed_bytes);
        // A lost link is made anew where the segment is known from its other frames.
        if (frame.lsn >= testified && !intact) unbroken = false;
        if (!OldStream::is_record(frame) || frame.lsn < from) continue;
        const bool in_gap = std::any_of(gaps.begin(), gaps.end(), [&](const Lost& gap) {
            return gap.begin <= frame.lsn && frame.lsn < gap.end;
        });
        const auto found = present.find(frame.origin);
        const bool here = found != present.end() && found->second == frame.lsn;
        if (!intact && !here && found != present.end()) ++saved_by_a_copy_;
        const Fate fate{found != present.end(), here, in_gap,
                        frame.lsn >= testified && frame.lsn >= contents.end,
                        frame.lsn < begin && noted(report, "oldest segment")};
        expect_fate(fate, intact, intact && (frame.lsn < testified || unbroken),
                    saved_as + " LSN " + std::to_string(frame.lsn));
    }
}

void SalvageProperty::expect_fate(const Fate& fate, bool intact, bool must_be_saved,
                                  const std::string& which) {
    ++checked_;
    saved_ += fate.present ? 1 : 0;
    lost_ += fate.in_gap ? 1 : 0;
    EXPECT_TRUE(fate.present || !must_be_saved) << which << " verifies and is not saved";
    EXPECT_TRUE(!fate.here || intact) << which << " was damaged, and is given out";
    EXPECT_TRUE(fate.present || fate.in_gap || fate.behind_end || fate.below_begin)
        << which << " is silently lost";
    EXPECT_FALSE(fate.here && fate.in_gap) << which << " is there, and reported as lost";
}

void SalvageProperty::check() {
    const auto report = salvage_pool(folder_ / "old", folder_ / "new");
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(file_bytes(folder_ / "old"), damaged_);
    std::string trace;
    for (const std::string& note : report->notes) trace += note + "\n";
    for (const StreamCopy& stream : report->streams)
        trace += stream.name + ": LSN " + std::to_string(stream.begin.value) + " to " +
                 std::to_string(stream.end.value) + "\n";
    SCOPED_TRACE(trace);
    OpenOptions with;
    with.emulate = Emulate::cache_line;
    Log log = must(Log::open(folder_ / "new", with));
    for (const Damage& damage : must(log.check())) EXPECT_EQ(damage.verdict, "gap");
    if (noted(*report, "may own it") || noted(*report, "counts as released")) {
        ++ambiguous_;
        return;
    }
    for (const auto& [name, stream] : old_.streams) check_stream(log, *report, name);
    for (const StreamInfo& info : log.streams()) {
        const auto appended = must(log.stream(info.name)).append(pattern(1, 20));
        EXPECT_TRUE(appended || appended.error().code == Errc::full);
    }
}

TEST_F(SalvageProperty, SavesWhatVerifiesAndReportsWhatDoesNot) {
    const char* given = std::getenv("CINNABAR_SEED");
    const uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("CINNABAR_SEED=%llu\n", static_cast<unsigned long long>(seed));
    for (int round = 0; round < kRounds; ++round) {
        random_.seed(seed + static_cast<uint64_t>(round));  // round 0 of another seed is this one
        build();
        learn();
        damage();
        check();
        if (HasFailure()) {
            std::printf("CINNABAR_SEED=%llu gives it at once; damage:%s\n",
                        static_cast<unsigned long long>(seed) + static_cast<unsigned>(round),
                        done_.c_str());
            return;
        }
        for (const char* name : {"old", "new"}) std::filesystem::remove(folder_ / name);
    }
    std::printf("%llu records: %llu saved, %llu in gaps; %llu of %d pools ambiguous\n",
                static_cast<unsigned long long>(checked_), static_cast<unsigned long long>(saved_),
                static_cast<unsigned long long>(lost_), static_cast<unsigned long long>(ambiguous_),
                kRounds);
    std::printf("%llu carried, %llu saved by another frame\n",
                static_cast<unsigned long long>(carried_),
                static_cast<unsigned long long>(saved_by_a_copy_));
    EXPECT_GT(saved_, lost_);
    EXPECT_GT(lost_, 0u);
    EXPECT_GT(carried_, 500u);
    EXPECT_GT(saved_by_a_copy_, 0u);
}

}  // namespace
}  // namespace cinnabar::log_test
