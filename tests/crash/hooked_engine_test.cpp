// The engine in the hook build: it stores to its pool through the medium alone, and what recovery
// loads is reported whole.
#include <algorithm>
#include <cstring>
#include <iostream>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "crash/access_recorder.hpp"
#include "crash/harness.hpp"
#include "trials/one_stream.hpp"

namespace cinnabar::crash_test {

namespace {

constexpr size_t kLine = 64;

// Everything that recovery and reading give back, in words.
std::string outcome(Life& life) {
    std::ostringstream text;
    const auto opened = life.open();
    for (const StreamReport& stream : life.report().streams)
        text << stream.name << ' ' << stream.segments << ' ' << stream.begin.value << ' '
             << stream.low_water.value << ' ' << stream.testified.value << ' ' << stream.end.value
             << ' ' << stream.end_verdict << ' ' << stream.frames_verified << ' '
             << stream.bytes_flushed << ' ' << stream.lines_erased << ' ' << stream.segments_renewed
             << '\n';
    for (const std::string& note : life.report().notes) text << note << '\n';
    if (!opened) {
        text << name_of(opened.error().code) << ' ' << opened.error().message;
        return text.str();
    }
    const auto records = life.read("s");
    if (!records) {
        text << name_of(records.error().code) << ' ' << records.error().message;
        return text.str();
    }
    for (const auto& [lsn, told, payload] : *records) {
        text << lsn.value << ':';
        for (const std::byte byte : payload) text << std::to_integer<int>(byte) << ' ';
    }
    return text.str();
}

struct Case {
    Domain domain;
    bool shared;
};

class HookedEngine : public testing::TestWithParam<Case> {
  protected:
    HookedEngine() {
        pool.add_stream("s", GetParam().shared);
        keeper = ServiceId{static_cast<uint16_t>(pool.add_service(1, "keeper") + 1)};
    }

    Life::Options options() const { return {.domain = GetParam().domain}; }

    // Lazy and forced records over several segments, a release, a force, and reading.
    void use(Life& life, History& history) {
        std::mt19937_64 random(seed_of_this_run());
        for (int i = 0; i < 24; ++i) {
            const auto durability = random() % 3 == 0 ? Durability::lazy : Durability::forced;
            ASSERT_TRUE(life.append(history, "s", 1 + random() % 330, durability));
            if (i != 12) continue;
            ASSERT_TRUE(life.engine().release(keeper, history["s"].appended[6].lsn));
        }
        ASSERT_TRUE(life.append(history, "s", 100, Durability::lazy));
        ASSERT_TRUE(life.engine().stream("s")->force(history["s"].appended.back().lsn));
        history["s"].low_water = history["s"].appended[6].lsn.value;
        ASSERT_EQ(compare(life, history), "");
    }

