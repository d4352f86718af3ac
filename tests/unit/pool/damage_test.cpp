// Flipped bits: what is summed is found with its place; what is libpmemobj's own never kills.
#include <array>

#include "fixture.hpp"

namespace cinnabar::pool {
namespace {

using format::Catalogue;

class Damage : public PoolTest {
  protected:
    void SetUp() override {
        PoolTest::SetUp();
        if (IsSkipped()) return;
        make();
        {
            Pool pool = open();
            ASSERT_TRUE(pool.add_stream("orders", true));
            ASSERT_TRUE(pool.add_stream("stock", false));
            ASSERT_TRUE(pool.add_service(2, "billing", 4096));
        }
        catalogue_ = catalogue_offset();
    }

    // Flips random bits of the range, one at a time; each must be found, with exactly this range.
    void expect_found(uint64_t offset, uint64_t length, const std::string& what) {
        for (int i = 0; i < 12; ++i) {
            const uint64_t at = offset + random_() % length;
            const int bit = static_cast<int>(random_() % 8);
            flip_bit(path_, at, bit);
            const Error error = open_error();
            EXPECT_EQ(error.code, Errc::corrupt) << error.message;
            EXPECT_EQ(error.range, (ByteRange{offset, length})) << error.message;
            EXPECT_TRUE(contains(error.message, what)) << error.message;
            {
                Pool pool = open({.read_only = true});  // to save what can be read
                for (const StreamInfo& stream : pool.streams()) EXPECT_LE(stream.name.size(), 64u);
                for (const ServiceInfo& info : pool.services()) EXPECT_LE(info.name.size(), 64u);
            }
            flip_bit(path_, at, bit);
        }
        EXPECT_TRUE(Pool::open(path_, {}));
    }

