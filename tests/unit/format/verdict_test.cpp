// The verdict table over all its inputs, and real bytes through look().
#include "format/verdict.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "format/codec.hpp"

namespace cinnabar::format {

namespace {

std::vector<Observation> all_observations() {
    std::vector<Observation> all;
    for (const bool below : {false, true})
        for (const bool readable : {false, true})
            for (const auto generation :
                 {GenerationSeen::zero, GenerationSeen::same, GenerationSeen::other})
                for (const bool length : {false, true})
                    for (const bool sum : {false, true})
                        for (const bool lsn : {false, true})
                            all.push_back({below, readable, generation, length, sum, lsn});
    return all;
}

TEST(VerdictTable, EveryPossibleInputMatchesExactlyOneRow) {
    size_t possible_inputs = 0;
    for (const Observation& seen : all_observations()) {
        if (!possible(seen)) continue;
        ++possible_inputs;
        size_t matching = 0;
        for (const VerdictRow& row : verdict_table()) matching += matches(row, seen) ? 1 : 0;
        EXPECT_EQ(matching, 1u) << "below=" << seen.below_testimony
                                << " generation=" << static_cast<int>(seen.generation)
                                << " length=" << seen.length_ok << " sum=" << seen.sum_ok;
    }
    EXPECT_EQ(all_observations().size(), 96u);
    EXPECT_EQ(possible_inputs, 56u);
}

TEST(VerdictTable, EveryRowIsReached) {
    for (const VerdictRow& row : verdict_table()) {
        bool reached = false;
        for (const Observation& seen : all_observations())
            reached = reached || (possible(seen) && matches(row, seen));
        EXPECT_TRUE(reached) << row.label;
    }
}

// The rule, said a second time and without the table.
TEST(VerdictTable, BelowTestimonyNothingButTheFrameIsAcceptedAndAboveItNothingTornIsDamage) {
    for (const Observation& seen : all_observations()) {
        if (!possible(seen)) continue;
        const Verdict verdict = judge(seen);
        const bool expected_frame = seen.readable && seen.generation == GenerationSeen::same &&
                                    seen.length_ok && seen.sum_ok && seen.lsn_ok;
        EXPECT_EQ(verdict == Verdict::valid, expected_frame);
        if (seen.below_testimony) {
            EXPECT_EQ(is_corrupt(verdict), !expected_frame);
        } else if (seen.readable && !seen.sum_ok) {
            EXPECT_FALSE(is_corrupt(verdict));
        }
    }
}

constexpr uint64_t kBytes = 2048;
constexpr uint64_t kGeneration = (uint64_t{7} << 32) | 42;

class Look : public testing::Test {
  protected:
    Look() {
        life_.base = bytes_.data();
        life_.segment_bytes = kBytes;
        life_.segment = 3;
        life_.generation = kGeneration;
        life_.base_lsn = 3 * frame_space(kBytes);
        life_.seed = frame_seed(life_.pool, 3, kGeneration);
    }

    // Writes a frame that verifies, under the given generation.
    void write(uint64_t offset, uint32_t payload, uint64_t generation, uint64_t lsn,
               FrameType type = FrameType::record) {
        std::byte* at = bytes_.data() + offset;
        const uint64_t summed = summed_bytes(type, padded_bytes(payload));
        std::memset(at, 0, summed);
        std::memset(at + kHeaderBytes, 0xAB, std::min<uint64_t>(payload, summed - kHeaderBytes));
        FrameHeader header;
        header.generation = static_cast<uint32_t>(generation);
        header.length_and_flags = length_and_flags(type, true, payload);
        header.lsn = lsn;
        std::memcpy(at, &header, sizeof header);
        header.checksum = frame_sum(frame_seed(life_.pool, life_.segment, generation), at, summed);
        std::memcpy(at, &header, sizeof header);
    }

    Verdict at(uint64_t offset, bool below) { return look(life_, offset, below).verdict; }

    static constexpr uint64_t kAt = kFramesOffset + kLineBytes;

