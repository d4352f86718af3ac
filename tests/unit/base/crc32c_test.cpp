// Every path of the checksum against a definition written bit by bit.
#include "base/crc32c.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <vector>

namespace cinnabar {
namespace {

constexpr std::array<Crc32cPath, 3> kPaths = {Crc32cPath::table, Crc32cPath::instruction,
                                              Crc32cPath::fold512};

uint32_t by_definition(uint32_t sum, const uint8_t* bytes, size_t length) {
    for (size_t i = 0; i < length; ++i) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0x82F63B78u : 0u);
    }
    return sum;
}

uint64_t seed_of_run() {
    const char* given = std::getenv("CINNABAR_SEED");
    const uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::cout << "CINNABAR_SEED=" << seed << "\n";
    return seed;
}

std::vector<uint8_t> random_bytes(std::mt19937_64& random, size_t length) {
    std::vector<uint8_t> bytes(length);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    return bytes;
}

TEST(Crc32c, PublishedCheckValue) {
    for (Crc32cPath path : kPaths) {
        if (!available(path)) continue;
        EXPECT_EQ(~crc32c_by(path, 0xFFFFFFFF, "123456789", 9), 0xE3069283u) << name_of(path);
    }
    EXPECT_EQ(~crc32c(0xFFFFFFFF, "123456789", 9), 0xE3069283u);
}

// RFC 3720, B.4.
TEST(Crc32c, PublishedVectors) {
    std::array<uint8_t, 32> zeros = {};
    std::array<uint8_t, 32> ones;
    ones.fill(0xFF);
    std::array<uint8_t, 32> rising;
    for (size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<uint8_t>(i);
    for (Crc32cPath path : kPaths) {
        if (!available(path)) continue;
        EXPECT_EQ(~crc32c_by(path, ~0u, zeros.data(), 32), 0x8A9136AAu) << name_of(path);
        EXPECT_EQ(~crc32c_by(path, ~0u, ones.data(), 32), 0x62A8AB43u) << name_of(path);
        EXPECT_EQ(~crc32c_by(path, ~0u, rising.data(), 32), 0x46DD794Eu) << name_of(path);
    }
}

TEST(Crc32c, EveryShortLengthAtEveryAlignment) {
    std::mt19937_64 random(seed_of_run());
    const std::vector<uint8_t> bytes = random_bytes(random, 64 + 64 + 2048);
    const size_t first = (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64) % 64;
    for (size_t shift = 0; shift < 64; ++shift) {
        const uint8_t* from = bytes.data() + first + shift;
        const uint32_t seed = static_cast<uint32_t>(random());
        uint32_t expected = seed;
        for (size_t length = 0; length <= 2048; ++length) {
            if (length != 0) expected = by_definition(expected, from + length - 1, 1);
            for (Crc32cPath path : kPaths) {
                if (!available(path)) continue;
                ASSERT_EQ(crc32c_by(path, seed, from, length), expected)
                    << name_of(path) << " length " << length << " shift " << shift;
            }
            ASSERT_EQ(crc32c(seed, from, length), expected);
        }
    }
}

TEST(Crc32c, RandomLongerRuns) {
    std::mt19937_64 random(seed_of_run());
    for (int round = 0; round < 40; ++round) {
        const std::vector<uint8_t> bytes = random_bytes(random, 2048 + random() % 300000);
        const uint32_t seed = static_cast<uint32_t>(random());
        const uint32_t expected = by_definition(seed, bytes.data(), bytes.size());
        for (Crc32cPath path : kPaths) {
            if (!available(path)) continue;
            ASSERT_EQ(crc32c_by(path, seed, bytes.data(), bytes.size()), expected)
                << name_of(path) << " length " << bytes.size();
        }
    }
}

TEST(Crc32c, SumsCompose) {
    std::mt19937_64 random(seed_of_run());
    const std::vector<uint8_t> bytes = random_bytes(random, 5000);
    const uint32_t seed = static_cast<uint32_t>(random());
    const uint32_t whole = by_definition(seed, bytes.data(), bytes.size());
    for (Crc32cPath path : kPaths) {
        if (!available(path)) continue;
        for (int round = 0; round < 2000; ++round) {
            const size_t cut = random() % (bytes.size() + 1);
            const uint32_t front = crc32c_by(path, seed, bytes.data(), cut);
            ASSERT_EQ(crc32c_by(path, front, bytes.data() + cut, bytes.size() - cut), whole)
                << name_of(path) << " cut at " << cut;
        }
    }
}

TEST(Crc32c, ReadsNothingOutsideTheRun) {
    constexpr size_t kPage = 4096;
    auto* pages = static_cast<uint8_t*>(
        mmap(nullptr, 3 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(pages, MAP_FAILED);
    uint8_t* const page = pages + kPage;
    for (size_t i = 0; i < kPage; ++i) page[i] = static_cast<uint8_t>(i * 7);
    ASSERT_EQ(munmap(pages, kPage), 0);
    ASSERT_EQ(munmap(pages + 2 * kPage, kPage), 0);
    for (Crc32cPath path : kPaths) {
        if (!available(path)) continue;
        for (size_t length = 0; length <= kPage; ++length) {
            ASSERT_EQ(crc32c_by(path, 1, page, length),
                      crc32c_by(Crc32cPath::table, 1, page, length));
            ASSERT_EQ(crc32c_by(path, 1, page + kPage - length, length),
                      crc32c_by(Crc32cPath::table, 1, page + kPage - length, length));
        }
    }
    munmap(page, kPage);
}

TEST(Crc32c, AHoleCountsAsZero) {
    std::vector<uint8_t> bytes(700);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7 + 1);
    std::vector<uint8_t> holed = bytes;
    std::fill_n(holed.begin() + kHoleAt, 4, uint8_t{0});
    for (size_t length = 64; length <= bytes.size(); ++length) {
        const uint32_t wanted = crc32c_by(Crc32cPath::table, 5, holed.data(), length);
        ASSERT_EQ(crc32c_with_hole(5, bytes.data(), length), wanted) << length;
        for (Crc32cPath path : kPaths) {
            if (!available(path)) continue;
            ASSERT_EQ(crc32c_with_hole_by(path, 5, bytes.data(), length), wanted) << length;
        }
    }
}

TEST(Crc32c, PathHasANameAndIsAvailable) {
    EXPECT_TRUE(available(crc32c_path()));
    EXPECT_TRUE(available(Crc32cPath::table));
    EXPECT_EQ(name_of(Crc32cPath::table), "table");
    EXPECT_EQ(name_of(Crc32cPath::instruction), "instruction");
    EXPECT_EQ(name_of(Crc32cPath::fold512), "fold512");
}

}  // namespace
}  // namespace cinnabar
