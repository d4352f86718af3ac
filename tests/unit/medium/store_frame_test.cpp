// Every form of store_frame against the frame written down by definition.
#include "medium/store_frame.hpp"

#include <emmintrin.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <tuple>

#include "frames.hpp"
#include "mapping.hpp"

namespace cinnabar::medium {
namespace {

constexpr std::byte kUntouched{0xA5};

class StoreFrameTest : public testing::TestWithParam<std::tuple<Crc32cPath, StoreKind>> {
  protected:
    void SetUp() override {
        if (!available(path())) GTEST_SKIP() << "this processor lacks " << name_of(path());
        random_ = random_of_run();
    }

    Crc32cPath path() const { return std::get<0>(GetParam()); }
    StoreKind kind() const { return std::get<1>(GetParam()); }

    // Stores one frame between untouched bytes, and looks at all of them.
    void expect_stored(std::span<const Bytes> parts) {
        const FrameWords header = random_header(random_);
        const uint32_t seed = static_cast<uint32_t>(random_());
        const std::vector<std::byte> expected = expected_frame(header, parts, seed);
        ASSERT_LE(expected.size() + 128, target_.size());
        std::byte* const to = target_.begin() + 64;
        std::fill(target_.begin(), to + expected.size() + 64, kUntouched);
        store_frame_by(path())(to, header, parts, seed, kind());
        _mm_sfence();
        ASSERT_TRUE(std::equal(expected.begin(), expected.end(), to));
        const auto untouched = [](std::byte byte) { return byte == kUntouched; };
        ASSERT_TRUE(std::all_of(target_.begin(), to, untouched));
        ASSERT_TRUE(std::all_of(to + expected.size(), to + expected.size() + 64, untouched));
    }

