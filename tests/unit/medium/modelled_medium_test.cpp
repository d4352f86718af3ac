// Modelled latency: never less than what was asked for. How much more it is depends on the machine
// and is not asserted; where nothing may be added, the delay is so long that the test would not
// end.
#include "medium/modelled_medium.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>

#include "frames.hpp"
#include "mapping.hpp"
#include "medium/pmem_medium.hpp"

namespace cinnabar::medium {
namespace {

using ModelledPmem = Modelled<PmemMedium>;
static_assert(Medium<ModelledPmem>);
static_assert(!ModelledPmem::mutant(Mutant::cut_not_erased));

constexpr uint32_t kForEver = std::numeric_limits<uint32_t>::max();

template <class Work>
double ns_of(Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::nano> passed =
        std::chrono::steady_clock::now() - start;
    return passed.count();
}

// The counter is measured against the clock to well within this.
double at_least(double ns) {
    return ns * 0.999;
}

TEST(Modelled, FenceTakesItsTime) {
    ModelledPmem medium({.fence_ns = 2000, .line_ns = 0}, Domain::cache_line);
    const double taken = ns_of([&] {
        for (int i = 0; i < 1000; ++i) medium.fence(Site::none);
    });
    EXPECT_GE(taken, at_least(1000 * 2000.0));
}

TEST(Modelled, FlushTakesItsTimeForEachLineTouched) {
    GuardedPages pages(1);
    ModelledPmem medium({.fence_ns = 0, .line_ns = 1000}, Domain::cache_line);
    const double whole_page = ns_of([&] {
        for (int i = 0; i < 20; ++i) medium.flush(Site::none, pages.begin(), kPage);
    });
    EXPECT_GE(whole_page, at_least(20 * 64 * 1000.0));
    const double two_bytes_in_two_lines = ns_of([&] {
        for (int i = 0; i < 1000; ++i) medium.flush(Site::none, pages.begin() + 63, 2);
    });
    EXPECT_GE(two_bytes_in_two_lines, at_least(1000 * 2 * 1000.0));
}

TEST(Modelled, NonTemporalFrameTakesItsTimeForEachLine) {
    GuardedPages pages(1);
    ModelledPmem medium({.fence_ns = 0, .line_ns = 5000}, Domain::byte);
    const std::array<Bytes, 2> parts = {Bytes(pages.begin() + 2048, 100),
                                        Bytes(pages.begin() + 2048, 61)};  // 193: four lines
    const double taken = ns_of([&] {
        for (int i = 0; i < 200; ++i)
            medium.store_frame(Site::none, pages.begin(), {}, parts, 1, StoreKind::non_temporal);
    });
    EXPECT_GE(taken, at_least(200 * 4 * 5000.0));
}

TEST(Modelled, AddsNothingWhereNothingIsWrittenBack) {
    GuardedPages pages(2);
    const std::array<Bytes, 1> parts = {Bytes(pages.begin() + kPage, 3000)};
    const ModelledLatency endless = {.fence_ns = 0, .line_ns = kForEver};
    ModelledPmem byte(endless, Domain::byte);
    ModelledPmem cache_line(endless, Domain::cache_line);
    ModelledPmem page(endless, Domain::page);
    byte.flush(Site::none, pages.begin(), kPage);
    for (int i = 0; i < 1000; ++i) cache_line.flush(Site::none, pages.begin() + 1, 0);
    cache_line.store_frame(Site::none, pages.begin(), {}, parts, 1, StoreKind::cached);
    page.store_frame(Site::none, pages.begin(), {}, parts, 1, StoreKind::non_temporal);
    for (ModelledPmem* medium : {&byte, &cache_line, &page}) {
        medium->copy(Site::none, pages.begin(), pages.begin() + kPage, kPage);
        medium->zero(Site::none, pages.begin(), kPage);
        medium->store8(Site::none, reinterpret_cast<uint64_t*>(pages.begin()), 1);
        medium->fence(Site::none);
    }
}

TEST(Modelled, StoresWhatWasAskedFor) {
    std::mt19937_64 random = random_of_run();
    GuardedPages source(1);
    GuardedPages target(1);
    fill_randomly(random, source.begin(), source.end());
    ModelledPmem medium({.fence_ns = 10, .line_ns = 10}, Domain::cache_line);
    EXPECT_EQ(medium.domain(), Domain::cache_line);
    const FrameWords header = random_header(random);
    const std::array<Bytes, 1> parts = {Bytes(source.begin(), 1000)};
    const auto expected = expected_frame(header, parts, 3);
    medium.store_frame(Site::none, target.begin(), header, parts, 3, StoreKind::non_temporal);
    medium.fence(Site::none);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), target.begin()));
    medium.copy(Site::none, target.begin() + 8, source.begin(), 100);
    EXPECT_TRUE(std::equal(source.begin(), source.begin() + 100, target.begin() + 8));
    medium.zero(Site::none, target.begin() + 16, 8);
    medium.store8(Site::none, reinterpret_cast<uint64_t*>(target.begin()), 99);
    EXPECT_EQ(*reinterpret_cast<uint64_t*>(target.begin()), 99u);
    EXPECT_EQ(*reinterpret_cast<uint64_t*>(target.begin() + 16), 0u);
    EXPECT_TRUE(medium.sync(Site::none, target.begin(), kPage).has_value());
    ASSERT_EQ(munmap(target.begin(), kPage), 0);
    EXPECT_FALSE(medium.sync(Site::none, target.begin(), kPage).has_value());
}

}  // namespace
}  // namespace cinnabar::medium
