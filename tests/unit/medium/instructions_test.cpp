// Which instructions the medium of production executes: what stands in no other test, since memory
// looks the same after a cached store and a non-temporal one, flushed or not, fenced or not.
#include <emmintrin.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "frames.hpp"
#include "mapping.hpp"
#include "medium/modelled_medium.hpp"
#include "medium/pmem_medium.hpp"
#include "single_step.hpp"

namespace cinnabar::medium {
namespace {

using Kind = Executed::Kind;
using Steps = std::vector<Executed>;

constexpr size_t kLine = 64;
constexpr std::array<Domain, 3> kDomains = {Domain::byte, Domain::cache_line, Domain::page};
constexpr std::array<Kind, 3> kFlushKinds = {Kind::clflush, Kind::clflushopt, Kind::clwb};

uintptr_t address_of(const std::byte* at) {
    return reinterpret_cast<uintptr_t>(at);
}

// What is wrong with them, if they are not stores of this kind and nothing else, which store to
// each of these bytes once; empty if they are.
std::string wrong_with_stores(const Steps& steps, Kind kind, const std::byte* to, size_t length) {
    std::ostringstream wrong;
    std::vector<int> stored(length);
    for (const Executed& step : steps) {
        const uintptr_t first = step.address - address_of(to);
        if (step.kind != kind || first > length || step.bytes > length - first) {
            wrong << step << "\n";
            continue;
        }
        for (size_t i = 0; i < step.bytes; ++i) ++stored[first + i];
    }
    const auto bad = std::ranges::find_if(stored, [](int times) { return times != 1; });
    if (bad != stored.end())
        wrong << "byte " << bad - stored.begin() << " of " << length << " stored to " << *bad
              << " times\n";
    return wrong.str();
}

bool first_line_is_last(const Steps& steps, const std::byte* to) {
    const auto in_first = [&](const Executed& step) {
        return step.address - address_of(to) < kLine;
    };
    return std::ranges::all_of(std::ranges::find_if(steps, in_first), steps.end(), in_first);
}

// A flush of each line that the range touches, in order.
Steps flushes_of(Kind kind, const std::byte* from, size_t length) {
    Steps flushes;
    const uintptr_t end = address_of(from) + length;
    for (uintptr_t line = address_of(from) / kLine * kLine; line < end; line += kLine)
        flushes.push_back({kind, line, kLine});
    return flushes;
}

class InstructionsTest : public testing::Test {
  protected:
    void SetUp() override {
        if (!can_single_step()) GTEST_SKIP() << "here the trap flag of the processor does nothing";
        random_ = random_of_run();
        fill_randomly(random_, source_.begin(), source_.end());
    }

    Steps step(const std::function<void()>& work) {
        return single_step({target_.begin(), target_.size()}, work);
    }

    // Frames of all sorts, stored between other bytes by `store`, which is stepped through. No byte
    // stays what it is, so that each store is seen.
    template <class Store>
    void expect_frames_stored(Kind kind, Store&& store) {
        const Bytes bytes(source_.begin(), source_.size());
        std::vector<std::vector<Bytes>> frames = {
            {}, {bytes.first(0), bytes.first(0)}, {bytes.first(70), bytes.subspan(500, 700)}};
        for (const size_t length : {0, 1, 8, 31, 32, 33, 95, 96, 97, 160, 161, 333, 1000, 3999})
            frames.push_back({bytes.subspan(random_() % kLine, length)});
        frames.emplace_back();
        for (int i = 0; i < 9; ++i)
            frames.back().push_back(bytes.subspan(random_() % 100, random_() % 100));
        for (const auto& parts : frames) {
            const FrameWords header = random_header(random_);
            const auto frame = expected_frame(header, parts, 5);
            std::byte* const to = target_.begin() + kLine;
            std::ranges::transform(frame, to, [](std::byte byte) { return ~byte; });
            const Steps steps = step([&] { store(to, header, parts); });
            EXPECT_EQ(wrong_with_stores(steps, kind, to, frame.size()), "");
            EXPECT_TRUE(first_line_is_last(steps, to)) << "of a frame of " << frame.size();
            EXPECT_TRUE(std::ranges::equal(frame, Bytes(to, frame.size())));
        }
    }

