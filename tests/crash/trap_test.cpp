// The failing sequences that shaped the log, each shown to be harmless. The numbers are those of
// engine/doc/TRAPS.md.
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "crash/harness.hpp"
#include "log/copy_pool.hpp"
#include "log/survey.hpp"
#include "trials/one_stream.hpp"

namespace cinnabar::crash_test {

namespace {

std::byte* frame_at(SimPool& pool, Life& life, Lsn lsn) {
    auto pinned = life.engine().stream("s")->pin(lsn.value);
    life.engine().stream("s")->unpin(pinned->ordinal);
    const auto offset =
        pool.space().offset_of(pinned->life.base + pinned->life.offset_of(lsn.value));
    return pool.bytes().data() + offset;
}

TEST(Trap, L1_WhatRecoveryDeliversSurvivesALaterPowerLoss) {
    OneStream setup;
    ASSERT_TRUE(setup.life.open());
    setup.append(100, Durability::forced);
    for (int i = 0; i < 12; ++i) setup.append(200, Durability::lazy);
    setup.life.kill();
    ASSERT_TRUE(setup.life.open());
    // Recovery read all thirteen from the caches and delivered them: they are acknowledged now.
    auto records = setup.life.read("s");
    ASSERT_TRUE(records);
    ASSERT_EQ(records->size(), 13u);
    setup.life.note_durable(setup.history, "s");
    ASSERT_GT(setup.history["s"].acknowledged, records->back().lsn.value);
    Explorer explorer(setup.life, setup.prefix_check());
    explorer.look("right after recovery");
    setup.append(50, Durability::forced);
    EXPECT_EQ(explorer.failure, "");
}

TEST(Trap, L3b_AnAcknowledgedRecordTakesItsLazyPredecessorsAlong) {
    OneStream setup;
    ASSERT_TRUE(setup.life.open());
    Explorer explorer(setup.life, setup.prefix_check());
    for (int i = 0; i < 6; ++i) {
        setup.append(90, Durability::lazy);
        setup.append(90, Durability::lazy);
        setup.append(90, Durability::forced);
        explorer.look("after the acknowledgement");
    }
    EXPECT_EQ(explorer.failure, "");
}

TEST(Trap, L5_AnAcknowledgedFrameThatLostItsLineIsCorruptNotAQuietEnd) {
    for (const bool zeroed : {true, false}) {
        OneStream setup;
        ASSERT_TRUE(setup.life.open());
        for (int i = 0; i < 4; ++i) setup.append(40, Durability::forced);
        const Lsn victim = setup.history["s"].appended[1].lsn;
        std::byte* line = frame_at(setup.pool, setup.life, victim);
        if (zeroed)
            std::memset(line, 0, 64);  // unwritten
        else
            line[0] ^= std::byte{0xFF};  // another generation: stale
        setup.life.kill();
        // The next segment's link frame, or a later frame, testifies that it was durable.
        auto opened = setup.life.open();
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().code, Errc::corrupt);
        EXPECT_EQ(opened.error().lsn, victim);
        ASSERT_TRUE(opened.error().range);
        EXPECT_EQ(opened.error().range->offset_bytes, setup.pool.space().offset_of(line));
        EXPECT_NE(opened.error().message.find(zeroed ? "corrupt_unwritten" : "corrupt_stale"),
                  std::string::npos)
            << opened.error().message;
    }
    format::FrameHeader far;
    far.lsn = uint64_t{1} << 50;
    far.distance_lines = format::kNoTestimony;
    EXPECT_EQ(format::testimony(far), 0u);
}

// After every image of a first crash: recover, append, crash again. Frames behind the first cut
// must not come back.
TEST(Trap, L6_FramesBehindTheCutNeverComeBackToLife) {
    std::mt19937_64 random(seed_of_this_run());
    uint64_t second_crashes = 0;
    for (int round = 0; round < 6; ++round) {
        OneStream setup({}, {.segments = 6, .seed = random()});
        ASSERT_TRUE(setup.life.open());
        setup.append(64, Durability::forced);
        const int lazies = 6 + static_cast<int>(random() % 8);
        for (int i = 0; i < lazies; ++i) setup.append(30 + random() % 200, Durability::lazy);
        std::vector<std::vector<std::byte>> images;
        setup.life.medium().visit_images([&](std::span<const std::byte> image) {
            if (random() % 16 == 0) images.emplace_back(image.begin(), image.end());
            return true;
        });
        for (const auto& image : images) {
            SimPool pool(setup.pool, image);
            Life second(pool, setup.options);
            ASSERT_TRUE(second.open());
            History history = setup.history;
            ASSERT_EQ(deliver(second, history), "");
            Explorer explorer(second, [&](auto& again) {
                return recover_and_compare(pool, again, history, setup.options);
            });
            for (int i = 0; i < 3; ++i)
                ASSERT_TRUE(second.append(history, "s", 20 + random() % 100, Durability::forced));
            explorer.look("at the end");
            second_crashes += explorer.explored.images;
            ASSERT_EQ(explorer.failure, "") << "seed " << seed_of_this_run();
        }
    }
    std::cout << second_crashes << " images of a second crash\n";
}

TEST(Trap, L7_DamagedHeadersAndLinksAreNeverPreparedAnew) {
    for (const bool header : {true, false}) {
        OneStream setup;
        ASSERT_TRUE(setup.life.open());
        while (setup.history["s"].appended.size() < 12) setup.append(200, Durability::forced);
        auto pinned = setup.life.engine().stream("s")->pin(kSpan);  // the second segment
        ASSERT_TRUE(pinned);
        std::byte* base = setup.pool.space().segments[pinned->life.segment];
        setup.life.engine().stream("s")->unpin(pinned->ordinal);
        const std::vector<std::byte> intact(setup.pool.bytes().begin(), setup.pool.bytes().end());
        if (header) {
            base[20] ^= std::byte{1};
            base[format::kBlockBytes + 20] ^= std::byte{1};
        } else {
            base[format::kFramesOffset + 40] ^= std::byte{1};
        }
        setup.life.kill();
        const std::vector<std::byte> damaged(setup.pool.bytes().begin(), setup.pool.bytes().end());
        auto opened = setup.life.open();
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().code, Errc::corrupt);
        EXPECT_NE(opened.error().message.find(header ? "corrupt_segment_header" : "corrupt_link"),
                  std::string::npos)
            << opened.error().message;
        EXPECT_TRUE(std::equal(damaged.begin(), damaged.end(), setup.pool.bytes().begin()))
            << "an open that finds corruption writes nothing";
        std::copy(intact.begin(), intact.end(), setup.pool.bytes().begin());
        EXPECT_TRUE(setup.life.open());
    }
}

