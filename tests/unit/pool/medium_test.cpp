// What a pool says of its medium, and prefaulting.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "base/crc32c.hpp"
#include "fixture.hpp"

namespace cinnabar::pool {
namespace {

class MediumOf : public PoolTest {
  protected:
    void SetUp() override {
        PoolTest::SetUp();
        if (IsSkipped()) return;
        make();
        if (open().medium().domain != Domain::page)
            GTEST_SKIP() << GetParam().folder << " is persistent memory";
    }
};
INSTANTIATE_TEST_SUITE_P(Pool, MediumOf, kPlaces, place_name);

TEST_P(MediumOf, AFileIsOfThePageDomainUnlessToldOtherwise) {
    Pool pool = open();
    EXPECT_EQ(pool.medium().domain, Domain::page);
    EXPECT_FALSE(pool.medium().emulated);
    EXPECT_EQ(pool.medium().flush, "msync");
    EXPECT_FALSE(pool.medium().modelled.any());
    EXPECT_EQ(pool.medium().checksum_path, name_of(crc32c_path()));
    EXPECT_NE(pool.medium().file_system, "");
    EXPECT_TRUE(GetParam().name == std::string("disk") || pool.medium().file_system == "tmpfs");
}

TEST_P(MediumOf, EmulationIsLabelled) {
    {
        Pool pool = open({.emulate = Emulate::cache_line, .modelled = {300, 20}});
        EXPECT_EQ(pool.medium().domain, Domain::cache_line);
        EXPECT_TRUE(pool.medium().emulated);
        EXPECT_EQ(pool.medium().flush.rfind("cl", 0), 0u) << pool.medium().flush;
        EXPECT_EQ(pool.medium().modelled, (ModelledLatency{300, 20}));
    }
    Pool pool = open({.emulate = Emulate::byte});
    EXPECT_EQ(pool.medium().domain, Domain::byte);
    EXPECT_TRUE(pool.medium().emulated);
    EXPECT_EQ(pool.medium().flush, "none");
}

TEST_P(MediumOf, ThePoolRemembersItsLastWritableOpen) {
    const auto row = [&] {
        Pool pool = open({.read_only = true});
        const format::MediumRow kept = pool.space().catalogue->medium;
        EXPECT_EQ(kept.sum, format::row_sum(pool.id(), kept));
        return kept;
    };
    EXPECT_TRUE(open({}).keep_medium());
    EXPECT_EQ(row().domain, static_cast<uint32_t>(Domain::page));
    EXPECT_EQ(row().emulated, 0u);
    EXPECT_TRUE(open({.emulate = Emulate::byte, .modelled = {7, 8}}).keep_medium());
    EXPECT_EQ(open({.read_only = true, .emulate = Emulate::cache_line}).keep_medium().error().code,
              Errc::read_only);
    EXPECT_EQ(row().domain, static_cast<uint32_t>(Domain::byte));
    EXPECT_EQ(row().emulated, 1u);
    EXPECT_EQ(row().modelled_fence_ns, 7u);
    EXPECT_EQ(row().modelled_line_ns, 8u);
}

long minor_faults() {
    struct rusage usage = {};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

TEST_P(MediumOf, PrefaultedPagesFaultNoMore) {
    Pool pool = open();
    const auto& segments = pool.space().segments;
    const auto touch = [&](size_t first, size_t last) {
        const long before = minor_faults();
        for (size_t i = first; i < last; ++i)
            for (uint64_t at = 0; at < kSegmentBytes; at += format::kPageBytes)
                *reinterpret_cast<volatile std::byte*>(segments[i] + at) = std::byte{1};
        return minor_faults() - before;
    };
    const long cold = touch(0, 16);
    for (size_t i = 32; i < 48; ++i) prefault(segments[i], kSegmentBytes);
    const long prefaulted = touch(32, 48);
    std::printf("%ld faults cold, %ld prefaulted\n", cold, prefaulted);
    EXPECT_LT(prefaulted, cold / 4);
}

TEST_P(MediumOf, PrefaultChangesNoByte) {
    Pool pool = open();
    std::byte* segment = pool.space().segments[3];
    std::memset(segment, 'a', kSegmentBytes);
    prefault(segment + 100, 5000);
    prefault(segment, 0);
    prefault(segment, kSegmentBytes);
    EXPECT_TRUE(std::all_of(segment, segment + kSegmentBytes,
                            [](std::byte b) { return b == std::byte{'a'}; }));
}

}  // namespace
}  // namespace cinnabar::pool