    std::mt19937_64 random_;
    GuardedPages source_{1};
    GuardedPages target_{2};
};

// --- frames --------------------------------------------------------------------------------------

class FrameInstructionsTest
    : public InstructionsTest,
      public testing::WithParamInterface<std::tuple<Crc32cPath, StoreKind>> {};

TEST_P(FrameInstructionsTest, StoreEachByteOnceInTheKindAskedFor) {
    const auto& [path, kind] = GetParam();
    if (!available(path)) GTEST_SKIP() << "this processor lacks " << name_of(path);
    const StoreKind asked = kind;
    const StoreFrame form = store_frame_by(path);
    expect_frames_stored(kind == StoreKind::cached ? Kind::cached_store : Kind::non_temporal_store,
                         [&](std::byte* to, const FrameWords& header,
                             std::span<const Bytes> parts) { form(to, header, parts, 5, asked); });
}

std::string parameter_name(const testing::TestParamInfo<FrameInstructionsTest::ParamType>& info) {
    const bool cached = std::get<1>(info.param) == StoreKind::cached;
    return std::string(name_of(std::get<0>(info.param))) + (cached ? "_cached" : "_non_temporal");
}

INSTANTIATE_TEST_SUITE_P(
    Forms, FrameInstructionsTest,
    testing::Combine(testing::Values(Crc32cPath::table, Crc32cPath::instruction,
                                     Crc32cPath::fold512),
                     testing::Values(StoreKind::cached, StoreKind::non_temporal)),
    parameter_name);

TEST_F(InstructionsTest, FramesAreNonTemporalWhereAskedForButInThePageDomain) {
    for (const Domain domain : kDomains) {
        for (const StoreKind kind : {StoreKind::cached, StoreKind::non_temporal}) {
            SCOPED_TRACE(name_of(domain));
            PmemMedium medium(domain);
            const bool cached = kind == StoreKind::cached || domain == Domain::page;
            expect_frames_stored(
                cached ? Kind::cached_store : Kind::non_temporal_store,
                [&](std::byte* to, const FrameWords& header, std::span<const Bytes> parts) {
                    medium.store_frame(Site::none, to, header, parts, 5, kind);
                });
        }
    }
}

// --- the other verbs -----------------------------------------------------------------------------

TEST_F(InstructionsTest, AFlushIsOneInstructionForEachLineOfTheRange) {
    const std::byte* const start = target_.begin();
    for (int number = 0; number <= static_cast<int>(best_flush_instruction()); ++number) {
        PmemMedium medium(Domain::cache_line, static_cast<FlushInstruction>(number));
        const auto flush = [&](size_t at, size_t length) {
            return step([&] { medium.flush(Site::none, start + at, length); });
        };
        for (const auto& [at, length] :
             {std::pair{0, 1}, {63, 1}, {63, 2}, {0, 64}, {1, 64}, {8, 1000}})
            EXPECT_EQ(flush(at, length), flushes_of(kFlushKinds[number], start + at, length));
        EXPECT_EQ(flush(5, 0), Steps{});
    }
}

TEST_F(InstructionsTest, AFlushIsTheBestInstructionUnlessToldOtherwise) {
    PmemMedium medium(Domain::cache_line);
    const Kind best = kFlushKinds[static_cast<size_t>(best_flush_instruction())];
    EXPECT_EQ(step([&] { medium.flush(Site::none, target_.begin(), 200); }),
              flushes_of(best, target_.begin(), 200));
}

TEST_F(InstructionsTest, AFlushIsNothingInTheByteDomain) {
    PmemMedium medium(Domain::byte);
    EXPECT_EQ(step([&] { medium.flush(Site::none, target_.begin(), 200); }), Steps{});
}

TEST_F(InstructionsTest, AFenceIsOneSfence) {
    for (const Domain domain : kDomains) {
        PmemMedium medium(domain);
        EXPECT_EQ(step([&] { medium.fence(Site::none); }), Steps{{Kind::sfence}});
    }
}

TEST_F(InstructionsTest, AWordIsOneStore) {
    PmemMedium medium(Domain::cache_line);
    auto* const word = reinterpret_cast<uint64_t*>(target_.begin() + 8);
    EXPECT_EQ(step([&] { medium.store8(Site::none, word, 0x0102030405060708); }),
              (Steps{{Kind::cached_store, address_of(target_.begin() + 8), 8}}));
}

TEST_F(InstructionsTest, CopiesAndZeroesGoThroughTheCache) {
    PmemMedium medium(Domain::cache_line);
    std::byte* const to = target_.begin() + 3;
    std::ranges::fill(source_.begin(), source_.end(), std::byte{0xA5});
    const auto only_cached = [](const Steps& steps) {
        return !steps.empty() && std::ranges::all_of(steps, [](const Executed& step) {
            return step.kind == Kind::cached_store;
        });
    };
    for (const size_t length : {1, 8, 64, 1000, 4000}) {
        EXPECT_TRUE(
            only_cached(step([&] { medium.copy(Site::none, to, source_.begin(), length); })));
        EXPECT_TRUE(only_cached(step([&] { medium.zero(Site::none, to, length); })));
    }
    EXPECT_EQ(step([&] {
                  medium.copy(Site::none, to, source_.begin(), 0);
                  medium.zero(Site::none, to, 0);
              }),
              Steps{});
}

TEST_F(InstructionsTest, ASyncIsOneMsyncOfThePages) {
    auto* const pages = static_cast<std::byte*>(
        mmap(nullptr, 3 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(static_cast<void*>(pages), MAP_FAILED);
    PmemMedium medium(Domain::page);
    bool done = false;
    EXPECT_EQ(step([&] { done = medium.sync(Site::none, pages + kPage + 100, 4000).has_value(); }),
              (Steps{{Kind::msync, address_of(pages + kPage), 100 + 4000}}));
    EXPECT_TRUE(done);
    EXPECT_EQ(step([&] { done = medium.sync(Site::none, pages, 0).has_value(); }), Steps{});
    munmap(pages, 3 * kPage);
}

// A record as it is made durable, and the word that tells of it.
template <class M>
void store_force_and_tell(M& medium, std::byte* to, const FrameWords& header,
                          std::span<const Bytes> parts, StoreKind kind, size_t frame_bytes) {
    medium.store_frame(Site::none, to, header, parts, 5, kind);
    if (kind == StoreKind::cached) medium.flush(Site::none, to, frame_bytes);
    medium.fence(Site::none);
    medium.store8(Site::none, reinterpret_cast<uint64_t*>(to - 8), 0x0102030405060708);
}

// The compiler has kept the order too. A medium with delays does the same.
TEST_F(InstructionsTest, AFenceStandsBehindTheFrameAndItsFlushes) {
    PmemMedium plain(Domain::cache_line);
    Modelled<PmemMedium> modelled({.fence_ns = 1, .line_ns = 1}, Domain::cache_line);
    const Kind best = kFlushKinds[static_cast<size_t>(best_flush_instruction())];
    const std::array<Bytes, 1> parts = {Bytes(source_.begin(), 200)};
    const auto frame = expected_frame({}, parts, 5);
    std::byte* const to = target_.begin() + kLine;
    const auto stepped = [&](auto& medium, StoreKind kind) {
        std::ranges::transform(frame, to, [](std::byte byte) { return ~byte; });
        std::fill(target_.begin(), to, std::byte{0});
        return step([&] { store_force_and_tell(medium, to, {}, parts, kind, frame.size()); });
    };
    for (const StoreKind kind : {StoreKind::cached, StoreKind::non_temporal}) {
        Steps rest = kind == StoreKind::cached ? flushes_of(best, to, frame.size()) : Steps{};
        rest.push_back({Kind::sfence});
        rest.push_back({Kind::cached_store, address_of(to - 8), 8});
        for (Steps steps : {stepped(plain, kind), stepped(modelled, kind)}) {
            ASSERT_GT(steps.size(), rest.size());
            const auto behind = steps.end() - static_cast<ptrdiff_t>(rest.size());
            EXPECT_EQ(Steps(behind, steps.end()), rest);
            steps.erase(behind, steps.end());
            EXPECT_EQ(wrong_with_stores(
                          steps,
                          kind == StoreKind::cached ? Kind::cached_store : Kind::non_temporal_store,
                          to, frame.size()),
                      "");
        }
    }
}

// --- what looks on -------------------------------------------------------------------------------

// Where a store was decoded wrongly, the bytes that it changed are reported as a cached one as
// well.
TEST_F(InstructionsTest, EveryFormOfAnAddressIsRead) {
    std::fill(target_.begin(), target_.end(), std::byte{0});
    std::byte* const to = target_.begin();
    const uint64_t scaled = 3;
    const uint64_t ones = UINT64_MAX;
    const Steps steps = step([&] {
        asm volatile(
            "movnti %[ones], (%[to])\n"
            "movnti %k[ones], 16(%[to])\n"
            "movnti %[ones], 32(%[to], %[scaled], 8)\n"
            "mov %[to], %%r13\n"
            "mov %[scaled], %%r12\n"
            "movnti %[ones], 0(%%r13, %%r12, 4)\n"
            "movnti %[ones], 1024(%%r13)\n"
            "lea 72(%%r13), %%r12\n"
            "movnti %[ones], -8(%%r12)\n"
            "lea -512(%[to]), %%r12\n"
            "movnti %[ones], 640(, %%r12, 1)\n"
            "pcmpeqd %%xmm0, %%xmm0\n"
            "movntdq %%xmm0, 2048(%%r13)\n"
            "movntps %%xmm0, 2064(%%r13)\n"
            "clflush 100(%%r13)\n"
            "mfence\n"
            "lfence\n"
            "sfence\n"
            :
            : [to] "r"(to), [ones] "r"(ones), [scaled] "r"(scaled)
            : "r12", "r13", "xmm0", "memory");
    });
    const auto stored = [&](size_t at, size_t bytes) {
        return Executed{Kind::non_temporal_store, address_of(to + at), bytes};
    };
    EXPECT_EQ(steps, (Steps{stored(0, 8),
                            stored(16, 4),
                            stored(32 + 24, 8),
                            stored(12, 8),
                            stored(1024, 8),
                            stored(64, 8),
                            stored(128, 8),
                            stored(2048, 16),
                            stored(2064, 16),
                            {Kind::clflush, address_of(to + 64), kLine},
                            {Kind::sfence}}));
}

alignas(64) std::array<std::byte, 64> at_a_fixed_place asm("at_a_fixed_place");

TEST_F(InstructionsTest, AnAddressRelativeToTheInstructionIsRead) {
    const Steps steps = single_step(at_a_fixed_place, [] {
        asm volatile("movnti %0, at_a_fixed_place + 16(%%rip)" : : "r"(UINT64_MAX) : "memory");
    });
    EXPECT_EQ(steps,
              (Steps{{Kind::non_temporal_store, address_of(at_a_fixed_place.data()) + 16, 8}}));
}

TEST_F(InstructionsTest, WideStoresAreRead) {
    if (!available(Crc32cPath::fold512)) GTEST_SKIP() << "this processor lacks AVX-512";
    std::fill(target_.begin(), target_.end(), std::byte{0});
    std::byte* const to = target_.begin();
    const Steps steps = step([&] {
        asm volatile(
            "mov %[to], %%r9\n"
            "vpternlogd $0xFF, %%zmm17, %%zmm17, %%zmm17\n"
            "vmovdqa64 %%zmm17, %%zmm0\n"
            "vmovntdq %%xmm0, 16(%[to])\n"
            "vmovntdq %%ymm0, 32(%%r9)\n"
            "vmovntps %%ymm0, 64(%[to])\n"
            "vmovntdq %%xmm17, 112(%[to])\n"
            "vmovntdq %%ymm17, 160(%%r9)\n"
            "vmovntdq %%zmm17, 256(%[to])\n"
            "vmovntps %%zmm17, 8192 - 64(%%r9)\n"
            "vzeroupper\n"
            :
            : [to] "r"(to)
            : "r9", "xmm0", "memory");
    });
    const auto stored = [&](size_t at, size_t bytes) {
        return Executed{Kind::non_temporal_store, address_of(to + at), bytes};
    };
    EXPECT_EQ(steps, (Steps{stored(16, 16), stored(32, 32), stored(64, 32), stored(112, 16),
                            stored(160, 32), stored(256, 64), stored(8192 - 64, 64)}));
}

TEST_F(InstructionsTest, ACachedStoreBesideANonTemporalOneIsSeen) {
    std::byte* const to = target_.begin();
    const Steps steps = step([&] {
        _mm_stream_si128(reinterpret_cast<__m128i*>(to), _mm_set1_epi8(1));
        *reinterpret_cast<volatile uint32_t*>(to + 8) = 0x02020202;
    });
    EXPECT_EQ(steps, (Steps{{Kind::non_temporal_store, address_of(to), 16},
                            {Kind::cached_store, address_of(to + 8), 4}}));
    EXPECT_NE(wrong_with_stores(steps, Kind::non_temporal_store, to, 16), "");
    EXPECT_NE(wrong_with_stores({steps[0]}, Kind::non_temporal_store, to, 17), "");
    EXPECT_EQ(wrong_with_stores({steps[0]}, Kind::non_temporal_store, to, 16), "");
}

}  // namespace
}  // namespace cinnabar::medium