TEST(Trap, L7_OneDamagedHeaderCopyIsSurvived) {
    for (const size_t copy : format::kHeaderOffset) {
        OneStream setup;
        ASSERT_TRUE(setup.life.open());
        for (int i = 0; i < 8; ++i) setup.append(200, Durability::forced);
        auto pinned = setup.life.engine().stream("s")->pin(0);
        std::byte* base = setup.pool.space().segments[pinned->life.segment];
        setup.life.engine().stream("s")->unpin(pinned->ordinal);
        base[copy + 9] ^= std::byte{1};
        setup.life.kill();
        ASSERT_TRUE(setup.life.open());
        EXPECT_EQ(compare(setup.life, setup.history), "");
        ASSERT_EQ(setup.life.report().notes.size(), 1u);
    }
}

TEST(Trap, L9_TheCrashModelTearsNonTemporalStoresInAnyOrder) {
    alignas(4096) static std::byte memory[4096] = {};
    CrashMedium medium(memory, Domain::cache_line);
    const FrameWords header{{1, 0, 3, 4}};
    const std::vector<std::byte> payload(32, std::byte{9});
    const Bytes piece(payload);
    medium.store_frame(Site::forced_frame_store, memory, header, {&piece, 1}, 0,
                       StoreKind::non_temporal);
    bool sum_without_generation = false;
    medium.visit_images([&](std::span<const std::byte> image) {
        uint64_t words[2];
        std::memcpy(words, image.data(), sizeof words);
        sum_without_generation = sum_without_generation || (words[0] == 0 && words[1] != 0);
        return true;
    });
    EXPECT_TRUE(sum_without_generation);
}

