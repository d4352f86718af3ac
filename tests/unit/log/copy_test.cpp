// Copying a sound pool into one of another size: what stays, what is new, and every refusal.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "anatomy.hpp"

namespace cinnabar::log_test {
namespace {

class CopyTest : public LogTest {
  protected:
    void SetUp() override {
        LogTest::SetUp();
        new_path_ = folder_ / "new";
    }

    // Two streams; the first one has two services and records of all kinds.
    void fill() {
        create(4096);
        Log log = open();
        Stream one = must(log.add_stream("one", Writers::one));
        Stream many = must(log.add_stream("many", Writers::many));
        early_ = must(log.add_service("one", "early"));
        late_ = must(log.add_service("one", "late"));
        std::optional<Lsn> previous;
        for (uint64_t i = 0; i < 200; ++i) {
            AppendOptions with;
            with.durability = i % 40 == 0 ? Durability::forced : Durability::lazy;
            with.service = i % 2 == 0 ? early_ : late_;
            with.kind = static_cast<uint16_t>(i);
            with.previous = previous;
            previous = must(one.append(pattern(i, 1 + i * 7 % 800), with));
            lsns_.push_back(*previous);
            must(many.append(pattern(1000 + i, 40), lazy()));
        }
        must(one.force(lsns_.back()));
        must(log.release(late_, lsns_[150]));
        must(log.release(early_, lsns_[70]));
        must(log.close());
    }

    std::map<std::string, Contents> all_of(const std::filesystem::path& path) {
        OpenOptions with = read_only();
        Log log = must(Log::open(path, with));
        EXPECT_TRUE(log.report().clean());
        std::map<std::string, Contents> all;
        for (const StreamInfo& stream : log.streams())
            all[stream.name] = contents_of(must(log.stream(stream.name)));
        return all;
    }

    std::vector<std::string> names_in_folder() const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(folder_))
            names.push_back(entry.path().filename());
        std::sort(names.begin(), names.end());
        return names;
    }

    static format::PoolId id_of(const std::filesystem::path& path) {
        return must(pool::RawPool::open(path, milliseconds(0))).space().id;
    }

    std::filesystem::path new_path_;
    ServiceId early_, late_;
    std::vector<Lsn> lsns_;
};
INSTANTIATE_TEST_SUITE_P(Log, CopyTest, kBoth, medium_name);

TEST_P(CopyTest, KeepsEverythingThatTheMarksNeedAndTheOldFileAsItWas) {
    fill();
    const auto before = file_bytes(path_);
    const auto old = all_of(path_);
    const Anatomy anatomy(path_);
    const CopyReport report = must(copy_pool(path_, new_path_, {.pool_bytes = kPoolBytes * 2}));
    EXPECT_EQ(before, file_bytes(path_));
    EXPECT_EQ(std::filesystem::file_size(new_path_), kPoolBytes * 2);
    EXPECT_NE(id_of(path_), id_of(new_path_));
    EXPECT_EQ(all_of(new_path_), old);
    ASSERT_GT(old.at("one").records.size(), 100u);

    ASSERT_EQ(report.streams.size(), 2u);
    EXPECT_FALSE(report.gaps());
    EXPECT_EQ(report.segments_used, anatomy.segments.size());
    EXPECT_EQ(report.pool_bytes, kPoolBytes * 2);
    EXPECT_EQ(report.streams[0].name, "one");
    // From the segment that holds the mark on, not from the stream's beginning.
    const uint64_t span = anatomy.span();
    EXPECT_EQ(report.streams[0].begin.value, lsns_[70].value / span * span);
    EXPECT_GT(report.streams[0].begin.value, span);
    EXPECT_EQ(report.streams[0].end.value, anatomy.end.at("one"));
    EXPECT_GE(report.streams[0].records, old.at("one").records.size());
    EXPECT_EQ(report.streams[1].records, 200u);
    EXPECT_EQ(report.streams[1].payload_bytes, 200u * 40);

    Log log = open_at(new_path_);
    EXPECT_TRUE(must(log.check()).empty());
    EXPECT_EQ(log.streams()[0].writers, Writers::one);
    EXPECT_EQ(log.streams()[1].writers, Writers::many);
    const auto services = log.services();
    ASSERT_EQ(services.size(), 2u);
    EXPECT_EQ(services[0].service, early_);
    EXPECT_EQ(services[0].name, "early");
    EXPECT_EQ(services[0].low_water, lsns_[70]);
    EXPECT_EQ(services[1].service, late_);
    EXPECT_EQ(services[1].low_water, lsns_[150]);
    EXPECT_EQ(services[1].stream, "one");
}