    SimPool pool{{.segments = 6, .age = Age::stale, .seed = 3}};
    ServiceId keeper;
};

TEST_P(HookedEngine, StoresThroughTheMediumAlone) {
    Life life(pool, options());
    History history;
    Recorder recorder(pool.bytes());
    ASSERT_TRUE(life.open());
    use(life, history);
    life.kill();
    ASSERT_TRUE(life.open());
    ASSERT_EQ(compare(life, history), "");
    EXPECT_GT(life.medium().counts().stores, 30u);
    EXPECT_GT(recorder.loads.size() + recorder.checksums.size(), 100u);
    for (const Recorder::Range& raw : recorder.stores)
        ADD_FAILURE() << raw.length << " bytes stored raw at " << raw.offset;
}

// Each line of the pool in turn is damaged. Where that changes anything that an open gives back,
// what the open of the sound pool loaded includes the line; and nothing that is loaded goes unseen.
TEST_P(HookedEngine, EveryLineThatMattersIsSeenToBeLoaded) {
    Life writer(pool, options());
    History history;
    ASSERT_TRUE(writer.open());
    use(writer, history);
    writer.kill();
    const std::vector<std::byte> image(pool.bytes().begin(), pool.bytes().end());

    SimPool sound(pool, image);
    Life reader(sound, options());
    std::set<size_t> seen;
    std::string expected;
    {
        Recorder recorder(sound.bytes());
        expected = outcome(reader);
        seen = Recorder::touched(recorder.loads, kLine);
        seen.merge(Recorder::touched(recorder.checksums, kLine));
    }
    size_t matter = 0;
    for (size_t line = 0; line < image.size() / kLine; ++line) {
        std::vector<std::byte> damaged = image;
        for (size_t word = 0; word < kLine; word += 8) damaged[line * kLine + word] ^= std::byte{4};
        SimPool copy(pool, damaged);
        Life life(copy, options());
        if (outcome(life) == expected) continue;
        ++matter;
        EXPECT_TRUE(seen.contains(line)) << "line " << line << " was loaded unseen";
    }
    std::cout << image.size() / kLine << " lines, " << seen.size() << " loaded, " << matter
              << " matter\n";
    EXPECT_GT(matter, 50u);
    EXPECT_LT(seen.size(), image.size() / kLine);
}

INSTANTIATE_TEST_SUITE_P(All, HookedEngine,
                         testing::Values(Case{Domain::cache_line, false},
                                         Case{Domain::cache_line, true}, Case{Domain::page, false},
                                         Case{Domain::byte, true}),
                         [](const auto& given) {
                             const Case& one = given.param;
                             return std::string(one.domain == Domain::page   ? "Page"
                                                : one.domain == Domain::byte ? "Byte"
                                                                             : "CacheLine") +
                                    (one.shared ? "Shared" : "OneWriter");
                         });

// What a life does besides appending: reserve, carry forward, fill the log, check, close, read
// only.
TEST(HookedLog, TheRestOfALifeStoresNothingRawEither) {
    OneStream setup({.spares = 1}, {.segments = 6}, true);
    const ServiceId keeper = setup.add_service();
    Recorder recorder(setup.pool.bytes());
    ASSERT_TRUE(setup.life.open());
    setup.append(100, Durability::forced);
    const Lsn kept = setup.history["s"].appended.front().lsn;
    {
        auto core = setup.life.engine().stream("s");
        auto reserved = StreamCoreBase::reserve(core, 40, 1, false);
        ASSERT_TRUE(reserved);
        while (setup.life.append(setup.history, "s", 200, Durability::forced)) {
        }
        ASSERT_TRUE(core->copies().carry_forward(core, {&kept, 1}));
        ASSERT_TRUE(setup.life.engine().release(keeper, Lsn{core->oldest_end()}));
        ASSERT_TRUE(append_reserved(core, *reserved, 40));
    }
    EXPECT_TRUE(setup.life.engine().check().empty());
    ASSERT_TRUE(setup.life.engine().close());
    setup.life.kill();
    ASSERT_TRUE(setup.life.open(true));
    EXPECT_TRUE(setup.life.read("s"));
    EXPECT_TRUE(recorder.stores.empty());
}

// What the watcher writes into a line just before the engine loads it is what the engine gets: the
// last line of a record comes back as it was before it was damaged.
class Healer : public Recorder {
  public:
    Healer(std::span<std::byte> region, std::span<const std::byte> image, size_t line)
        : Recorder(region), region_(region), image_(image), line_(line) {}
    void before_load(const std::byte* from, size_t length) override { heal(from, length); }
    void before_checksum(const std::byte* from, size_t length) override { heal(from, length); }
    bool healed = false;

  private:
    void heal(const std::byte* from, size_t length) {
        const size_t at = static_cast<size_t>(from - region_.data());
        if (healed || at / kLine > line_ || (at + length - 1) / kLine < line_) return;
        std::copy_n(image_.begin() + static_cast<ptrdiff_t>(line_ * kLine), kLine,
                    region_.begin() + static_cast<ptrdiff_t>(line_ * kLine));
        healed = true;
    }

    std::span<std::byte> region_;
    std::span<const std::byte> image_;
    size_t line_;
};

TEST(HookedLog, ALineIsDecidedWhenItIsFirstLoaded) {
    OneStream setup;
    ASSERT_TRUE(setup.life.open());
    setup.append(300, Durability::forced);
    setup.append(300, Durability::forced);
    setup.life.kill();
    const std::vector<std::byte> image(setup.pool.bytes().begin(), setup.pool.bytes().end());
    // The bytes of the second record, where they stand.
    const std::vector<std::byte> record = record_bytes(2, 300);
    const auto at = std::search(image.begin(), image.end(), record.begin(), record.end());
    ASSERT_NE(at, image.end());
    const size_t line = static_cast<size_t>(at - image.begin() + 299) / kLine;

    std::vector<std::byte> torn = image;
    std::fill_n(torn.begin() + static_cast<ptrdiff_t>(line * kLine), kLine, std::byte{0});
    for (const bool heal : {false, true}) {
        SimPool copy(setup.pool, torn);
        Life life(copy, {});
        std::optional<Healer> healer;
        if (heal) healer.emplace(copy.bytes(), image, line);
        ASSERT_TRUE(life.open());
        healer.reset();
        const auto records = life.read("s");
        ASSERT_TRUE(records);
        EXPECT_EQ(records->size(), heal ? 2u : 1u);
    }
}

TEST(HookedLog, ARawStoreIsSeen) {
    SimPool pool({});
    Recorder recorder(pool.bytes());
    pool.space().catalogue->streams[0].flags = 1;
    const size_t offset = offsetof(format::Catalogue, streams) + offsetof(format::StreamRow, flags);
    EXPECT_EQ(recorder.stores, std::vector<Recorder::Range>({{offset, 4}}));
    std::memcpy(pool.space().segments[1] + 128, "raw", 3);
    EXPECT_EQ(recorder.stores.size(), 2u);
    EXPECT_EQ(recorder.stores.back().length, 3u);
}

}  // namespace

}  // namespace cinnabar::crash_test
