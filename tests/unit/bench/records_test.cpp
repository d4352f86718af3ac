// Record lengths from a trace, and records that name themselves.
#include "force/records.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

namespace cinnabar::bench {
namespace {

Result<std::vector<uint32_t>> trace_of(const std::string& text) {
    const std::string path = testing::TempDir() + "cinnabar-trace-" + std::to_string(::getpid());
    std::ofstream(path, std::ios::binary) << text;
    auto sizes = read_trace(path);
    std::filesystem::remove(path);
    return sizes;
}

TEST(Trace, LengthsCountTheNewline) {
    const auto sizes = trace_of("123456789\n1234567890123\n");
    ASSERT_TRUE(sizes) << sizes.error().message;
    EXPECT_EQ(*sizes, (std::vector<uint32_t>{10, 14}));
}

TEST(Trace, LastLineWithoutNewlineHasNone) {
    const auto sizes = trace_of("123456789\n1234567890123");
    ASSERT_TRUE(sizes);
    EXPECT_EQ(*sizes, (std::vector<uint32_t>{10, 13}));
}

TEST(Trace, LengthsOutsideTheLimitsAreTheNearerLimit) {
    const auto sizes = trace_of("\n" + std::string(70'000, 'x') + "\n");
    ASSERT_TRUE(sizes);
    EXPECT_EQ(*sizes, (std::vector<uint32_t>{kRecordBytesMin, kRecordBytesMax}));
}

TEST(Trace, RepeatsUpToAPowerOfTwo) {
    const auto sizes = trace_of("123456789\n1234567890\n12345678901\n");
    ASSERT_TRUE(sizes);
    EXPECT_EQ(*sizes, (std::vector<uint32_t>{10, 11, 12, 10}));
}

TEST(Trace, TakesLongFilesAtEvenDistances) {
    std::string text;
    for (size_t i = 0; i < 4 * kTraceCycle; ++i) text += std::string(10 + i / 1000, 'x') + "\n";
    const auto sizes = trace_of(text);
    ASSERT_TRUE(sizes);
    ASSERT_EQ(sizes->size(), kTraceCycle);
    EXPECT_EQ(sizes->front(), 11u);
    EXPECT_EQ((*sizes)[kTraceCycle / 2], 13u);
    EXPECT_EQ(sizes->back(), 15u);
}

TEST(Trace, MissingFileIsNotFound) {
    const auto sizes = read_trace(testing::TempDir() + "no-such-trace");
    ASSERT_FALSE(sizes);
    EXPECT_EQ(sizes.error().code, Errc::not_found);
}

TEST(Trace, EmptyFileIsRefused) {
    const auto sizes = trace_of("");
    ASSERT_FALSE(sizes);
    EXPECT_EQ(sizes.error().code, Errc::invalid_argument);
}

TEST(Records, NameTheirThreadAndPlace) {
    const Records records({8, 100, 64, 9}, 3);
    EXPECT_EQ(records.bytes_max(), 100u);
    EXPECT_DOUBLE_EQ(records.bytes_mean(), 45.25);
    for (unsigned thread = 0; thread < 3; ++thread) {
        for (uint64_t index = 0; index < 8; ++index) {
            const Bytes record = records.at(thread, index);
            EXPECT_EQ(record.size(), records.sizes()[index % 4]);
            Records::Name name;
            ASSERT_TRUE(records.name_of(record.data(), name));
            EXPECT_EQ(name.thread, thread);
            EXPECT_EQ(name.place, index % 4);
        }
    }
}

TEST(Records, ZerosAndForeignBytesNameNothing) {
    const Records records(fixed_sizes(64), 2);
    const std::byte zeros[8] = {};
    Records::Name name;
    EXPECT_FALSE(records.name_of(zeros, name));
    std::byte other[8];
    std::memcpy(other, records.at(0, 0).data(), sizeof other);
    other[3] ^= std::byte{1};
    EXPECT_FALSE(records.name_of(other, name));
}

}  // namespace
}  // namespace cinnabar::bench