TEST_P(CopyTest, GoesOnWhereTheOldOneWould) {
    fill();
    must(copy_pool(path_, new_path_));
    std::vector<Lsn> next;
    for (const auto& path : {path_, new_path_}) {
        Log log = open_at(path);
        Stream stream = must(log.stream("one"));
        Lsn last;
        for (uint64_t i = 0; i < 100; ++i) last = must(stream.append(pattern(i, 500)));
        next.push_back(last);
        // Numbers of streams are never given twice, also those that are gone.
        must(log.release(early_, last));
        must(log.close());
        Log again = open_at(path);
        EXPECT_TRUE(must(again.check()).empty());
        EXPECT_EQ(must(again.stream("one")).low_water(), lsns_[150]);
    }
    EXPECT_EQ(next[0], next[1]);
}

TEST_P(CopyTest, OfACopyIsTheSame) {
    fill();
    must(copy_pool(path_, new_path_, {.pool_bytes = kPoolBytes + (4 << 20)}));
    must(copy_pool(new_path_, folder_ / "third", {.pool_bytes = kPoolBytes}));
    EXPECT_EQ(all_of(folder_ / "third"), all_of(path_));
}

TEST_P(CopyTest, KeepsNumbersOfStreamsAndTheMarkOfAStreamWithoutServices) {
    fill();
    {
        Log log = open();
        must(log.remove_stream("many"));
        must(log.remove_service(late_));
        must(log.remove_service(early_));
    }
    must(copy_pool(path_, new_path_));
    Log log = open_at(new_path_);
    EXPECT_EQ(must(log.stream("one")).low_water(), lsns_[70]);
    must(log.add_stream("next", Writers::one));
    must(log.close());
    auto pool = must(pool::RawPool::open(new_path_, milliseconds(0)));
    EXPECT_EQ(pool.space().catalogue->streams[0].stream, 1u);
    EXPECT_EQ(pool.space().catalogue->streams[1].stream, 3u) << "2 was given once";
}

// After a kill: what recovery would take, and no more.
TEST_P(CopyTest, OfAPoolThatAKillLeftEndsWhereRecoveryCuts) {
    create(4096);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    for (uint64_t i = 0; i < 50; ++i) lsns_.push_back(must(stream.append(pattern(i, 300), lazy())));
    const auto killed = as_killed(log);
    // A torn record: it and what is behind it was never acknowledged.
    flip_byte(killed, offset_in_file(killed, pattern(45, 300)));
    const auto before = file_bytes(killed);
    const CopyReport report = must(copy_pool(killed, new_path_));
    EXPECT_EQ(before, file_bytes(killed));
    EXPECT_FALSE(report.gaps());
    EXPECT_EQ(report.streams[0].end, lsns_[45]);
    const CopyReport salvaged = must(salvage_pool(killed, folder_ / "salvaged"));
    EXPECT_EQ(salvaged.streams[0].end, lsns_[45]);
    EXPECT_FALSE(salvaged.gaps());
    const auto copied = all_of(new_path_);
    Log recovered = open_at(killed);
    EXPECT_EQ(contents_of(must(recovered.stream("s"))), copied.at("s"));
    EXPECT_EQ(copied.at("s").records.size(), 45u);
    // The new pool testifies itself, and the old one did not: nothing was ever forced.
    Log fresh = open_at(new_path_);
    EXPECT_LT(recovered.report().streams[0].testified, lsns_[40]);
    EXPECT_GE(fresh.report().streams[0].testified, lsns_[44]);
    EXPECT_EQ(all_of(folder_ / "salvaged"), copied);
}