TEST(Trap, L10_APayloadThatHoldsFramesAndATornLengthLeadNobodyAstray) {
    OneStream setup;
    ASSERT_TRUE(setup.life.open());
    setup.append(100, Durability::forced);
    // The bytes of a real frame of this life, as the payload of later records, at every distance.
    const std::byte* frame = frame_at(setup.pool, setup.life, setup.history["s"].appended[0].lsn);
    std::vector<std::byte> mimic(32);
    mimic.insert(mimic.end(), frame, frame + 192);
    mimic.insert(mimic.end(), frame, frame + 64);
    auto core = setup.life.engine().stream("s");
    const uint64_t before = core->appended();
    const Bytes piece(mimic);
    bool quiet = true;
    setup.life.medium().on_crash_point([&](Site) {
        setup.life.medium().visit_images([&](std::span<const std::byte> image) {
            SimPool pool(setup.pool, image);
            Life life(pool, setup.options);
            auto opened = life.open();
            const bool fine = opened && life.read("s") && life.read("s")->size() <= 2;
            quiet = quiet && fine;
            return fine;
        });
    });
    ASSERT_TRUE(core->append({&piece, 1}, mimic.size(), {.durability = Durability::forced}));
    setup.life.medium().on_crash_point(nullptr);
    EXPECT_TRUE(quiet);
    core.reset();  // it must not outlive its engine
    // A length that rotted, at the end of the log: bounds come before the sum.
    std::byte* line = frame_at(setup.pool, setup.life, Lsn{before});
    for (const uint32_t length : {0u, 0x0FFFFFFFu, 1u << 20}) {
        const uint32_t word = format::length_and_flags(format::FrameType::record, true, length);
        std::memcpy(line + 4, &word, sizeof word);
        setup.life.kill();
        SimPool pool(setup.pool, setup.pool.bytes());
        Life life(pool, setup.options);
        ASSERT_TRUE(life.open());
        EXPECT_EQ(life.read("s")->size(), 1u);
        EXPECT_EQ(life.report().streams[0].end_verdict, "torn");
    }
}

TEST(Trap, L11_NothingIsReleasedAboveDurableAndReuseWaitsForTheMark) {
    OneStream setup({.spares = 0}, {.segments = 4});
    const ServiceId keeper = setup.add_service();
    ASSERT_TRUE(setup.life.open());
    setup.append(100, Durability::forced);
    setup.append(100, Durability::lazy);
    auto core = setup.life.engine().stream("s");
    auto early = setup.life.release(setup.history, keeper, Lsn{core->appended()});
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().code, Errc::invalid_argument);
    Explorer explorer(setup.life, setup.prefix_check());
    for (int i = 0; i < 60 && explorer.failure.empty(); ++i) {
        setup.append(180, Durability::forced);
        if (i % 3 != 2) continue;
        const Lsn to = setup.history["s"].appended[setup.history["s"].appended.size() - 2].lsn;
        setup.history["s"].low_water = to.value;
        ASSERT_TRUE(setup.life.release(setup.history, keeper, to));
    }
    EXPECT_EQ(explorer.failure, "");
    EXPECT_GT(core->appended(), 3 * 4 * kSpan / 2) << "segments were used again";
}

TEST(Trap, L12_L15_AFailedWriteBackEndsEveryStreamOfThePool) {
    OneStream setup({.domain = Domain::page}, {.segment_bytes = 4096});
    setup.add_other_stream();
    ASSERT_TRUE(setup.life.open());
    setup.append(100, Durability::forced);
    ASSERT_TRUE(setup.life.append(setup.history, "other", 100, Durability::forced));
    Explorer explorer(setup.life, setup.prefix_check());
    setup.append(100, Durability::forced);
    setup.life.medium().fail_next_sync();
    auto failed = setup.life.append(setup.history, "s", 100, Durability::forced);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Errc::io);
    // A second msync would report success and write nothing: nobody may be acknowledged by it.
    for (const char* stream : {"s", "other"}) {
        auto refused = setup.life.append(setup.history, stream, 100, Durability::forced);
        ASSERT_FALSE(refused) << stream;
        EXPECT_EQ(refused.error().code, Errc::failed) << stream;
    }
    EXPECT_EQ(explorer.failure, "");
}