    std::mt19937_64 random_;
    GuardedPages target_{20};
};

TEST_P(StoreFrameTest, OnePartOfEveryShortLength) {
    GuardedPages source(1);
    fill_randomly(random_, source.begin(), source.end());
    for (size_t length = 0; length <= 700; ++length) {
        for (size_t shift : {size_t{0}, random_() % 64}) {
            const std::array<Bytes, 1> parts = {Bytes(source.begin() + shift, length)};
            ASSERT_NO_FATAL_FAILURE(expect_stored(parts)) << length << " bytes, shift " << shift;
        }
    }
}

TEST_P(StoreFrameTest, OneLongPart) {
    GuardedPages source(17);
    fill_randomly(random_, source.begin(), source.end());
    for (size_t length : {size_t{4096}, size_t{16384}, size_t{65536 - 32}, size_t{65536}}) {
        for (size_t less = 0; less < 70; less += 7) {
            const std::array<Bytes, 1> parts = {Bytes(source.begin() + less, length - less)};
            ASSERT_NO_FATAL_FAILURE(expect_stored(parts)) << length - less << " bytes";
        }
    }
}

TEST_P(StoreFrameTest, NoPartsAtAll) {
    ASSERT_NO_FATAL_FAILURE(expect_stored({}));
    const std::array<Bytes, 1> one_empty = {};
    ASSERT_NO_FATAL_FAILURE(expect_stored(one_empty));
    const std::array<Bytes, 3> three_empty = {};
    ASSERT_NO_FATAL_FAILURE(expect_stored(three_empty));
}

TEST_P(StoreFrameTest, AnyNumberOfParts) {
    GuardedPages source(4);
    fill_randomly(random_, source.begin(), source.end());
    for (int round = 0; round < 1500; ++round) {
        const size_t longest = std::array<size_t, 4>{3, 40, 200, 1000}[random_() % 4];
        std::vector<Bytes> parts(random_() % 9);
        for (Bytes& part : parts) {
            const size_t length = random_() % (longest + 1);
            part = Bytes(source.begin() + random_() % (source.size() - length), length);
        }
        ASSERT_NO_FATAL_FAILURE(expect_stored(parts)) << "round " << round;
    }
}

TEST_P(StoreFrameTest, PayloadThatEndsOrBeginsWithItsPage) {
    GuardedPages source(2);
    fill_randomly(random_, source.begin(), source.end());
    for (size_t length = 0; length <= 600; ++length) {
        const std::array<Bytes, 1> last = {Bytes(source.end() - length, length)};
        ASSERT_NO_FATAL_FAILURE(expect_stored(last)) << length;
        const std::array<Bytes, 1> first = {Bytes(source.begin(), length)};
        ASSERT_NO_FATAL_FAILURE(expect_stored(first)) << length;
        const size_t cut = random_() % (length + 1);
        const std::array<Bytes, 2> both = {Bytes(source.end() - cut, cut),
                                           Bytes(source.end() - (length - cut), length - cut)};
        ASSERT_NO_FATAL_FAILURE(expect_stored(both)) << length << " cut at " << cut;
    }
}

TEST_P(StoreFrameTest, FrameThatEndsWithItsPage) {
    GuardedPages source(1);
    fill_randomly(random_, source.begin(), source.end());
    for (size_t length = 0; length <= 300; ++length) {
        const std::array<Bytes, 1> parts = {Bytes(source.begin(), length)};
        const FrameWords header = random_header(random_);
        const std::vector<std::byte> expected = expected_frame(header, parts, 5);
        std::byte* const to = target_.end() - expected.size();
        store_frame_by(path())(to, header, parts, 5, kind());
        _mm_sfence();
        ASSERT_TRUE(std::equal(expected.begin(), expected.end(), to)) << length;
    }
}

// Whatever the caller leaves in the checksum's place is neither summed nor kept.
TEST_P(StoreFrameTest, ChecksumFieldIsTakenAsZero) {
    const std::array<std::byte, 10> payload = {};
    const std::array<Bytes, 2> parts = {Bytes(payload), Bytes()};
    for (size_t count : {1, 2}) {
        FrameWords header = random_header(random_);
        header.word[1] |= 0x12345678;
        const auto expected = expected_frame(header, std::span(parts).first(count), 9);
        store_frame_by(path())(target_.begin(), header, std::span(parts).first(count), 9, kind());
        _mm_sfence();
        ASSERT_TRUE(std::equal(expected.begin(), expected.end(), target_.begin()));
    }
}

#ifndef __SANITIZE_THREAD__  // the race is the point
TEST_P(StoreFrameTest, SumIsOfTheBytesStoredWhileTheSourceChanges) {
    GuardedPages source(2);
    std::atomic<bool> stop = false;
    std::atomic<uint64_t> changes = 0;
    std::thread scribbler([&] {
        while (!stop.load(std::memory_order_relaxed)) {
            const uint64_t change = changes.load(std::memory_order_relaxed) + 1;
            for (std::byte* at = source.begin(); at < source.end(); at += 8)
                std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(at))
                    .store(change * 0x0101010101010101, std::memory_order_relaxed);
            changes.store(change, std::memory_order_relaxed);
        }
    });
    const FrameWords header = random_header(random_);
    size_t wrong = 0;
    for (int round = 0; round < 3000 || changes.load(std::memory_order_relaxed) < 1000; ++round) {
        const Bytes whole(source.begin() + 3, 4000);
        const std::array<Bytes, 2> parts = {whole.first(1001), whole.subspan(1001)};
        const std::array<Bytes, 1> one = {whole};
        store_frame_by(path())(target_.begin(), header,
                               round % 2 == 0 ? std::span<const Bytes>(one) : parts, 5, kind());
        _mm_sfence();
        uint32_t stored_sum = 0;
        std::memcpy(&stored_sum, target_.begin() + 8, sizeof stored_sum);
        std::memset(target_.begin() + 8, 0, sizeof stored_sum);
        wrong += crc32c(5, target_.begin(), 4032) != stored_sum;
    }
    stop = true;
    scribbler.join();
    EXPECT_EQ(wrong, 0u);
}
#endif

using StoreFrameDeathTest = StoreFrameTest;

TEST_P(StoreFrameDeathTest, RefusesAPlaceThatIsNoLine) {
    const std::array<Bytes, 2> parts = {};
    EXPECT_DEATH(store_frame_by(path())(target_.begin() + 32, {}, parts, 1, kind()),
                 "check failed.*kLineBytes");
    EXPECT_DEATH(
        store_frame_by(path())(target_.begin() + 32, {}, std::span(parts).first(1), 1, kind()),
        "check failed.*kLineBytes");
}

std::string parameter_name(const testing::TestParamInfo<StoreFrameTest::ParamType>& info) {
    const bool cached = std::get<1>(info.param) == StoreKind::cached;
    return std::string(name_of(std::get<0>(info.param))) + (cached ? "_cached" : "_non_temporal");
}

const auto kEveryForm = testing::Combine(
    testing::Values(Crc32cPath::table, Crc32cPath::instruction, Crc32cPath::fold512),
    testing::Values(StoreKind::cached, StoreKind::non_temporal));

INSTANTIATE_TEST_SUITE_P(Forms, StoreFrameTest, kEveryForm, parameter_name);
INSTANTIATE_TEST_SUITE_P(Forms, StoreFrameDeathTest, kEveryForm, parameter_name);

}  // namespace
}  // namespace cinnabar::medium