TEST_P(CopyTest, IntoTooSmallAPoolSaysHowManySegmentsItNeeds) {
    create(64 << 10, 16 << 20);
    {
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::many));
        for (uint64_t i = 0; i < 500; ++i) must(stream.append(pattern(i, 10000), lazy()));
    }
    const uint64_t needed = Anatomy(path_).segments.size();
    ASSERT_GT(needed, 50u);
    for (const uint64_t bytes : {uint64_t{100}, kPoolBytes, uint64_t{9} << 20}) {
        const auto copied = copy_pool(path_, new_path_, {.pool_bytes = bytes});
        ASSERT_EQ(code_of(copied), Errc::invalid_argument);
        EXPECT_TRUE(contains(copied.error().message, std::to_string(needed) + " segments"))
            << copied.error().message;
        EXPECT_EQ(names_in_folder(), std::vector<std::string>{"pool"});
    }
    // The smallest that the message names is enough, or nearly so.
    must(copy_pool(path_, new_path_, {.pool_bytes = (needed * 64 << 10) + (6 << 20)}));
    EXPECT_EQ(all_of(path_), all_of(new_path_));
}

TEST_P(CopyTest, NeverReplacesAFileNorLeavesOneBehind) {
    fill();
    std::ofstream(new_path_) << "mine";
    for (const auto work : {&copy_pool, &salvage_pool}) {
        EXPECT_EQ(code_of(work(path_, new_path_, {})), Errc::already_exists);
        EXPECT_EQ(code_of(work(path_, path_, {})), Errc::already_exists);
        EXPECT_EQ(code_of(work(path_, folder_ / "none" / "new", {})), Errc::not_found);
        EXPECT_EQ(code_of(work(folder_ / "none", folder_ / "new2", {})), Errc::not_found);
        EXPECT_EQ(code_of(work(folder_, folder_ / "new2", {})), Errc::not_a_pool);
        EXPECT_EQ(code_of(work(new_path_, folder_ / "new2", {})), Errc::not_a_pool);
    }
    EXPECT_EQ(names_in_folder(), (std::vector<std::string>{"new", "pool"}));
    EXPECT_EQ(file_bytes(new_path_).size(), 4u);
}

TEST_P(CopyTest, RefusesAPoolThatIsOpen) {
    fill();
    Log log = open();
    for (const auto work : {&copy_pool, &salvage_pool}) {
        const auto copied = work(path_, new_path_, {});
        ASSERT_EQ(code_of(copied), Errc::locked);
        EXPECT_TRUE(contains(copied.error().message, "this process")) << copied.error().message;
    }
    must(log.close());
    must(copy_pool(path_, new_path_));
}

TEST_P(CopyTest, LocksTheOldFileMeanwhile) {
    fill();
    auto held = must(pool::RawPool::open(path_, milliseconds(0)));
    EXPECT_EQ(code_of(Log::open(path_, options())), Errc::locked);
    EXPECT_EQ(code_of(salvage_pool(path_, new_path_)), Errc::locked);
}

TEST_P(CopyTest, OnAFullDiskLeavesNothing) {
    expect_ends_well([&] {
        fill();
        ::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{4 << 20, 4 << 20};
        ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
        EXPECT_EQ(code_of(copy_pool(path_, new_path_)), Errc::disk_full);
        EXPECT_EQ(names_in_folder(), std::vector<std::string>{"pool"});
    });
}