    std::vector<std::byte> bytes_ = std::vector<std::byte>(kBytes);
    SegmentLife life_;
};

TEST_F(Look, AFrameOfThisLifeAtItsPlaceIsValid) {
    write(kAt, 100, kGeneration, life_.lsn_at(kAt));
    const Seen seen = look(life_, kAt, true);
    EXPECT_EQ(seen.verdict, Verdict::valid);
    EXPECT_EQ(seen.frame_bytes, 192u);
    EXPECT_EQ(seen.header.payload_bytes(), 100u);
}

TEST_F(Look, ZeroNeverVerifies) {
    EXPECT_EQ(at(kAt, false), Verdict::unwritten);
    EXPECT_EQ(at(kAt, true), Verdict::corrupt_unwritten);
}

TEST_F(Look, AnEarlierLifeIsStaleAndALaterOneCannotBe) {
    for (const uint64_t earlier : {uint64_t{1}, kGeneration - 1, kGeneration - 0x1'0000'0001}) {
        write(kAt, 40, earlier, life_.lsn_at(kAt));
        EXPECT_EQ(at(kAt, false), Verdict::stale) << earlier;
        EXPECT_EQ(at(kAt, true), Verdict::corrupt_stale) << earlier;
    }
    for (const uint64_t later : {kGeneration + 1, kGeneration + 0xFFFF'FFFF}) {
        write(kAt, 40, later, life_.lsn_at(kAt));
        EXPECT_EQ(at(kAt, false), Verdict::corrupt_future) << later;
    }
}

// The low 32 bits agree, and the checksum tells the lives apart.
TEST_F(Look, AllBitsOfTheGenerationCount) {
    write(kAt, 40, kGeneration - (uint64_t{1} << 32), life_.lsn_at(kAt));
    EXPECT_EQ(at(kAt, false), Verdict::torn);
    EXPECT_EQ(at(kAt, true), Verdict::corrupt_sum);
}

TEST_F(Look, AFrameOfAnotherPlaceIsForeign) {
    write(kAt, 40, kGeneration, life_.lsn_at(kAt) + 64);
    EXPECT_EQ(at(kAt, false), Verdict::corrupt_foreign);
}

TEST_F(Look, EveryFlippedBitIsNoticedBelowTestimony) {
    write(kAt, 90, kGeneration, life_.lsn_at(kAt));
    for (size_t bit = 0; bit < 8 * padded_bytes(90); ++bit) {
        bytes_[kAt + bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
        EXPECT_TRUE(is_corrupt(at(kAt, true))) << "bit " << bit;
        bytes_[kAt + bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    }
    EXPECT_EQ(at(kAt, true), Verdict::valid);
}

TEST_F(Look, BoundsComeBeforeTheSum) {
    write(kAt, 40, kGeneration, life_.lsn_at(kAt));
    for (const uint32_t length : {0u, 400u, kLengthMask}) {
        const uint32_t word = length_and_flags(FrameType::record, true, length);
        std::memcpy(bytes_.data() + kAt + 4, &word, sizeof word);
        EXPECT_EQ(at(kAt, false), Verdict::torn) << length;
        EXPECT_EQ(at(kAt, true), Verdict::corrupt_length) << length;
    }
    // The last line of a segment, with a frame that would reach beyond it.
    write(kBytes - kLineBytes, 32, kGeneration, life_.lsn_at(kBytes - kLineBytes));
    EXPECT_EQ(at(kBytes - kLineBytes, true), Verdict::valid);
    const uint32_t word = length_and_flags(FrameType::record, true, 33);
    std::memcpy(bytes_.data() + kBytes - kLineBytes + 4, &word, sizeof word);
    EXPECT_EQ(at(kBytes - kLineBytes, true), Verdict::corrupt_length);
}

TEST_F(Look, AFrameThatCannotBeReadToItsEndIsUnreadable) {
    write(kAt, 100, kGeneration, life_.lsn_at(kAt));
    const auto lose = [&](uint64_t offset) {
        life_.unreadable = {Bytes(bytes_.data() + offset, kLineBytes)};
    };
    for (const bool below : {false, true}) {
        for (const uint64_t lost : {kAt, kAt + 64, kAt + 128}) {
            lose(lost);
            EXPECT_EQ(at(kAt, below), Verdict::corrupt_unreadable) << lost - kAt;
        }
        lose(kAt + 192);
        EXPECT_EQ(at(kAt, below), Verdict::valid);
        lose(kAt - 64);
        EXPECT_EQ(at(kAt, below), Verdict::valid);
    }
    // Of another life only the first line says anything.
    write(kAt, 100, kGeneration - 1, life_.lsn_at(kAt));
    lose(kAt + 64);
    EXPECT_EQ(at(kAt, false), Verdict::stale);
    lose(kAt);
    EXPECT_EQ(at(kAt, false), Verdict::corrupt_unreadable);
    // Of a pad only the first line is summed.
    life_.unreadable = {};
    std::memset(bytes_.data() + kAt, 0, kLineBytes);
    FrameHeader pad;
    pad.generation = static_cast<uint32_t>(kGeneration);
    const auto room = static_cast<uint32_t>(kBytes - kAt - kHeaderBytes);
    pad.length_and_flags = length_and_flags(FrameType::pad, true, room);
    pad.lsn = life_.lsn_at(kAt);
    std::memcpy(bytes_.data() + kAt, &pad, sizeof pad);
    pad.checksum = frame_sum(life_.seed, bytes_.data() + kAt, kLineBytes);
    std::memcpy(bytes_.data() + kAt, &pad, sizeof pad);
    lose(kAt + 64);
    EXPECT_EQ(at(kAt, true), Verdict::valid);
}

TEST_F(Look, UnknownTypesAndLinksInTheMiddleAreNoFrames) {
    for (const uint32_t type : {0u, 2u, 7u}) {
        write(kAt, 32, kGeneration, life_.lsn_at(kAt));
        const uint32_t word = 32 | type << kTypeShift;
        std::memcpy(bytes_.data() + kAt + 4, &word, sizeof word);
        EXPECT_EQ(at(kAt, true), Verdict::corrupt_length) << type;
    }
}

TEST_F(Look, ACopyMayBeLongerThanTheGreatestRecordByItsPrefix) {
    const auto greatest = static_cast<uint32_t>(payload_bytes_max(kBytes));
    const struct {
        uint32_t payload;
        Verdict verdict;
    } cases[] = {{sizeof(CarriedPrefix), Verdict::corrupt_length},  // a copy of nothing
                 {sizeof(CarriedPrefix) + 1, Verdict::valid},
                 {greatest + sizeof(CarriedPrefix), Verdict::valid},
                 {greatest + sizeof(CarriedPrefix) + 1, Verdict::corrupt_length}};
    for (const auto& [payload, verdict] : cases) {
        write(kAt, payload, kGeneration, life_.lsn_at(kAt), FrameType::carried);
        EXPECT_EQ(at(kAt, true), verdict) << payload;
    }
    EXPECT_EQ(padded_bytes(greatest + sizeof(CarriedPrefix)), frame_bytes_max(kBytes));
}

// Like a pad, and unlike it, a gap ends anywhere on a line.
TEST_F(Look, AGapTakesWholeLinesAndIsSummedOverItsFirst) {
    for (const uint32_t lines : {1u, 2u, 5u}) {
        std::memset(bytes_.data() + kAt, 0x5A, lines * kLineBytes);
        write(kAt, lines * 64 - 32, kGeneration, life_.lsn_at(kAt), FrameType::gap);
        const Seen seen = look(life_, kAt, true);
        EXPECT_EQ(seen.verdict, Verdict::valid) << lines;
        EXPECT_EQ(seen.frame_bytes, lines * kLineBytes);
    }
    for (const uint32_t payload : {0u, 31u, 33u, 64u}) {
        write(kAt, payload, kGeneration, life_.lsn_at(kAt), FrameType::gap);
        EXPECT_EQ(at(kAt, true), Verdict::corrupt_length) << payload;
    }
    write(kAt, static_cast<uint32_t>(gap_bytes_max(kBytes)) + 32, kGeneration, life_.lsn_at(kAt),
          FrameType::gap);
    EXPECT_EQ(at(kAt, true), Verdict::corrupt_length);
}

TEST(Testimony, DistanceCountsLinesAndAllOnesSaysNothing) {
    FrameHeader header;
    header.lsn = 6400;
    header.distance_lines = 10;
    EXPECT_EQ(testimony(header), 6400u - 640);
    header.distance_lines = 0;
    EXPECT_EQ(testimony(header), 6400u);
    header.distance_lines = kNoTestimony;
    EXPECT_EQ(testimony(header), 0u);
    header.distance_lines = 1000;  // before the stream's begin: bits rotted
    EXPECT_EQ(testimony(header), 0u);
}

}  // namespace

}  // namespace cinnabar::format
