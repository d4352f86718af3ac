// The medium of production over memory of the test's own.
#include "medium/pmem_medium.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "frames.hpp"
#include "mapping.hpp"

namespace cinnabar::medium {
namespace {

constexpr std::array<Domain, 3> kDomains = {Domain::byte, Domain::cache_line, Domain::page};
constexpr std::byte kUntouched{0xA5};

TEST(PmemMedium, StoresFramesOfAllKindsAndSizes) {
    std::mt19937_64 random = random_of_run();
    GuardedPages source(3);
    GuardedPages target(3);
    fill_randomly(random, source.begin(), source.end());
    for (Domain domain : kDomains) {
        PmemMedium medium(domain);
        EXPECT_EQ(medium.domain(), domain);
        for (StoreKind kind : {StoreKind::cached, StoreKind::non_temporal}) {
            for (size_t length = 1; length <= 9000; length += 37) {
                const FrameWords header = random_header(random);
                const std::array<Bytes, 1> parts = {Bytes(source.begin(), length)};
                const auto expected = expected_frame(header, parts, 77);
                std::fill(target.begin(), target.end(), kUntouched);
                medium.store_frame(Site::forced_frame_store, target.begin(), header, parts, 77,
                                   kind);
                if (domain != Domain::page)
                    medium.flush(Site::forcer_flush, target.begin(), expected.size());
                medium.fence(Site::forced_fence);
                ASSERT_TRUE(std::equal(expected.begin(), expected.end(), target.begin()));
                ASSERT_EQ(*(target.begin() + expected.size()), kUntouched);
            }
        }
    }
}

TEST(PmemMedium, CopiesZeroesAndStoresWords) {
    std::mt19937_64 random = random_of_run();
    GuardedPages source(3);
    GuardedPages target(3);
    fill_randomly(random, source.begin(), source.end());
    PmemMedium medium(Domain::cache_line);
    for (size_t length = 1; length <= 9000; length += 37) {
        const size_t shift = 1 + random() % 64;
        std::byte* const to = target.begin() + shift;
        std::fill(target.begin(), target.end(), kUntouched);
        medium.copy(Site::none, to, source.begin(), length);
        ASSERT_TRUE(std::equal(to, to + length, source.begin()));
        ASSERT_EQ(to[-1], kUntouched);
        ASSERT_EQ(to[length], kUntouched);
        medium.zero(Site::none, to, length);
        ASSERT_TRUE(std::all_of(to, to + length, [](std::byte b) { return b == std::byte{0}; }));
        ASSERT_EQ(to[-1], kUntouched);
        ASSERT_EQ(to[length], kUntouched);
    }
    auto* const words = reinterpret_cast<uint64_t*>(target.begin());
    words[0] = words[2] = 7;
    medium.store8(Site::none, words + 1, 0x0123456789ABCDEF);
    EXPECT_EQ(words[0], 7u);
    EXPECT_EQ(words[1], 0x0123456789ABCDEFu);
    EXPECT_EQ(words[2], 7u);
}

TEST(PmemMedium, NothingIsNonTemporalInThePageDomain) {
    EXPECT_EQ(PmemMedium(Domain::page).kind_here(StoreKind::non_temporal), StoreKind::cached);
    EXPECT_EQ(PmemMedium(Domain::byte).kind_here(StoreKind::non_temporal), StoreKind::non_temporal);
    EXPECT_EQ(PmemMedium(Domain::cache_line).kind_here(StoreKind::non_temporal),
              StoreKind::non_temporal);
    EXPECT_EQ(PmemMedium(Domain::cache_line).kind_here(StoreKind::cached), StoreKind::cached);
}

TEST(PmemMedium, NoMutantsInProduction) {
    static_assert(!PmemMedium::mutant(Mutant::cut_not_erased));
}

// A flush of a page that may not be touched faults: so it shows which lines were flushed.
TEST(PmemMediumDeathTest, FlushTouchesEveryLineOfTheRangeAndNoOther) {
    GuardedPages pages(1);
    for (int number = 0; number <= static_cast<int>(best_flush_instruction()); ++number) {
        PmemMedium medium(Domain::cache_line, static_cast<FlushInstruction>(number));
        medium.flush(Site::none, pages.begin(), pages.size());
        medium.flush(Site::none, pages.end() - 1, 1);
        medium.flush(Site::none, pages.begin() + 63, 2);
        medium.flush(Site::none, pages.end(), 0);
        EXPECT_DEATH(medium.flush(Site::none, pages.end() - 1, 2), "");
        EXPECT_DEATH(medium.flush(Site::none, pages.begin(), pages.size() + 1), "");
        EXPECT_DEATH(medium.flush(Site::none, pages.begin() - 1, 2), "");
    }
}

TEST(PmemMedium, FlushIsNothingInTheByteDomain) {
    GuardedPages pages(1);
    PmemMedium(Domain::byte).flush(Site::none, pages.end(), 64);
}

TEST(PmemMediumDeathTest, FlushIsABugInThePageDomain) {
    GuardedPages pages(1);
    EXPECT_DEATH(PmemMedium(Domain::page).flush(Site::none, pages.begin(), 64),
                 "check failed.*cache_line");
}

TEST(PmemMedium, SyncWritesBackTheFile) {
    char name[] = "/tmp/cinnabar-sync-XXXXXX";
    const int file = mkstemp(name);
    ASSERT_GE(file, 0);
    unlink(name);
    ASSERT_EQ(ftruncate(file, 3 * kPage), 0);
    auto* const pages = static_cast<std::byte*>(
        mmap(nullptr, 3 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    ASSERT_NE(static_cast<void*>(pages), MAP_FAILED);
    PmemMedium medium(Domain::page);
    pages[kPage - 1] = pages[kPage] = std::byte{42};
    EXPECT_TRUE(medium.sync(Site::page_sync, pages + kPage - 1, 2).has_value());
    EXPECT_TRUE(medium.sync(Site::page_sync, pages + 3 * kPage - 1, 1).has_value());
    EXPECT_TRUE(medium.sync(Site::page_sync, pages, 0).has_value());
    char read_back = 0;
    ASSERT_EQ(pread(file, &read_back, 1, kPage), 1);
    EXPECT_EQ(read_back, 42);
    munmap(pages, 3 * kPage);
    close(file);
}

// The second page is the only one gone: a range that ends just before it is fine, one that reaches
// into it by a byte is not.
TEST(PmemMedium, SyncOfAnUnmappedRangeIsAnError) {
    auto* const pages = static_cast<std::byte*>(
        mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(static_cast<void*>(pages), MAP_FAILED);
    ASSERT_EQ(munmap(pages + kPage, kPage), 0);
    PmemMedium medium(Domain::page);
    EXPECT_TRUE(medium.sync(Site::page_sync, pages + 1, kPage - 1).has_value());
    EXPECT_TRUE(medium.sync(Site::page_sync, pages + kPage + 1, 0).has_value());
    for (const auto& failed : {medium.sync(Site::page_sync, pages + kPage, kPage),
                               medium.sync(Site::page_sync, pages + kPage - 1, 2)}) {
        ASSERT_FALSE(failed.has_value());
        EXPECT_EQ(failed.error().code, Errc::io);
        EXPECT_NE(failed.error().message.find(std::strerror(ENOMEM)), std::string::npos)
            << failed.error().message;
    }
    munmap(pages, kPage);
}

}  // namespace
}  // namespace cinnabar::medium