// What is damaged is refused with its place, and nothing is made.
TEST_P(CopyTest, RefusesDamage) {
    fill();
    const Anatomy anatomy(path_);
    const auto sound = file_bytes(path_);
    struct Case {
        const char* what;
        uint64_t offset;
    };
    const Case cases[] = {
        {"a frame below all testimony", anatomy.frame("one", lsns_[100].value) + 40},
        {"the last record", anatomy.frame("one", lsns_[199].value) + 40},
        {"a link", anatomy.segment("many", 0) + format::kFramesOffset + 33},
        {"a stream row", anatomy.stream_row(1) + 9},
        {"a service row", anatomy.service_row(0) + 9},
        {"the ceiling", anatomy.catalogue + 512},
        {"the last stream", anatomy.catalogue + 576},
    };
    for (const Case& one : cases) {
        overwrite(path_, 0, sound);
        flip_byte(path_, one.offset);
        if (one.offset < anatomy.stream_row(0))  // both slots
            zero(path_, one.offset, 64);
        const auto copied = copy_pool(path_, new_path_);
        ASSERT_EQ(code_of(copied), Errc::corrupt) << one.what;
        ASSERT_TRUE(copied.error().range.has_value()) << one.what;
        EXPECT_LE(copied.error().range->offset_bytes, one.offset) << one.what;
        EXPECT_GT(copied.error().range->offset_bytes + copied.error().range->length_bytes,
                  one.offset)
            << one.what;
        EXPECT_TRUE(contains(copied.error().message, "alvage")) << copied.error().message;
        EXPECT_EQ(names_in_folder(), std::vector<std::string>{"pool"}) << one.what;
    }
}

TEST_P(CopyTest, OfAnEmptyPool) {
    create();
    must(copy_pool(path_, new_path_));
    EXPECT_TRUE(open_at(new_path_).streams().empty());
    {
        Log log = open();
        must(log.add_stream("s", Writers::one));
    }
    must(salvage_pool(path_, folder_ / "salvaged"));
    Log log = open_at(folder_ / "salvaged");
    EXPECT_EQ(must(must(log.stream("s")).append(pattern(1, 10))), Lsn{64});
}

// Streams with a restart reserve take their segments along, and those that must be kept back.
class CopyReserveTest : public CopyTest {
  protected:
    static constexpr uint64_t kSegment = 1 << 20;
    static constexpr size_t kLarge = 250'000;  // four to a segment
    static constexpr uint32_t kKeptBack = 2 + 2;

    // Two streams with a reserve and one without, on a dozen segments.
    void make_old() {
        create(kSegment, 40 * kSegment);
        Log log = open();
        for (const char* name : {"a", "b"}) {
            Stream stream = must(log.add_stream(name, Writers::many, Reserve::yes));
            services_.push_back(must(log.add_service(name, name)));
            for (uint64_t i = 0; i < 17; ++i) must(stream.append(pattern(i, kLarge), lazy()));
        }
        Stream plain = must(log.add_stream("plain", Writers::one));
        for (uint64_t i = 0; i < 6; ++i) must(plain.append(pattern(i, kLarge), lazy()));
        must(log.close());
    }
    uint64_t bytes_needed(const Error& error) {
        const size_t at = error.message.find("it needs ");
        if (error.code != Errc::invalid_argument || at == std::string::npos)
            throw std::runtime_error(error.message);
        size_t digits = 0;
        const std::string needed = error.message.substr(at + 9);
        const uint64_t number = std::stoull(needed, &digits);
        const std::string unit = needed.substr(digits, 4);
        return number << (unit == " KiB" ? 10 : unit == " MiB" ? 20 : 0);
    }
    static void fill(Stream& stream) {
        for (const size_t size : {kLarge, size_t{10}})
            while (stream.append(pattern(1, size), lazy())) {
            }
    }
    // The full log takes a checkpoint of each service, and all of an oldest segment once more.
    void expect_reserve_holds(Log& log) {
        for (const char* name : {"a", "b", "plain"}) {
            Stream stream = must(log.stream(name));
            fill(stream);
        }
        EXPECT_EQ(log.segments_free(), kKeptBack);
        EXPECT_EQ(log.segments_kept_back(), kKeptBack);
        for (size_t i = 0; i < 2; ++i) {
            Stream stream = must(log.stream(i == 0 ? "a" : "b"));
            EXPECT_EQ(code_of(stream.append(pattern(1, 10))), Errc::full);
            must(stream.append(pattern(2, kLarge), {.service = services_[i], .checkpoint = true}));
        }
        Stream stream = must(log.stream("a"));
        std::vector<Lsn> oldest;
        for (const Read& record : read_all(stream))
            if (record.lsn < stream.oldest_end()) oldest.push_back(record.lsn);
        ASSERT_EQ(oldest.size(), 4u);
        must(stream.carry_forward(oldest));
        must(log.release(services_[0], stream.oldest_end()));
        EXPECT_TRUE(read_all(stream, must(stream.locate(oldest[3]))).at(0).payload ==
                    pattern(3, kLarge));
        EXPECT_TRUE(must(log.check()).empty());
    }