TEST(Trap, L13_L21_AForkedChildIsRefusedAndHarmsNothing) {
    OneStream setup;
    ASSERT_TRUE(setup.life.open());
    setup.append(100, Durability::forced);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        History history = setup.history;
        auto refused = setup.life.append(history, "s", 10, Durability::forced);
        _exit(!refused && refused.error().code == Errc::forked ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    setup.append(100, Durability::forced);
    EXPECT_EQ(compare(setup.life, setup.history), "");
}

// --- L13: a source that faults ------------------------------------------------------------------

sigjmp_buf after_fault;

// Appends in a program that survives its own faults. Did the source fault?
bool append_faults(StreamCoreBase& stream, std::span<const Bytes> pieces, Durability durability) {
    struct sigaction action = {}, before = {};
    action.sa_handler = [](int) { siglongjmp(after_fault, 1); };
    sigaction(SIGSEGV, &action, &before);
    volatile bool faulted = true;
    if (sigsetjmp(after_fault, 1) == 0) {
        uint64_t size = 0;
        for (const Bytes& piece : pieces) size += piece.size();
        (void)stream.append(pieces, size, {.durability = durability});
        faulted = false;
    }
    sigaction(SIGSEGV, &before, nullptr);
    return faulted;
}

// Readable pages, the last but one of them taken away.
class Torn {
  public:
    static constexpr size_t kPage = 4096;
    static constexpr size_t kPages = 3;

    Torn()
        : begin_(static_cast<std::byte*>(mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE,
                                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
        mprotect(begin_ + kPage, kPage, PROT_NONE);
    }
    Torn(const Torn&) = delete;
    ~Torn() { munmap(begin_, kPages * kPage); }
    Bytes bytes(size_t from, size_t length) const { return Bytes(begin_ + from, length); }

  private:
    std::byte* begin_;
};

TEST(Trap, L13_ASourceThatFaultsTakesNoSpaceAndLeavesNoHole) {
    const Torn torn;
    const Bytes whole[] = {torn.bytes(100, 2 * Torn::kPage)};
    const Bytes first_byte_only[] = {torn.bytes(Torn::kPage - 10, 11)};
    const Bytes gathered[] = {torn.bytes(0, 50), torn.bytes(Torn::kPage + 7, 1), torn.bytes(9, 9)};
    const std::span<const Bytes> sources[] = {whole, first_byte_only, gathered};
    for (const bool shared : {false, true}) {
        SimPool pool({.segment_bytes = 1 << 16, .segments = 4});
        pool.add_stream("s", shared);
        Life life(pool, {});
        ASSERT_TRUE(life.open());
        History history;
        const auto stream = life.engine().stream("s");
        for (int turn = 0; turn < 8; ++turn) {
            const Durability durability = turn % 2 == 0 ? Durability::forced : Durability::lazy;
            ASSERT_TRUE(life.append(history, "s", 100, durability));
            const uint64_t end = stream->appended();
            for (const std::span<const Bytes> source : sources)
                EXPECT_TRUE(append_faults(*stream, source, durability));
            EXPECT_EQ(stream->appended(), end);
            EXPECT_EQ(stream->published(), end);
        }
        // Nothing stands in the way of a force.
        ASSERT_TRUE(life.append(history, "s", 100, Durability::forced));
        EXPECT_EQ(stream->durable(), stream->appended());
        EXPECT_EQ(compare(life, history), "");
    }
}

TEST(Trap, L13_LazyWritersFlushBehindThemselves) {
    OneStream setup({}, {.segment_bytes = 1 << 20, .segments = 4});
    ASSERT_TRUE(setup.life.open());
    auto core = setup.life.engine().stream("s");
    for (int i = 0; i < 9; ++i) setup.append(60'000, Durability::lazy);
    EXPECT_GE(core->durable() + 256 * 1024, core->published());
    EXPECT_LT(core->durable(), core->published());
}

TEST(Trap, L14_AForcePromotesNothingInAnotherStream) {
    OneStream setup;
    setup.add_other_stream();
    ASSERT_TRUE(setup.life.open());
    ASSERT_TRUE(setup.life.append(setup.history, "other", 50, Durability::lazy));
    const uint64_t durable = setup.life.engine().stream("other")->durable();
    setup.append(50, Durability::forced);
    EXPECT_EQ(setup.life.engine().stream("other")->durable(), durable);
    bool other_can_be_lost = false;
    setup.life.medium().visit_images([&](std::span<const std::byte> image) {
        SimPool pool(setup.pool, image);
        Life life(pool, setup.options);
        EXPECT_TRUE(life.open());
        EXPECT_EQ(life.read("s")->size(), 1u);
        other_can_be_lost = other_can_be_lost || life.read("other")->empty();
        return true;
    });
    EXPECT_TRUE(other_can_be_lost) << "so a transaction's records belong into one stream";
}

TEST(Trap, L16_TwoStreamsAtTheirEndsShareNoLastSegment) {
    OneStream setup({.spares = 0}, {.segments = 3});
    setup.add_other_stream();
    ASSERT_TRUE(setup.life.open());
    uint64_t refused = 0;
    for (const char* stream : {"s", "other", "s", "other"}) {
        for (;;) {
            auto lsn = setup.life.append(setup.history, stream, 200, Durability::forced);
            if (lsn && setup.life.engine().stream(stream)->appended() % kSpan > kSpan - 256) break;
            if (!lsn) {
                EXPECT_EQ(lsn.error().code, Errc::full);
                ++refused;
                break;
            }
        }
    }
    EXPECT_GE(refused, 1u);
    EXPECT_EQ(compare(setup.life, setup.history), "");
    setup.life.kill();
    ASSERT_TRUE(setup.life.open());
    EXPECT_EQ(compare(setup.life, setup.history), "");
}

TEST(Trap, L17_ARecordThatEndsExactlyAtTheEndLeavesTheLinkItsPlace) {
    OneStream setup;
    ASSERT_TRUE(setup.life.open());
    Explorer explorer(setup.life, setup.prefix_check());
    const uint64_t lines = kSpan / 64 - 1;  // behind the link frame
    for (int segment = 0; segment < 3; ++segment)
        for (uint64_t line = 0; line < lines; ++line) setup.append(32, Durability::forced);
    const auto& appended = setup.history["s"].appended;
    EXPECT_EQ(appended[lines - 1].lsn.value, kSpan - 64);
    EXPECT_EQ(appended[lines].lsn.value, kSpan + 64);
    EXPECT_EQ(explorer.failure, "");
    EXPECT_EQ(compare(setup.life, setup.history), "");
}

// The pool as a salvage writes it anew.
SimPool salvaged(const SimPool& old, uint64_t seed, CopyReport& report) {
    SimPool fresh({.segments = 12, .age = Age::zero, .seed = seed});
    const log::PoolSurvey survey =
        log::survey_pool(old.space(), log::Condition::damaged, sim::run_serially);
    report = {};
    EXPECT_TRUE(log::copy_pool_into(old.space(), survey, fresh.space(), report));
    return fresh;
}

struct Chained {
    Lsn lsn;
    std::optional<Lsn> previous;
    std::vector<std::byte> payload;
    friend bool operator==(const Chained&, const Chained&) = default;
};

std::vector<Chained> read_behind_gaps(Life& life, std::optional<Lsn> from = {}) {
    std::vector<Chained> records;
    auto reader = ReaderCore::open(life.engine().stream("s"), from, Frontier::durable);
    EXPECT_TRUE(reader);
    for (;;) {
        auto record = (*reader)->next();
        if (!record && record.error().code == Errc::gap) continue;
        EXPECT_TRUE(record) << record.error().message;
        if (!record || !*record) return records;
        records.push_back({(*record)->lsn,
                           (*record)->previous,
                           {(*record)->payload.begin(), (*record)->payload.end()}});
    }
}

// Back distances, marks and LSNs held elsewhere lead to the same records, none of the testimonies
// of the old pool makes a gap corrupt, and the log goes on.
TEST(Trap, L19_ASalvageKeepsLsnsAndItsGapsAreNotCorrupt) {
    OneStream setup;
    const ServiceId keeper = setup.add_service();
    ASSERT_TRUE(setup.life.open());
    auto core = setup.life.engine().stream("s");
    std::vector<Chained> appended;
    for (uint64_t i = 0; i < 24; ++i) {
        const std::vector<std::byte> bytes = record_bytes(i, 150);
        const Bytes piece(bytes);
        AppendOptions with;
        if (i > 1) with.previous = appended[i - 2].lsn;  // two transactions by turns
        auto lsn = core->append({&piece, 1}, bytes.size(), with);
        ASSERT_TRUE(lsn) << lsn.error().message;
        appended.push_back({*lsn, with.previous, bytes});
    }
    const Lsn mark = appended[2].lsn;
    ASSERT_TRUE(setup.life.release(setup.history, keeper, mark));
    ASSERT_GT(appended.back().lsn.value, 3 * kSpan);
    std::memset(frame_at(setup.pool, setup.life, appended[5].lsn), 0, format::kLineBytes);
    std::memset(frame_at(setup.pool, setup.life, Lsn{kSpan}) - format::kFramesOffset, 0, 2048);
    const size_t first_after = static_cast<size_t>(
        std::find_if(appended.begin(), appended.end(),
                     [](const Chained& record) { return record.lsn.value > 2 * kSpan; }) -
        appended.begin());
    core.reset();
    setup.life.kill();
    ASSERT_FALSE(setup.life.open());

    CopyReport report;
    SimPool fresh = salvaged(setup.pool, 2, report);
    ASSERT_EQ(report.streams.size(), 1u);
    ASSERT_EQ(report.streams[0].gaps.size(), 2u);
    EXPECT_EQ(report.streams[0].gaps[0].begin, appended[5].lsn);
    EXPECT_EQ(report.streams[0].gaps[1].end.value, 2 * kSpan);
    CopyReport again_report;
    SimPool again = salvaged(fresh, 3, again_report);
    ASSERT_EQ(again_report.streams[0].gaps.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(again_report.streams[0].gaps[i].begin, report.streams[0].gaps[i].begin);
        EXPECT_EQ(again_report.streams[0].gaps[i].end, report.streams[0].gaps[i].end);
    }

    std::vector<Chained> expected(appended.begin() + 2, appended.begin() + 5);
    for (size_t i = 6; i < appended.size(); ++i)
        if (appended[i].lsn.value < kSpan || i >= first_after) expected.push_back(appended[i]);
    for (SimPool* pool : {&fresh, &again}) {
        Life life(*pool, setup.options);
        ASSERT_TRUE(life.open()) << "nothing in it is corrupt";
        for (const Damage& damage : life.engine().check()) EXPECT_EQ(damage.verdict, "gap");
        EXPECT_EQ(life.engine().mark(keeper), mark);
        EXPECT_EQ(life.engine().stream("s")->durable(),
                  appended.back().lsn.value + format::padded_bytes(150));
        EXPECT_EQ(read_behind_gaps(life), expected);
        // An LSN held elsewhere.
        EXPECT_EQ(read_behind_gaps(life, appended[first_after].lsn).front(), appended[first_after]);
        // The log goes on, through its end and a recovery.
        for (uint64_t i = 100; i < 130; ++i) {
            const std::vector<std::byte> bytes = record_bytes(i, 150);
            const Bytes piece(bytes);
            auto lsn = life.engine().stream("s")->append({&piece, 1}, bytes.size(), {});
            ASSERT_TRUE(lsn) << lsn.error().message;
        }
        life.kill();
        ASSERT_TRUE(life.open());
        EXPECT_EQ(read_behind_gaps(life).size(), expected.size() + 30);
        for (const Damage& damage : life.engine().check()) EXPECT_EQ(damage.verdict, "gap");
    }
}

TEST(Trap, L20_AReadOnlyOpenMarksWhatItCouldNotMakeDurable) {
    OneStream setup;
    ASSERT_TRUE(setup.life.open());
    for (int i = 0; i < 3; ++i) setup.append(80, Durability::forced);
    for (int i = 0; i < 3; ++i) setup.append(80, Durability::lazy);
    setup.life.kill();
    const std::vector<std::byte> before(setup.pool.bytes().begin(), setup.pool.bytes().end());
    ASSERT_TRUE(setup.life.open(true));
    auto reader =
        ReaderCore::open(setup.life.engine().stream("s"), std::nullopt, Frontier::durable);
    ASSERT_TRUE(reader);
    std::vector<bool> known;
    for (;;) {
        auto record = (*reader)->next();
        ASSERT_TRUE(record);
        if (!*record) break;
        known.push_back((*record)->known_durable);
    }
    ASSERT_EQ(known.size(), 6u);
    EXPECT_TRUE(known[0]);
    for (size_t i = 3; i < 6; ++i) EXPECT_FALSE(known[i]) << i;
    auto refused = setup.life.append(setup.history, "s", 10, Durability::forced);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::read_only);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), setup.pool.bytes().begin()));
}

}  // namespace

}  // namespace cinnabar::crash_test
