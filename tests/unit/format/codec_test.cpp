// Registers, segment headers and generations.
#include "format/codec.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace cinnabar::format {

namespace {

constexpr PoolId kPool = {1, 2, 3};
constexpr uint32_t kKey = register_key(RegisterRole::mark, 5);

TEST(Register, TheGreaterSlotThatVerifiesHolds) {
    RegisterLine line;
    EXPECT_FALSE(read_register(kPool, kKey, line)) << "zero never verifies";
    line.slot[0] = register_slot(kPool, kKey, 64);
    EXPECT_EQ(read_register(kPool, kKey, line)->value, 64u);
    line.slot[1] = register_slot(kPool, kKey, 128);
    EXPECT_EQ(read_register(kPool, kKey, line)->value, 128u);
    EXPECT_EQ(read_register(kPool, kKey, line)->slot, 1u);
    line.slot[1].value = 192;  // torn: the new value, the old sum
    EXPECT_EQ(read_register(kPool, kKey, line)->value, 64u);
    line.slot[0].sum ^= 1;
    EXPECT_FALSE(read_register(kPool, kKey, line));
}

TEST(Register, AnotherRowsOrPoolsValueDoesNotVerify) {
    RegisterLine line;
    line.slot[0] = register_slot(kPool, register_key(RegisterRole::mark, 6), 64);
    EXPECT_FALSE(read_register(kPool, kKey, line));
    line.slot[0] = register_slot(PoolId{9}, kKey, 64);
    EXPECT_FALSE(read_register(kPool, kKey, line));
}

class Header : public testing::Test {
  protected:
    void write(size_t copy, uint64_t generation) {
        const SegmentHeader header = segment_header(kPool, 4, generation);
        std::memcpy(bytes_.data() + kHeaderOffset[copy], &header, sizeof header);
    }
    HeaderReading read() { return read_segment_header(kPool, 4, bytes_.data()); }

    std::vector<std::byte> bytes_ = std::vector<std::byte>(kFramesOffset);
};

TEST_F(Header, ZeroIsUnwrittenAndTheFirstPreparationMayTear) {
    EXPECT_EQ(read().state, HeaderState::unwritten);
    bytes_[3] = std::byte{1};  // the first copy, torn
    EXPECT_EQ(read().state, HeaderState::unwritten);
    bytes_[kBlockBytes + 3] = std::byte{1};
    EXPECT_EQ(read().state, HeaderState::corrupt);
}

TEST_F(Header, TheGreaterGenerationThatVerifiesHolds) {
    write(0, 10);
    write(1, 10);
    EXPECT_EQ(read().generation, 10u);
    EXPECT_FALSE(read().one_copy);
    write(0, 11);
    EXPECT_EQ(read().generation, 11u);
    EXPECT_TRUE(read().one_copy);
    bytes_[20] ^= std::byte{4};
    EXPECT_EQ(read().generation, 10u);
    EXPECT_TRUE(read().one_copy);
    bytes_[kBlockBytes + 63] ^= std::byte{4};
    EXPECT_EQ(read().state, HeaderState::corrupt);
}

TEST_F(Header, AnotherSegmentsHeaderDoesNotVerify) {
    write(0, 10);
    write(1, 10);
    EXPECT_EQ(read_segment_header(kPool, 5, bytes_.data()).state, HeaderState::corrupt);
    EXPECT_EQ(read_segment_header(PoolId{9}, 4, bytes_.data()).state, HeaderState::corrupt);
}

TEST(Generation, NeverHasZeroInItsLowHalf) {
    EXPECT_EQ(next_generation(0), 1u);
    EXPECT_EQ(next_generation(0xFFFFFFFE), 0xFFFFFFFFu);
    EXPECT_EQ(next_generation(0xFFFFFFFF), 0x1'0000'0001u);
}

}  // namespace

}  // namespace cinnabar::format