    std::vector<ServiceId> services_;
};
INSTANTIATE_TEST_SUITE_P(Log, CopyReserveTest, ::testing::Values(kCacheLine), medium_name);

TEST_P(CopyReserveTest, TheSmallestPoolHoldsTheReserveToo) {
    make_old();
    const auto used = static_cast<uint32_t>(Anatomy(path_).segments.size());
    ASSERT_EQ(used, 5u + 5u + 2u);
    const auto refused = copy_pool(path_, new_path_, {.pool_bytes = kSegment});
    ASSERT_EQ(code_of(refused), Errc::invalid_argument);
    EXPECT_TRUE(contains(refused.error().message, std::to_string(used + kKeptBack) + " segments"))
        << refused.error().message;
    const uint64_t smallest = bytes_needed(refused.error());
    EXPECT_LT(smallest, 40 * kSegment);
    // One segment less would hold the records, and not the reserve.
    for (const uint64_t less : {format::kPageBytes, kSegment, kKeptBack * kSegment})
        EXPECT_EQ(code_of(copy_pool(path_, new_path_, {.pool_bytes = smallest - less})),
                  Errc::invalid_argument);
    EXPECT_EQ(names_in_folder(), std::vector<std::string>{"pool"});

    const auto old = all_of(path_);
    EXPECT_EQ(must(copy_pool(path_, new_path_, {.pool_bytes = smallest})).segments_used, used);
    EXPECT_EQ(all_of(new_path_), old);
    Log log = open_at(new_path_);
    EXPECT_EQ(log.segments_total(), used + kKeptBack) << "not one more";
    EXPECT_EQ(log.streams()[0].reserve, Reserve::yes);
    EXPECT_EQ(log.streams()[2].reserve, Reserve::no);
    expect_reserve_holds(log);
}

// A log that stands in its reserve: its copy has one again, in a larger pool if need be.
TEST_P(CopyReserveTest, OfALogThatStandsInItsReserveHasAWholeOne) {
    make_old();
    {
        Log log = open();
        Stream stream = must(log.stream("a"));
        fill(stream);
        const Lsn oldest{kLine};
        while (stream.carry_forward({&oldest, 1})) {
        }
        EXPECT_EQ(log.segments_free(), 0u);
        must(log.close());
    }
    const uint64_t old_bytes = std::filesystem::file_size(path_);
    EXPECT_EQ(code_of(copy_pool(path_, new_path_, {.pool_bytes = old_bytes})),
              Errc::invalid_argument);
    const auto old = all_of(path_);
    EXPECT_GT(must(copy_pool(path_, new_path_)).pool_bytes, old_bytes);
    EXPECT_EQ(all_of(new_path_), old);
    Log log = open_at(new_path_);
    EXPECT_EQ(log.segments_free(), kKeptBack);
    expect_reserve_holds(log);
}

}  // namespace
}  // namespace cinnabar::log_test
