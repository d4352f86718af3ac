// The crash medium, rule by rule: what a crash may leave of stores, flushes and fences.
#include "sim/crash_medium.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <set>

#include "base/crc32c.hpp"
#include "sim/scheduler.hpp"

namespace cinnabar::sim {
namespace {

constexpr size_t kBytes = 3 * 4096;

class CrashMediumTest : public ::testing::Test {
  protected:
    struct Free {
        void operator()(std::byte* p) const { std::free(p); }
    };

    CrashMediumTest() : bytes_(static_cast<std::byte*>(std::aligned_alloc(4096, kBytes))) {
        std::memset(bytes_.get(), 0, kBytes);
    }
    CrashMedium make(Domain domain = Domain::cache_line) {
        return CrashMedium({bytes_.get(), kBytes}, domain);
    }
    uint64_t* word(size_t n) { return reinterpret_cast<uint64_t*>(bytes_.get()) + n; }
    std::byte* at(size_t offset) { return bytes_.get() + offset; }

    static uint64_t word_in(std::span<const std::byte> image, size_t n) {
        uint64_t value = 0;
        std::memcpy(&value, image.data() + n * 8, 8);
        return value;
    }
    // Every combination of these words that some image holds.
    static std::set<std::vector<uint64_t>> states(const CrashMedium& medium,
                                                  const std::vector<size_t>& words) {
        std::set<std::vector<uint64_t>> seen;
        medium.visit_images([&](std::span<const std::byte> image) {
            std::vector<uint64_t> state;
            for (const size_t n : words) state.push_back(word_in(image, n));
            seen.insert(state);
            return true;
        });
        return seen;
    }
    using States = std::set<std::vector<uint64_t>>;