    uint64_t catalogue_ = 0;
    std::mt19937_64 random_{test_seed()};
};
INSTANTIATE_TEST_SUITE_P(Pool, Damage, kPlaces, place_name);

TEST_P(Damage, OneBadSuperblockIsNotedAndReplaced) {
    const uint64_t offsets[] = {catalogue_, catalogue_ + offsetof(Catalogue, superblock_b)};
    for (const uint64_t offset : offsets)
        for (int i = 0; i < 20; ++i) {
            const auto good = read_at<format::Superblock>(path_, offset);
            flip_bit(path_, offset + random_() % sizeof(format::Superblock),
                     static_cast<int>(random_() % 8));
            const auto bad = bytes_of(path_);
            for (const bool read_only : {true, false}) {
                Pool pool = open({.read_only = read_only});
                ASSERT_EQ(pool.notes().size(), 1u);
                EXPECT_TRUE(contains(pool.notes()[0], "bytes " + std::to_string(offset) + " to " +
                                                          std::to_string(offset + 512)))
                    << pool.notes()[0];
                EXPECT_EQ(pool.superblock(), good);
                EXPECT_EQ(pool.space().id, good.pool_id);
                pool.close();
                EXPECT_EQ(bytes_of(path_) == bad, read_only);
            }
            EXPECT_EQ(read_at<format::Superblock>(path_, offset), good);
        }
}

TEST_P(Damage, TwoBadSuperblocksAreFound) {
    for (int i = 0; i < 20; ++i) {
        const uint64_t a = random_() % 512, b = random_() % 512;
        flip_bit(path_, catalogue_ + a, 3);
        flip_bit(path_, catalogue_ + 4096 + b, 4);
        const Error error = open_error();
        EXPECT_EQ(error.code, Errc::corrupt) << error.message;
        EXPECT_EQ(error.range, (ByteRange{catalogue_, 4096 + 512}));
        flip_bit(path_, catalogue_ + a, 3);
        flip_bit(path_, catalogue_ + 4096 + b, 4);
    }
}

// The head is libpmemobj's, and no open can do without it. A salvage can.
class DamagedHead : public Damage {
  protected:
    struct Part {
        const char* name;
        ByteRange range;
        Errc without_superblock;
    };
    static constexpr Part kParts[] = {
        {"signature", {0, 8}, Errc::not_a_pool},
        {"format", {8, 4}, Errc::unsupported_version},
        {"ids of a set", {40, 80}, Errc::not_a_pool},
        {"layout", {4096, 1024}, Errc::wrong_layout},
        {"root object", {6144, 24}, Errc::wrong_layout},
    };
    // Damages each part in several ways, one at a time.
    void damage_each(const std::function<void(const Part&)>& judge) {
        for (const Part& part : kParts) {
            const auto flips = {part.range.offset_bytes, part.range.offset_bytes + 1};
            for (const uint64_t at : flips) {
                // Where the root lies is not tested here, only how large it is.
                const uint64_t byte = part.range.length_bytes == 24 ? at + 16 : at;
                const int bit = static_cast<int>(random_() % 8);
                SCOPED_TRACE(std::string(part.name) + ", byte " + std::to_string(byte) + ", bit " +
                             std::to_string(bit));
                flip_bit(path_, byte, bit);
                judge(part);
                flip_bit(path_, byte, bit);
            }
        }
    }
    void flip_superblocks() {
        for (const uint64_t copy : {0, 4096}) flip_bit(path_, catalogue_ + copy + 60, 3);
    }
    void expect_damaged_head(ByteRange range) {
        const auto before = bytes_of(path_);
        for (const bool read_only : {false, true}) {
            const Error error = open_error({.read_only = read_only});
            EXPECT_EQ(error.code, Errc::corrupt) << error.message;
            EXPECT_EQ(error.range, range) << error.message;
            for (const std::string& words :
                 {"bytes " + std::to_string(range.offset_bytes) + " to " +
                      std::to_string(range.offset_bytes + range.length_bytes),
                  "at byte " + std::to_string(catalogue_), "'" + path_.string() + "'",
                  std::string("cinnabar salvage"), std::string("salvage_pool")})
                EXPECT_TRUE(contains(error.message, words)) << error.message;
        }
        EXPECT_TRUE(bytes_of(path_) == before);
    }
};
INSTANTIATE_TEST_SUITE_P(Pool, DamagedHead, kPlaces, place_name);

TEST_P(DamagedHead, IsDamageWhereASuperblockVerifies) {
    damage_each([&](const Part& part) {
        expect_damaged_head(part.range);
        for (const uint64_t copy : {0, 4096}) {
            flip_bit(path_, catalogue_ + copy + 60, 3);
            expect_damaged_head(part.range);
            flip_bit(path_, catalogue_ + copy + 60, 3);
        }
    });
    EXPECT_TRUE(Pool::open(path_, {}));
}

TEST_P(DamagedHead, LostAltogether) {
    write_at(path_, 0, std::array<char, 8192>{});
    expect_damaged_head({0, 8});
}

TEST_P(DamagedHead, IsToldFromAnotherFileByTheSuperblockAlone) {
    flip_superblocks();
    damage_each([&](const Part& part) {
        const Error error = open_error();
        EXPECT_EQ(error.code, part.without_superblock) << error.message;
        EXPECT_FALSE(error.range);
    });
    flip_superblocks();
    EXPECT_TRUE(Pool::open(path_, {}));
}

TEST_P(DamagedHead, OfANewerFormatIsAMatterOfTheNewerFormat) {
    auto block = read_at<format::Superblock>(path_, catalogue_);
    block.incompatible_features = 1 << 5;
    block.sum = format::superblock_sum(block);
    write_at(path_, catalogue_, block);
    write_at(path_, catalogue_ + 4096, block);
    damage_each([&](const Part&) {
        const Error error = open_error();
        EXPECT_EQ(error.code, Errc::unsupported_version) << error.message;
        EXPECT_TRUE(contains(error.message, "bit 5")) << error.message;
    });
}

TEST_P(Damage, RowsInUseAndFree) {
    const uint64_t streams = catalogue_ + offsetof(Catalogue, streams);
    const uint64_t services = catalogue_ + offsetof(Catalogue, services);
    expect_found(streams, 128, "stream row 0");
    expect_found(streams + 128, 128, "stream row 1");
    expect_found(streams + 63 * 128, 128, "stream row 63");
    expect_found(services, 128, "service row 0");
    expect_found(services + 5 * 128, 128, "service row 5");
    expect_found(catalogue_ + offsetof(Catalogue, medium), 64, "medium row");
}

TEST_P(Damage, RegistersWithoutAValidSlot) {
    const std::pair<uint64_t, const char*> registers[] = {
        {offsetof(Catalogue, generation_ceiling), "generation ceiling"},
        {offsetof(Catalogue, last_stream), "last stream"},
        {offsetof(Catalogue, marks), "'billing'"},
    };
    for (const auto& [offset, what] : registers) {
        const auto good = read_at<format::RegisterLine>(path_, catalogue_ + offset);
        format::RegisterLine bad = good;
        bad.slot[0].value ^= 64;
        bad.slot[1].value ^= 64;
        write_at(path_, catalogue_ + offset, bad);
        const Error error = open_error();
        EXPECT_EQ(error.code, Errc::corrupt) << error.message;
        EXPECT_EQ(error.range, (ByteRange{catalogue_ + offset, 64}));
        EXPECT_TRUE(contains(error.message, what)) << error.message;
        write_at(path_, catalogue_ + offset, good);
    }
    EXPECT_TRUE(Pool::open(path_, {}));
}

// The newer slot of last_stream is lost: the older one verifies, and contradicts the rows.
TEST_P(Damage, ALostStreamNumberIsSeenInTheRows) {
    const uint64_t at = catalogue_ + offsetof(Catalogue, last_stream);
    auto line = read_at<format::RegisterLine>(path_, at);
    line.slot[line.slot[0].value < line.slot[1].value ? 1 : 0].sum ^= 1;
    write_at(path_, at, line);
    const Error error = open_error();
    EXPECT_EQ(error.code, Errc::corrupt);
    EXPECT_TRUE(contains(error.message, "stream row 1")) << error.message;
}

TEST_P(Damage, RowsThatVerifyAndContradictAreFound) {
    const auto id = open().id();
    const uint64_t at = catalogue_ + offsetof(Catalogue, services);
    const auto good = read_at<format::ServiceRow>(path_, at);
    const std::function<void(format::ServiceRow&)> changes[] = {
        [](format::ServiceRow& row) { row.stream = 9; },
        [](format::ServiceRow& row) { row.stream = 0; },
        [](format::ServiceRow& row) { row.service = 2; },
        [](format::ServiceRow& row) { row.name.fill('x'); },
        [](format::ServiceRow& row) { row.name = {}; },
    };
    for (const auto& change : changes) {
        format::ServiceRow row = good;
        change(row);
        row.sum = format::row_sum(id, row);
        write_at(path_, at, row);
        const Error error = open_error();
        EXPECT_EQ(error.code, Errc::corrupt) << error.message;
        EXPECT_EQ(error.range, (ByteRange{at, sizeof(row)}));
    }
}

TEST_P(Damage, ThePositionOfTheCatalogue) {
    const auto root = read_at<uint64_t>(path_, 4096 + 2048);
    for (int bit = 0; bit < 64; ++bit) {
        flip_bit(path_, root + 8 + static_cast<uint64_t>(bit) / 8, bit % 8);
        const Outcome outcome = in_child([&] { return try_open(path_); });
        EXPECT_EQ(outcome.signal, 0);
        // The low bits only say where before the page the allocation begins.
        EXPECT_TRUE(bit < 12 || outcome.code == number(Errc::corrupt)) << outcome.message;
        flip_bit(path_, root + 8 + static_cast<uint64_t>(bit) / 8, bit % 8);
    }
}

TEST_P(Damage, InTheHeadersOfLibpmemobjsLogs) {
    const uint64_t lane = 8192 + 3072 * (random_() % 1024);
    for (const uint64_t log : {0, 256, 960})
        for (const uint64_t field : {8, 16})
            for (int bit = 0; bit < 64; bit += 7) {
                const uint64_t at = lane + log + field + static_cast<uint64_t>(bit) / 8;
                flip_bit(path_, at, bit % 8);
                const Outcome outcome = in_child([&] { return try_open(path_); });
                EXPECT_EQ(outcome.code, number(Errc::corrupt)) << outcome.message;
                EXPECT_TRUE(contains(outcome.message, "bytes " + std::to_string(lane + log)))
                    << outcome.message;
                flip_bit(path_, at, bit % 8);
            }
    EXPECT_TRUE(Pool::open(path_, {}));
}

// An undo log that nobody used must not come to hold an order to change bytes; one that was used
// must not be read beyond its end.
TEST_P(Damage, InTheFirstEntriesOfLibpmemobjsUndoLogs) {
    const uint64_t unused = 8192 + 3072 * (1 + random_() % 1023) + 1024;
    const uint64_t used = 8192 + 1024;
    ASSERT_EQ(read_at<uint64_t>(path_, unused), 0u);
    ASSERT_NE(read_at<uint64_t>(path_, used), 0u);
    const auto flip_each = [&](uint64_t word, uint64_t entry, int first) {
        for (int bit = first; bit < 64; bit += 5) {
            flip_bit(path_, word + static_cast<uint64_t>(bit) / 8, bit % 8);
            const Outcome outcome = in_child([&] { return try_open(path_); });
            EXPECT_EQ(outcome.code, number(Errc::corrupt)) << bit << " " << outcome.message;
            EXPECT_TRUE(contains(outcome.message, "bytes " + std::to_string(entry) + " to"))
                << outcome.message;
            flip_bit(path_, word + static_cast<uint64_t>(bit) / 8, bit % 8);
        }
    };
    flip_each(unused, unused, 0);
    flip_each(used, used, 23);       // below, it may still point into the catalogue
    flip_each(used + 16, used, 12);  // below, it may still fit
    EXPECT_TRUE(Pool::open(path_, {}));
}

TEST_P(Damage, InTheChainOfChunks) {
    const uint64_t zone = read_at<uint64_t>(path_, 4096 + 1040) + 1024;
    const uint64_t chunks = read_at<uint32_t>(path_, zone + 4);
    for (int bit = 0; bit < 8; ++bit) {
        flip_bit(path_, zone + 4, bit);
        const Error error = open_error();
        EXPECT_EQ(error.code, Errc::corrupt);
        EXPECT_EQ(error.range, (ByteRange{zone, 64}));
        flip_bit(path_, zone + 4, bit);
    }
    int blocks = 0;
    for (uint64_t chunk = 0; chunk < chunks; ++blocks) {
        const uint64_t at = zone + 64 + chunk * 8 + 4;
        const auto size = read_at<uint32_t>(path_, at);
        ASSERT_NE(size, 0u);
        // A size of 0 is an endless chain, one that is too great leads out of the zone.
        for (const uint32_t bad : {uint32_t{0}, static_cast<uint32_t>(chunks - chunk + 1), ~0u}) {
            write_at(path_, at, bad);
            const Error error = open_error();
            EXPECT_EQ(error.code, Errc::corrupt);
            EXPECT_EQ(error.range, (ByteRange{at - 4, 8}));
        }
        write_at(path_, at, size);
        chunk += size;
    }
    EXPECT_GE(blocks, 3);
    EXPECT_TRUE(Pool::open(path_, {}));
}

TEST_P(Damage, InLibpmemobjsOwnBytesNeverKillsOrHangs) {
    const uint64_t heap = read_at<uint64_t>(path_, 4096 + 1040);
    const std::pair<uint64_t, uint64_t> regions[] = {
        {0, 4096}, {4096, 4096}, {8192, 6144}, {heap, 1024}, {heap + 1024, 1024}};
    int opened = 0, refused = 0;
    for (const auto& [offset, length] : regions)
        for (int i = 0; i < 60; ++i) {
            const uint64_t at = offset + random_() % length;
            const int bit = static_cast<int>(random_() % 8);
            flip_bit(path_, at, bit);
            const Outcome outcome = in_child([&] {
                ::alarm(20);
                return try_open(path_, {.read_only = true});
            });
            EXPECT_EQ(outcome.signal, 0) << "bit " << bit << " of byte " << at;
            EXPECT_TRUE(outcome.code == 0 || outcome.code == number(Errc::corrupt) ||
                        outcome.code == number(Errc::truncated))
                << "bit " << bit << " of byte " << at << ": " << outcome.message;
            ++(outcome.code == 0 ? opened : refused);
            flip_bit(path_, at, bit);
        }
    std::printf("%d opened, %d refused\n", opened, refused);
}

}  // namespace
}  // namespace cinnabar::pool
