// What a frame must look like, written down a second time and slowly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <span>
#include <vector>

#include "cinnabar/types.hpp"
#include "seam/medium.hpp"

namespace cinnabar::medium {

inline uint32_t sum_by_definition(uint32_t sum, const std::vector<std::byte>& bytes) {
    for (std::byte byte : bytes) {
        sum ^= static_cast<uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0x82F63B78u : 0u);
    }
    return sum;
}

inline std::vector<std::byte> expected_frame(const FrameWords& header, std::span<const Bytes> parts,
                                             uint32_t seed) {
    std::vector<std::byte> frame(sizeof header);
    std::memcpy(frame.data(), header.word.data(), sizeof header);
    std::memset(frame.data() + 8, 0, 4);
    for (const Bytes& part : parts) frame.insert(frame.end(), part.begin(), part.end());
    while (frame.size() % 64 != 0) frame.push_back(std::byte{0});
    const uint32_t sum = sum_by_definition(seed, frame);
    std::memcpy(frame.data() + 8, &sum, sizeof sum);
    return frame;
}

inline FrameWords random_header(std::mt19937_64& random) {
    FrameWords header;
    for (uint64_t& word : header.word) word = random();
    header.word[1] &= ~uint64_t{0xFFFFFFFF};
    return header;
}

inline void fill_randomly(std::mt19937_64& random, std::byte* from, const std::byte* to) {
    for (; from != to; ++from) *from = static_cast<std::byte>(random());
}

inline std::mt19937_64 random_of_run() {
    const char* given = std::getenv("CINNABAR_SEED");
    const uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::cout << "CINNABAR_SEED=" << seed << "\n";
    return std::mt19937_64(seed);
}

}  // namespace cinnabar::medium