    std::unique_ptr<std::byte, Free> bytes_;
};

TEST_F(CrashMediumTest, StoresOfALineSurviveAsAPrefix) {
    CrashMedium medium = make();
    medium.store8(Site::mark_store, word(0), 1);
    medium.store8(Site::mark_store, word(1), 2);
    medium.store8(Site::mark_store, word(0), 3);
    EXPECT_EQ(states(medium, {0, 1}), (States{{0, 0}, {1, 0}, {1, 2}, {3, 2}}));
    EXPECT_EQ(*word(0), 3u);  // visible at once
}

TEST_F(CrashMediumTest, LinesAreIndependent) {
    CrashMedium medium = make();
    medium.store8(Site::mark_store, word(0), 1);
    medium.store8(Site::mark_store, word(8), 2);
    EXPECT_EQ(states(medium, {0, 8}), (States{{0, 0}, {1, 0}, {0, 2}, {1, 2}}));
}

TEST_F(CrashMediumTest, AFlushAloneProvesNothing) {
    CrashMedium medium = make();
    medium.store8(Site::mark_store, word(0), 1);
    medium.flush(Site::mark_flush, at(0), 8);
    EXPECT_EQ(states(medium, {0}), (States{{0}, {1}}));
    medium.fence(Site::mark_fence);
    EXPECT_EQ(states(medium, {0}), (States{{1}}));
    EXPECT_TRUE(medium.pending().empty());
}

TEST_F(CrashMediumTest, AFenceWithoutAFlushProvesNothing) {
    CrashMedium medium = make();
    medium.store8(Site::mark_store, word(0), 1);
    medium.fence(Site::mark_fence);
    EXPECT_EQ(states(medium, {0}), (States{{0}, {1}}));
}

TEST_F(CrashMediumTest, AFlushCoversWhatWasThere) {
    CrashMedium medium = make();
    medium.store8(Site::mark_store, word(0), 1);
    medium.flush(Site::mark_flush, at(0), 8);
    medium.store8(Site::mark_store, word(1), 2);
    medium.fence(Site::mark_fence);
    EXPECT_EQ(states(medium, {0, 1}), (States{{1, 0}, {1, 2}}));
}

TEST_F(CrashMediumTest, AFlushTakesEveryLineItTouches) {
    CrashMedium medium = make();
    medium.store8(Site::mark_store, word(7), 1);
    medium.store8(Site::mark_store, word(8), 2);
    medium.store8(Site::mark_store, word(16), 3);
    medium.flush(Site::mark_flush, at(63), 2);
    medium.fence(Site::mark_fence);
    EXPECT_EQ(states(medium, {7, 8, 16}), (States{{1, 2, 0}, {1, 2, 3}}));
}

TEST_F(CrashMediumTest, ABulkCopyMayTearAnywhere) {
    CrashMedium medium = make();
    const uint64_t from[3] = {1, 2, 3};
    medium.copy(Site::link_store, at(0), reinterpret_cast<const std::byte*>(from), sizeof from);
    const States seen = states(medium, {0, 1, 2});
    for (const std::vector<uint64_t>& state : {std::vector<uint64_t>{0, 0, 0},
                                               {1, 0, 0},
                                               {0, 2, 0},
                                               {0, 0, 3},
                                               {0, 2, 3},
                                               {1, 0, 3},
                                               {1, 2, 0},
                                               {1, 2, 3}})
        EXPECT_TRUE(seen.count(state)) << state[0] << state[1] << state[2];
}

// Of a copy that a kill cut short: the words that were made are a bag, the others never come.
TEST_F(CrashMediumTest, ACopyThatIsCutShortMayTearAnywhere) {
    CrashMedium medium = make();
    const std::vector<uint64_t> from(9, 7);
    const Bytes bytes = std::as_bytes(std::span(from));
    medium.copy_some(at(0), bytes, {true, false, true, false, false, false, false, false, true});
    EXPECT_EQ(*word(0), 7u);
    EXPECT_EQ(*word(1), 0u);
    EXPECT_EQ(states(medium, {0, 1, 2}), (States{{0, 0, 0}, {7, 0, 0}, {0, 0, 7}, {7, 0, 7}}));
    EXPECT_EQ(states(medium, {8}), (States{{0}, {7}})) << "in the next line";
}

TEST_F(CrashMediumTest, ZeroIsAStoreToo) {
    std::memset(bytes_.get(), 0xFF, kBytes);
    CrashMedium medium = make();
    medium.zero(Site::erase_store, at(64), 64);
    const States seen = states(medium, {8, 9});
    EXPECT_TRUE(seen.count({UINT64_MAX, UINT64_MAX}) && seen.count({0, 0}) &&
                seen.count({0, UINT64_MAX}) && seen.count({UINT64_MAX, 0}));
}

class FrameStore : public CrashMediumTest {
  protected:
    void store_frame(CrashMedium& medium, size_t offset, StoreKind kind) {
        const FrameWords header{{1, 2, 3, 4}};
        const std::vector<std::byte> payload(40, std::byte{0x11});
        const Bytes part(payload);
        medium.store_frame(Site::forced_frame_store, at(offset), header, {&part, 1}, 7, kind);
    }
};

TEST_F(FrameStore, IsSummedAndZeroFilled) {
    std::memset(bytes_.get(), 0xFF, kBytes);
    CrashMedium medium = make();
    store_frame(medium, 64, StoreKind::cached);
    uint64_t second = *word(9);
    EXPECT_EQ(second >> 32, 0u);
    *word(9) = 2;
    EXPECT_EQ(static_cast<uint32_t>(second), crc32c(7, at(64), 128));
    EXPECT_EQ(*word(8), 1u);
    EXPECT_EQ(*word(11), 4u);
    EXPECT_EQ(*word(16), 0x1111111111111111u);
    EXPECT_EQ(*word(17), 0u);  // the fill
    EXPECT_EQ(*word(23), 0u);
    EXPECT_EQ(*word(24), UINT64_MAX);
}

TEST_F(FrameStore, NonTemporalIsDurableByItsOwnThreadsFence) {
    CrashMedium medium = make();
    store_frame(medium, 0, StoreKind::non_temporal);
    EXPECT_TRUE(states(medium, {0}).count({0}));
    medium.fence(Site::forced_fence);
    EXPECT_EQ(states(medium, {0, 3}), (States{{1, 4}}));
}

TEST_F(FrameStore, CachedNeedsAFlush) {
    CrashMedium medium = make();
    store_frame(medium, 0, StoreKind::cached);
    medium.fence(Site::forced_fence);
    EXPECT_TRUE(states(medium, {0}).count({0}));
    medium.flush(Site::forced_frame_flush, at(0), 128);
    medium.fence(Site::forced_fence);
    EXPECT_EQ(states(medium, {0, 3, 8}), (States{{1, 4, 0x1111111111111111}}));
}

TEST_F(FrameStore, AnotherThreadsFenceDrainsNothingOfMine) {
    CrashMedium medium = make();
    bool stored = false;
    bool fenced = false;
    run_interleaved(1, {[&] {
                            store_frame(medium, 0, StoreKind::non_temporal);
                            medium.store8(Site::mark_store, word(64), 5);
                            medium.flush(Site::mark_flush, at(512), 8);
                            stored = true;
                            while (!fenced) switch_point();
                        },
                        [&] {
                            while (!stored) switch_point();
                            medium.fence(Site::forced_fence);
                            EXPECT_TRUE(states(medium, {0}).count({0}));
                            EXPECT_TRUE(states(medium, {64}).count({0}));
                            // But a flush of mine takes cached stores of his.
                            medium.flush(Site::forcer_flush, at(0), 1024);
                            medium.fence(Site::forced_fence);
                            EXPECT_EQ(states(medium, {64}), (States{{5}}));
                            EXPECT_TRUE(states(medium, {0}).count({0}));
                            fenced = true;
                        }});
}

// Of two threads that have flushed one store, which one of them fences then: the other's flush is
// none of a later store.
TEST_F(CrashMediumTest, AFlushThatAnothersFenceHasProvenIsNoneOfWhatComesLater) {
    CrashMedium medium = make();
    bool flushed = false, stored = false;
    run_interleaved(1, {[&] {
                            medium.store8(Site::mark_store, word(0), 1);
                            medium.flush(Site::mark_flush, at(0), 8);
                            while (!flushed) switch_point();
                            medium.store8(Site::mark_store, word(1), 2);
                            medium.fence(Site::mark_fence);
                            EXPECT_EQ(states(medium, {0, 1}), (States{{1, 0}, {1, 2}}));
                            stored = true;
                        },
                        [&] {
                            medium.flush(Site::forcer_flush, at(0), 8);
                            flushed = true;
                            while (!stored) switch_point();
                            medium.fence(Site::forced_fence);
                            EXPECT_EQ(states(medium, {0, 1}), (States{{1, 0}, {1, 2}}));
                        }});
}

TEST_F(CrashMediumTest, ByteDomainNeedsTheFenceAlone) {
    CrashMedium medium = make(Domain::byte);
    medium.store8(Site::mark_store, word(0), 1);
    EXPECT_TRUE(states(medium, {0}).count({0}));
    medium.fence(Site::mark_fence);
    EXPECT_EQ(states(medium, {0}), (States{{1}}));
}

TEST_F(CrashMediumTest, PageDomainSyncsWholePages) {
    CrashMedium medium = make(Domain::page);
    medium.store8(Site::mark_store, word(0), 1);
    medium.store8(Site::mark_store, word(511), 2);
    medium.store8(Site::mark_store, word(512), 3);
    EXPECT_TRUE(medium.sync(Site::page_sync, at(100), 8));
    EXPECT_EQ(states(medium, {0, 511, 512}), (States{{1, 2, 0}, {1, 2, 3}}));
}

// It is the kernel that writes pages: what goes past the caches does not go past older stores.
TEST_F(FrameStore, PageDomainKeepsNonTemporalStoresInOrder) {
    CrashMedium medium = make(Domain::page);
    medium.store8(Site::mark_store, word(0), 1);
    store_frame(medium, 0, StoreKind::non_temporal);
    for (const auto& state : states(medium, {0, 1}))
        EXPECT_TRUE(state[0] != 0 || state[1] == 0) << state[0] << " " << state[1];
}

// As on Linux: the error is told once, and the pages count as clean until they are stored to.
TEST_F(CrashMediumTest, AFailedSyncIsForgottenByTheNext) {
    CrashMedium medium = make(Domain::page);
    medium.store8(Site::mark_store, word(0), 1);
    medium.fail_next_sync();
    const auto failed = medium.sync(Site::page_sync, at(0), 64);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Errc::io);
    EXPECT_TRUE(medium.sync(Site::page_sync, at(0), 64));
    EXPECT_TRUE(states(medium, {0}).count({0}));
    medium.store8(Site::accept_store, word(0), 1);
    EXPECT_TRUE(medium.sync(Site::page_sync, at(0), 64));
    EXPECT_EQ(states(medium, {0}), (States{{1}}));
}

// What the file holds of the pages that could not be written is read again; the others stay.
TEST_F(CrashMediumTest, PagesThatCouldNotBeWrittenMayBeDropped) {
    std::mt19937_64 random(1);
    std::set<uint64_t> seen;
    for (int i = 0; i < 50; ++i) {
        std::memset(bytes_.get(), 0, kBytes);
        CrashMedium medium = make(Domain::page);
        medium.store8(Site::none, word(0), 1);
        medium.store8(Site::none, word(0), 2);
        medium.fail_next_sync();
        ASSERT_FALSE(medium.sync(Site::page_sync, at(0), 64));
        medium.store8(Site::none, word(512), 3);  // of another page
        medium.drop_unwritten_pages(random);
        seen.insert(*word(0));
        EXPECT_EQ(states(medium, {0}), (States{{*word(0)}})) << "it is on the file";
        EXPECT_EQ(*word(512), 3u);
        EXPECT_EQ(states(medium, {512}), (States{{0}, {3}}));
    }
    EXPECT_EQ(seen, (std::set<uint64_t>{0, 1, 2}));
}

TEST_F(CrashMediumTest, ADroppedSiteDoesNothing) {
    CrashMedium medium = make();
    medium.drop(Site::mark_fence);
    medium.store8(Site::mark_store, word(0), 1);
    medium.flush(Site::mark_flush, at(0), 8);
    medium.fence(Site::mark_fence);
    EXPECT_TRUE(states(medium, {0}).count({0}));
    medium.fence(Site::forced_fence);  // another site's fence drains what was flushed
    EXPECT_EQ(states(medium, {0}), (States{{1}}));
    medium.drop(Site::mark_store);
    medium.store8(Site::mark_store, word(0), 9);
    EXPECT_EQ(*word(0), 1u);
}

TEST_F(FrameStore, ASwappedSiteGoesTheOtherWay) {
    CrashMedium medium = make();
    medium.swap_kind(Site::forced_frame_store);
    store_frame(medium, 0, StoreKind::non_temporal);
    medium.fence(Site::forced_fence);
    EXPECT_TRUE(states(medium, {0}).count({0}));
}

TEST_F(FrameStore, KindsMixedOnALineAreCounted) {
    CrashMedium medium = make();
    store_frame(medium, 0, StoreKind::non_temporal);
    EXPECT_TRUE(medium.counts().mixed.empty());
    medium.store8(Site::mark_store, word(1), 1);
    EXPECT_EQ(medium.counts().mixed, (std::map<Site, uint64_t>{{Site::mark_store, 1}}));
}

// It has thrown the line out of the caches.
TEST_F(FrameStore, AFencedNonTemporalOneIsNotUndoneByAnOlderStore) {
    CrashMedium medium = make();
    medium.store8(Site::mark_store, word(4), 1);
    store_frame(medium, 0, StoreKind::non_temporal);
    EXPECT_TRUE(states(medium, {4}).count({1}));
    medium.fence(Site::forced_fence);
    EXPECT_EQ(states(medium, {4}), (States{{*word(4)}}));
    EXPECT_TRUE(medium.pending().empty());
    EXPECT_NE(*word(4), 1u);
}

TEST_F(CrashMediumTest, AKillLeavesWhatIsPendingAndForgetsFlushes) {
    CrashMedium medium = make();
    medium.store8(Site::mark_store, word(0), 1);
    medium.flush(Site::mark_flush, at(0), 8);
    medium.kill();
    medium.fence(Site::mark_fence);
    EXPECT_EQ(states(medium, {0}), (States{{0}, {1}}));
    medium.flush(Site::mark_flush, at(0), 8);
    medium.fence(Site::mark_fence);
    EXPECT_EQ(states(medium, {0}), (States{{1}}));
}

TEST_F(FrameStore, AKillEmptiesWriteCombiningBuffers) {
    CrashMedium medium = make();
    store_frame(medium, 0, StoreKind::non_temporal);
    medium.kill();
    EXPECT_TRUE(medium.pending().empty());
}

TEST_F(CrashMediumTest, CrashPointsComeBeforeTheFence) {
    CrashMedium medium = make();
    std::vector<Site> points;
    medium.on_crash_point([&](Site site) {
        points.push_back(site);
        EXPECT_TRUE(states(medium, {0}).count({0}));
    });
    medium.store8(Site::mark_store, word(0), 1);
    medium.flush(Site::mark_flush, at(0), 8);
    medium.fence(Site::mark_fence);
    ASSERT_EQ(points.size(), 1u);
    EXPECT_EQ(points[0], Site::mark_fence);
}

TEST_F(CrashMediumTest, BeginHereForgetsThePast) {
    CrashMedium medium = make();
    medium.store8(Site::mark_store, word(0), 1);
    medium.begin_here();
    EXPECT_EQ(states(medium, {0}), (States{{1}}));
    EXPECT_EQ(word_in(medium.durable_image(), 0), 1u);
}

TEST_F(CrashMediumTest, ALossOfPowerLeavesOneOfTheImages) {
    std::set<std::vector<uint64_t>> left;
    for (uint64_t seed = 0; seed < 64; ++seed) {
        std::memset(bytes_.get(), 0, kBytes);
        CrashMedium medium = make();
        medium.store8(Site::mark_store, word(0), 1);
        medium.store8(Site::mark_store, word(1), 2);
        medium.store8(Site::mark_store, word(8), 3);
        std::mt19937_64 random(seed);
        medium.lose_power(random);
        EXPECT_TRUE(medium.pending().empty());
        left.insert({*word(0), *word(1), *word(8)});
    }
    const States all = {{0, 0, 0}, {1, 0, 0}, {1, 2, 0}, {0, 0, 3}, {1, 0, 3}, {1, 2, 3}};
    EXPECT_EQ(left, all);
}

TEST_F(CrashMediumTest, WhatIsPromisedIsNotPending) {
    for (const bool flushed : {false, true}) {
        CrashMedium medium = make();
        medium.store8(Site::mark_store, word(0), 1);
        if (flushed) medium.flush(Site::mark_flush, at(0), 8);
        medium.seal(at(0), 64);
        EXPECT_NE(medium.broken_rule().find("mark_store is pending"), std::string::npos);
    }
    CrashMedium medium = make();
    medium.store8(Site::mark_store, word(0), 2);
    medium.flush(Site::mark_flush, at(0), 8);
    medium.fence(Site::mark_fence);
    medium.store8(Site::mark_store, word(8), 1);
    medium.seal(at(0), 64);
    EXPECT_EQ(medium.broken_rule(), "");
}

TEST_F(CrashMediumTest, WhatIsPromisedIsNotStoredTo) {
    CrashMedium medium = make();
    medium.seal(at(64), 128);
    medium.store8(Site::mark_store, word(0), 1);
    medium.store8(Site::mark_store, word(24), 1);
    EXPECT_EQ(medium.broken_rule(), "");
    medium.unseal(at(64), 64);
    medium.store8(Site::mark_store, word(8), 1);
    EXPECT_EQ(medium.broken_rule(), "");
    medium.store8(Site::link_store, word(16), 1);
    EXPECT_EQ(medium.broken_rule(), "link_store stores to what is acknowledged, at byte 128");
    CrashMedium next = make();
    next.seal(at(0), 64);
    next.kill();
    next.store8(Site::mark_store, word(0), 1);
    EXPECT_EQ(next.broken_rule(), "") << "the promise is the next process's to keep";
}

TEST_F(CrashMediumTest, CallsThatDoNothingAreCounted) {
    const std::map<Site, uint64_t> none;
    CrashMedium medium = make();
    medium.store8(Site::mark_store, word(0), 1);
    medium.flush(Site::mark_flush, at(0), 8);
    EXPECT_EQ(medium.counts().idle_flushes, none);
    medium.flush(Site::mark_flush, at(0), 8);   // flushed before
    medium.flush(Site::link_flush, at(64), 8);  // clean
    medium.fence(Site::mark_fence);
    medium.fence(Site::mark_fence);  // nothing is on its way
    const std::map<Site, uint64_t> flushes = {{Site::mark_flush, 1}, {Site::link_flush, 1}};
    EXPECT_EQ(medium.counts().idle_flushes, flushes);
    EXPECT_EQ(medium.counts().idle_fences, (std::map<Site, uint64_t>{{Site::mark_fence, 1}}));
    CrashMedium temporal = make();
    const std::byte bytes[64] = {};
    const Bytes part(bytes);
    temporal.store_frame(Site::forced_frame_store, at(0), {}, {&part, 1}, 1,
                         StoreKind::non_temporal);
    temporal.flush(Site::mark_flush, at(0), 8);  // what is past the caches needs none
    EXPECT_EQ(temporal.counts().idle_flushes, (std::map<Site, uint64_t>{{Site::mark_flush, 1}}));
    temporal.fence(Site::forced_fence);
    EXPECT_EQ(temporal.counts().idle_fences, none);
    CrashMedium paged = make(Domain::page);
    paged.store8(Site::mark_store, word(0), 1);
    EXPECT_TRUE(paged.sync(Site::page_sync, at(0), 8));
    EXPECT_EQ(paged.counts().idle_fences, none);
    EXPECT_TRUE(paged.sync(Site::page_sync, at(0), 8));
    EXPECT_EQ(paged.counts().idle_fences, (std::map<Site, uint64_t>{{Site::page_sync, 1}}));
}

TEST_F(CrashMediumTest, WhatDoesNothingBreaksARuleWhereItIsForbidden) {
    const auto broken = [&](const std::function<void(CrashMedium&)>& calls) {
        CrashMedium medium = make();
        medium.hold_to_all_rules({Site::accept_flush, Site::accept_fence});
        calls(medium);
        return medium.broken_rule();
    };
    const auto fence_twice = [&](CrashMedium& medium) {
        medium.store8(Site::mark_store, word(0), 1);
        medium.flush(Site::mark_flush, at(0), 8);
        medium.fence(Site::mark_fence);
        medium.fence(Site::mark_fence);
    };
    EXPECT_EQ(broken(fence_twice), "mark_fence is a fence with nothing to do");
    EXPECT_EQ(broken([&](CrashMedium& medium) { medium.flush(Site::link_flush, at(64), 8); }),
              "link_flush is a flush with nothing to do");
    EXPECT_EQ(broken([&](CrashMedium& medium) {
                  medium.copy_nt(Site::pad_store, at(64), at(0), 64);
                  medium.store8(Site::link_store, word(8), 1);
              }),
              "link_store stores to a line on which others are pending that went the other way, "
              "past the caches or not, at byte 64");
    CrashMedium paged = make(Domain::page);
    paged.hold_to_all_rules({});
    EXPECT_TRUE(paged.sync(Site::pad_sync, at(0), 8));
    EXPECT_EQ(paged.broken_rule(), "pad_sync is a sync with nothing to do");
    // Excused: another thread may have done it, a mend has, a mutant is another engine.
    EXPECT_EQ(
        broken([&](CrashMedium& medium) { run_interleaved(1, {[&] { fence_twice(medium); }}); }),
        "");
    EXPECT_EQ(broken([&](CrashMedium& medium) {
                  medium.force_behind(Site::mark_store);
                  medium.store8(Site::mark_store, word(0), 1);
                  medium.flush(Site::mark_flush, at(0), 8);
              }),
              "");
    EXPECT_EQ(broken([&](CrashMedium& medium) {
                  medium.swap_kind(Site::forced_frame_store);
                  medium.flush(Site::forced_frame_flush, at(0), 8);
              }),
              "");
    EXPECT_EQ(broken([&](CrashMedium& medium) {
                  medium.drop(Site::mark_flush);
                  medium.store8(Site::mark_store, word(0), 1);
                  medium.flush(Site::mark_flush, at(0), 8);
                  medium.fence(Site::mark_fence);
              }),
              "");
    CrashMedium::switch_on(Mutant::early_acknowledgement);
    EXPECT_EQ(broken(fence_twice), "");
    CrashMedium::switch_on(Mutant::none);
}

// Who makes durable what he has found does that once.
TEST_F(CrashMediumTest, WhatWasFoundIsMadeDurableOnce) {
    const auto broken = [&](Domain domain, const std::function<void(CrashMedium&)>& calls) {
        CrashMedium medium = make(domain);
        medium.hold_to_all_rules({Site::accept_flush, Site::accept_fence});
        calls(medium);
        return medium.broken_rule();
    };
    const auto flush = [&](CrashMedium& medium, size_t from, size_t length) {
        medium.flush(Site::accept_flush, at(from), length);
    };
    const auto accept = [&](CrashMedium& medium, size_t from, size_t length) {
        flush(medium, from, length);
        medium.fence(Site::accept_fence);
    };
    for (const Domain domain : {Domain::cache_line, Domain::byte}) {
        const auto broken_by = [&](const std::function<void(CrashMedium&)>& calls) {
            return broken(domain, calls);
        };
        EXPECT_EQ(broken_by([&](CrashMedium& medium) {
                      accept(medium, 64, 128);
                      accept(medium, 64, 192);  // and a line more
                      medium.kill();
                      accept(medium, 64, 128);
                      medium.go_back_to(medium.durable_image());
                      accept(medium, 64, 128);
                  }),
                  "");
        EXPECT_EQ(broken_by([&](CrashMedium& medium) {
                      accept(medium, 64, 128);
                      medium.fence(Site::accept_fence);
                  }),
                  "accept_fence is a fence with nothing to do");
        EXPECT_EQ(broken_by([&](CrashMedium& medium) {
                      flush(medium, 64, 128);
                      medium.fence(Site::mark_fence);
                  }),
                  "mark_fence is a fence with nothing to do");
        // There, what makes it durable is the fence alone.
        EXPECT_EQ(broken_by([&](CrashMedium& medium) {
                      accept(medium, 64, 128);
                      accept(medium, 128, 64);
                  }),
                  domain == Domain::byte ? "accept_fence is a fence with nothing to do"
                                         : "accept_flush is a flush with nothing to do");
    }
    // Whichever site flushed it, this process did.
    EXPECT_EQ(broken(Domain::cache_line,
                     [&](CrashMedium& medium) {
                         accept(medium, 64, 128);
                         medium.store8(Site::mark_store, word(8), 1);
                         medium.flush(Site::mark_flush, at(64), 8);
                         medium.fence(Site::mark_fence);
                         flush(medium, 64, 8);
                     }),
              "accept_flush is a flush with nothing to do");
}

// A page was written with a neighbour on it; nobody asked for this line.
TEST_F(CrashMediumTest, WhatWasSyncedBesideIsSyncedOnce) {
    const auto broken = [&](const std::function<void(CrashMedium&)>& calls) {
        CrashMedium medium = make(Domain::page);
        medium.hold_to_all_rules({Site::page_sync});
        calls(medium);
        return medium.broken_rule();
    };
    const auto sync = [&](CrashMedium& medium) {
        EXPECT_TRUE(medium.sync(Site::page_sync, at(64), 64));
    };
    const auto sync_neighbour = [&](CrashMedium& medium) {
        medium.store8(Site::pad_store, word(0), 1);
        EXPECT_TRUE(medium.sync(Site::pad_sync, at(0), 64));
        sync(medium);
    };
    EXPECT_EQ(broken(sync_neighbour), "");
    EXPECT_EQ(broken([&](CrashMedium& medium) {
                  sync_neighbour(medium);
                  medium.store8(Site::mark_store, word(8), 1);
                  sync_neighbour(medium);
              }),
              "");
    EXPECT_EQ(broken([&](CrashMedium& medium) {
                  sync_neighbour(medium);
                  sync(medium);
              }),
              "page_sync is a sync with nothing to do");
}

TEST_F(CrashMediumTest, ACallThatIsMadeTwiceIsMadeTwice) {
    CrashMedium medium = make();
    medium.call_twice(Site::mark_flush);
    medium.store8(Site::mark_store, word(0), 1);
    medium.flush(Site::mark_flush, at(0), 8);
    medium.flush(Site::link_flush, at(0), 8);
    EXPECT_EQ(medium.counts().flushes, 3u);
    medium.call_twice(Site::mark_fence);
    medium.fence(Site::mark_fence);
    medium.fence(Site::attach_fence);
    EXPECT_EQ(medium.counts().fences, 3u);
    CrashMedium paged = make(Domain::page);
    paged.call_twice(Site::page_sync);
    EXPECT_TRUE(paged.sync(Site::page_sync, at(0), 8));
    EXPECT_EQ(paged.counts().fences, 2u);
}

TEST_F(CrashMediumTest, AVisitorMayStop) {
    CrashMedium medium = make();
    for (size_t i = 0; i < 20; ++i) medium.store8(Site::mark_store, word(8 * i), 1);
    uint64_t calls = 0;
    const uint64_t visited =
        medium.visit_images([&](std::span<const std::byte>) { return ++calls < 5; });
    EXPECT_EQ(calls, 5u);
    EXPECT_EQ(visited, 5u);
}

TEST_F(CrashMediumTest, AStoreOutsideIsABug) {
    CrashMedium medium = make();
    EXPECT_DEATH(medium.store8(Site::mark_store, word(kBytes / 8), 1), "check failed");
    EXPECT_DEATH((void)medium.sync(Site::page_sync, at(0), 8), "check failed");
}

// A mend that is tried: whatever this site stores is durable at once.
TEST_F(CrashMediumTest, WhatIsForcedBehindItsSiteIsDurableAtOnce) {
    for (const Domain domain : {Domain::cache_line, Domain::byte, Domain::page}) {
        CrashMedium medium = make(domain);
        medium.force_behind(Site::mark_store);
        medium.fail_next_sync();  // is for the engine to meet
        medium.store8(Site::link_store, word(512), 1);
        medium.store8(Site::mark_store, word(0), 1);
        EXPECT_FALSE(medium.pending().contains(0)) << name_of(domain);
        EXPECT_EQ(medium.pending().size(), domain == Domain::byte ? 0u : 1u) << name_of(domain);
        if (domain == Domain::page) {
            EXPECT_FALSE(medium.sync(Site::page_sync, at(4096), 8));
        }
    }
}

TEST_F(CrashMediumTest, LinesOfOneStoreHaveOneNumber) {
    CrashMedium medium = make();
    const std::vector<std::byte> bytes(128);
    medium.copy(Site::pad_store, at(0), bytes.data(), 128);
    medium.copy(Site::pad_store, at(128), bytes.data(), 128);
    const auto call = [&](uint64_t line) { return medium.pending().at(line).units.at(0).call; };
    EXPECT_EQ(call(0), call(1));
    EXPECT_EQ(call(2), call(3));
    EXPECT_NE(call(0), call(2));
}

// Each call with what it did to which lines; none of a call that was left out.
TEST_F(CrashMediumTest, TracesWhatHadAnEffect) {
    CrashMedium medium = make();
    Trace trace;
    medium.trace(trace);
    medium.drop(Site::attach_fence);
    medium.store8(Site::mark_store, word(9), 7);
    medium.fence(Site::attach_fence);
    medium.flush(Site::mark_flush, at(64), 64);
    medium.fence(Site::mark_fence);
    std::vector<std::string> said;
    for (const Trace::Event& event : trace.events) {
        ASSERT_EQ(event.changes.size(), 1u) << event.where;
        EXPECT_EQ(event.changes[0].line, 1u);
        said.push_back(event.where);
    }
    EXPECT_EQ(said, (std::vector<std::string>{"mark_store", "mark_flush", "mark_fence"}));
    EXPECT_EQ(trace.events[0].kind, Trace::Kind::store);
    EXPECT_EQ(trace.events[0].changes[0].words, 2);
    EXPECT_EQ(trace.events[0].changes[0].value[1], 7u);
    EXPECT_EQ(trace.events[0].changes[0].state, LineState::dirty);
    EXPECT_EQ(trace.events[1].changes[0].state, LineState::in_flight);
    EXPECT_EQ(trace.events[2].changes[0].state, LineState::durable);
}

}  // namespace
}  // namespace cinnabar::sim
