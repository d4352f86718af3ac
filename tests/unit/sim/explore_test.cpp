// One line's possible contents, an image in place, and which images the explorer shows.
#include "sim/explore.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <set>
#include <tuple>

#include "sim/image.hpp"
#include "sim/pending_line.hpp"

namespace cinnabar::sim {
namespace {

constexpr size_t kBytes = 4096;

Unit word_store(size_t word, uint64_t value, uint64_t sequence = 0) {
    Unit unit;
    unit.sequence = sequence;
    unit.mask = static_cast<uint8_t>(1u << word);
    unit.value[word] = value;
    return unit;
}

Unit bag_store(uint8_t mask, uint64_t value, Unit::Kind kind = Unit::Kind::bag) {
    Unit unit;
    unit.kind = kind;
    unit.mask = mask;
    unit.value.fill(value);
    return unit;
}

PendingLine pending(std::vector<Unit> units) {
    PendingLine line;
    line.units = std::move(units);
    return line;
}

TEST(PendingLine, StatesOfWordStoresAreThePrefixes) {
    const PendingLine line = pending({word_store(0, 1), word_store(1, 2), word_store(0, 3)});
    const std::vector<Line> prefixes = {{0, 0}, {1, 0}, {1, 2}, {3, 2}};
    EXPECT_EQ(line.states(), prefixes);
    EXPECT_EQ(line.representatives(), prefixes);
    EXPECT_EQ(line.newest(), (Line{3, 2}));
}

TEST(PendingLine, ABagIsAnySubsetAfterWhatWasBeforeIt) {
    const PendingLine line = pending({word_store(0, 1), bag_store(0x0F, 7), word_store(7, 9)});
    const std::vector<Line> states = line.states();
    EXPECT_EQ(states.size(), 1 + 16 + 1u);  // nothing; the bag's subsets; all
    for (const Line& state : states) {
        const bool bag = state[1] != 0 || state[2] != 0 || state[3] != 0 || state[0] == 7;
        EXPECT_TRUE(!bag || state[0] != 0) << "a bag's word without the store before it";
        EXPECT_TRUE(state[7] == 0 || state == line.newest()) << "the last store without the bag";
    }
    EXPECT_EQ(line.state_count(), 18.0);
    // Of the bag's subsets: none, all, each alone, each missing.
    EXPECT_EQ(line.representatives().size(), 1 + 1 + 4 + 4 + 1 + 1u);
}

TEST(PendingLine, AStoreOfTheSameValueIsNoState) {
    EXPECT_EQ(pending({word_store(0, 0), bag_store(0xFF, 0)}).states().size(), 1u);
}

TEST(PendingLine, NonTemporalWordsAreIndependent) {
    constexpr Unit::Kind nt = Unit::Kind::non_temporal;
    EXPECT_EQ(pending({bag_store(0xFF, 1, nt)}).states().size(), 256u);
    const PendingLine twice = pending({bag_store(0x03, 1, nt), bag_store(0x01, 2, nt)});
    EXPECT_EQ(twice.states().size(), 3 * 2u);
    // Too many to list: the representatives, and the true number.
    const PendingLine many =
        pending({bag_store(0xFF, 1, nt), bag_store(0xFF, 2, nt), bag_store(0xFF, 3, nt)});
    EXPECT_EQ(many.states(), many.representatives());
    EXPECT_EQ(many.state_count(), 65536.0);
    // A word of the second without the first: it waits for no earlier store.
    const PendingLine line = pending({word_store(0, 1), bag_store(0x06, 2, nt)});
    const std::vector<Line> some = line.representatives();
    EXPECT_NE(std::ranges::find(some, Line{0, 2}), some.end());
    EXPECT_NE(std::ranges::find(some, Line{0, 0, 2}), some.end());
}

// Of lines with few values, so that words come back to what they were, and with many.
TEST(PendingLine, StatesAreCountedAndDrawnAsTheyAreMade) {
    std::mt19937_64 random(1);
    size_t came_back = 0, nonempty = 0;
    for (int i = 0; i < 300; ++i) {
        const bool non_temporal = i % 3 == 0;
        std::vector<Unit> units(1 + random() % 4);
        for (Unit& unit : units) {
            const auto mask = static_cast<uint8_t>(non_temporal ? random() & 0x0F : random());
            const uint64_t value = i % 2 == 0 ? random() % 3 : random();
            const bool is_bag = random() % 2 == 0;
            unit = non_temporal ? bag_store(mask, value, Unit::Kind::non_temporal)
                   : is_bag     ? bag_store(mask, value)
                                : word_store(random() % 8, value);
        }
        const PendingLine line = pending(units);
        const std::vector<Line> states = line.states();
        ASSERT_EQ(line.state_count(), static_cast<double>(states.size())) << i;
        std::set<Line> drawn;
        for (size_t draws = 0; draws < 40 * states.size() && drawn.size() < 100; ++draws)
            drawn.insert(line.drawn(random));
        for (const Line& state : drawn) ASSERT_EQ(std::ranges::count(states, state), 1) << i;
        const bool is_small = states.size() <= 16;
        ASSERT_TRUE(!is_small || drawn.size() == states.size()) << i;
        came_back += states.size() > 1 && !non_temporal && i % 2 == 0 ? 1 : 0;
        nonempty += drawn.size() > 1 ? 1 : 0;
    }
    EXPECT_GT(came_back, 50u);
    EXPECT_GT(nonempty, 200u);
}

class ExploreTest : public ::testing::Test {
  protected:
    ExploreTest() : live_(kBytes), image_(kBytes) {}

    // The newest content is what the live memory holds.
    void store(uint64_t line, Unit unit) {
        unit.sequence = sequence_++;
        pending_[line].units.push_back(unit);
        put_line(live_, line, pending_[line].newest());
    }
    Explored run(const ExploreOptions& options = {}) {
        shown_.clear();
        in_order_.clear();
        return explore(live_, pending_, image_, options, [this] {
            Shown state;
            for (uint64_t line = 0; line < kBytes / kLineBytes; ++line)
                state.push_back(image_.line(line));
            EXPECT_TRUE(shown_.insert(state).second) << "an image shown twice";
            in_order_.push_back(state);
            return true;
        });
    }

    using Shown = std::vector<Line>;
    std::vector<std::byte> live_;
    PendingLines pending_;
    Image image_;
    std::set<Shown> shown_;
    std::vector<Shown> in_order_;
    uint64_t sequence_ = 0;
};

TEST_F(ExploreTest, OneLineIsExhausted) {
    store(3, word_store(0, 1));
    store(3, word_store(1, 2));
    const Explored explored = run();
    EXPECT_EQ(explored.images, 3u);
    EXPECT_EQ(explored.crash_points, 1u);
    EXPECT_NEAR(explored.states_log10, std::log10(1 + 3.0), 1e-9);
    EXPECT_EQ(explored.not_tried_log10(), 0.0);
}

TEST_F(ExploreTest, NothingPendingIsOneImage) {
    EXPECT_EQ(run().images, 1u);
    EXPECT_EQ(run().not_tried_log10(), 0.0);
}

// In the order of the stores, not of the lines. Both lines are torn at once in two of them, which
// single lines never are.
TEST_F(ExploreTest, BoundariesAreEveryPrefixInStoreOrder) {
    constexpr Unit::Kind nt = Unit::Kind::non_temporal;
    store(5, word_store(0, 1));
    store(2, word_store(3, 2));
    store(5, bag_store(0x06, 3));
    store(2, word_store(3, 4));
    store(7, bag_store(0x81, 5, nt));
    store(5, word_store(0, 6));
    const std::vector<std::array<Line, 3>> prefixes = {
        {Line{}, Line{}, Line{}},
        {Line{}, Line{1}, Line{}},
        {Line{0, 0, 0, 2}, Line{1}, Line{}},
        {Line{0, 0, 0, 2}, Line{1, 3, 3}, Line{}},
        {Line{0, 0, 0, 4}, Line{1, 3, 3}, Line{}},
        {Line{0, 0, 0, 4}, Line{1, 3, 3}, Line{5, 0, 0, 0, 0, 0, 0, 5}},
        {Line{0, 0, 0, 4}, Line{6, 3, 3}, Line{5, 0, 0, 0, 0, 0, 0, 5}},
    };
    std::vector<Shown> expected;
    for (const auto& [two, five, seven] : prefixes) {
        expected.emplace_back(kBytes / kLineBytes);
        expected.back()[2] = two;
        expected.back()[5] = five;
        expected.back()[7] = seven;
    }
    const uint64_t boundaries = run().levels[static_cast<size_t>(Level::boundary)].shown;
    ASSERT_EQ(boundaries, prefixes.size());
    // The next one is of another level.
    in_order_.resize(prefixes.size() + 1);
    const Line torn = {0, 0, 0, 2};
    EXPECT_EQ(in_order_.back()[2], torn);
    EXPECT_EQ(in_order_.back()[5], Line{});
    EXPECT_EQ(in_order_.back()[7], Line{});
    in_order_.pop_back();
    EXPECT_EQ(in_order_, expected);
}

TEST_F(ExploreTest, PairsFindWhatSingleLinesMiss) {
    for (const uint64_t line : {1u, 2u}) {
        store(line, word_store(0, 1));
        store(line, word_store(1, 1));
    }
    const auto both_torn = [](const Shown& state) {
        return state[1] == Line{1, 0} && state[2] == Line{1, 0};
    };
    run({.pair_lines_max = 0});
    EXPECT_TRUE(std::ranges::none_of(shown_, both_torn));
    const Explored pairs = run({.pair_lines_max = 2});
    EXPECT_TRUE(std::ranges::any_of(shown_, both_torn));
    EXPECT_EQ(pairs.images, 9u);
    EXPECT_EQ(pairs.not_tried_log10(), 0.0);
}

TEST_F(ExploreTest, PairsAmongManyLinesAreCovered) {
    for (uint64_t line = 0; line < 6; ++line) {
        store(line, word_store(0, 1));
        store(line, word_store(1, 1));
    }
    const auto pairs_seen = [&] {
        std::set<std::tuple<size_t, Line, size_t, Line>> pairs;
        for (const Shown& state : shown_)
            for (size_t one = 0; one < 6; ++one)
                for (size_t two = one + 1; two < 6; ++two)
                    pairs.emplace(one, state[one], two, state[two]);
        return pairs.size();
    };
    constexpr size_t kPairs = 15 * 3 * 3;
    run();
    EXPECT_LT(pairs_seen(), kPairs);
    const Explored explored = run({.cover_pairs = true});
    EXPECT_EQ(pairs_seen(), kPairs);
    EXPECT_LT(explored.images, 80u) << "of 729";
}

// Lines that a store left as they were: in the rows they would cost time and memory for nothing.
TEST(Explore, LinesWithOneContentAreInNoRow) {
    constexpr size_t kLines = 16'000;
    std::vector<std::byte> live(kLines * kLineBytes);
    Image image(live.size());
    PendingLines lines;
    for (uint64_t line = 0; line < kLines; ++line) {
        lines[line].units = {bag_store(0x01, line % 4000 == 0 ? 1 : 0, Unit::Kind::bag)};
        put_line(live, line, lines[line].newest());
    }
    const auto images = [&](bool cover) {
        return explore(live, lines, image, {.pair_lines_max = 0, .cover_pairs = cover},
                       [] { return true; })
            .images;
    };
    EXPECT_GT(images(true), images(false));
}

// Three thousand lines have 18 million pairs: no rows, and no minutes for them.
TEST(Explore, TooManyPairsAreNotCovered) {
    constexpr size_t kLines = 3000;
    std::vector<std::byte> live(kLines * kLineBytes + 4096 - kLines * kLineBytes % 4096);
    Image image(live.size());
    PendingLines lines;
    for (uint64_t line = 0; line < kLines; ++line) {
        lines[line].units = {bag_store(0x01, 1)};
        put_line(live, line, lines[line].newest());
    }
    const auto images = [&](bool cover) {
        return explore(live, lines, image, {.cover_pairs = cover}, [] { return true; });
    };
    EXPECT_EQ(images(true).images, images(false).images);
    EXPECT_EQ(images(true).levels[static_cast<size_t>(Level::two_lines)].cut_short, 1u);
    EXPECT_EQ(images(false).cut_short, 0u);
}

TEST_F(ExploreTest, ABudgetCutsEachLevelShortAndSaysSo) {
    for (uint64_t line = 0; line < 4; ++line) store(line, bag_store(0xFF, line + 1));
    const auto of_levels = [](const Explored& explored, auto member) {
        std::vector<uint64_t> counts;
        for (const LevelImages& level : explored.levels) counts.push_back(level.*member);
        return counts;
    };
    using Counts = std::vector<uint64_t>;
    const auto options = [](uint64_t images) {
        ExploreOptions of_all{.cover_pairs = true, .random_images = 7};
        of_all.images_max.fill(images);
        return of_all;
    };
    const Explored all = run(options(UINT64_MAX));
    EXPECT_EQ(of_levels(all, &LevelImages::cut_short), Counts({0, 0, 0, 0}));
    EXPECT_EQ(all.cut_short, 0u);
    const Counts shown = of_levels(all, &LevelImages::shown);
    EXPECT_EQ(shown[0] + shown[1] + shown[2] + shown[3], all.images);
    EXPECT_EQ(shown[0], 5u);
    EXPECT_EQ(shown[3], 7u);
    ASSERT_GT(shown[1], 10u);
    ASSERT_GT(shown[2], shown[1]);
    const Explored some = run(options(10));
    EXPECT_EQ(of_levels(some, &LevelImages::shown), Counts({5, 10, 10, 7}));
    EXPECT_EQ(of_levels(some, &LevelImages::cut_short), Counts({0, 1, 1, 0}));
    EXPECT_EQ(some.cut_short, 1u) << "a crash point, however many levels";
    EXPECT_FALSE(some.stopped);
    const Explored five = run(options(5));
    EXPECT_EQ(of_levels(five, &LevelImages::shown)[3], 5u);
    EXPECT_EQ(of_levels(five, &LevelImages::cut_short), Counts({0, 1, 1, 1}));
    Explored sum = some;
    sum.add(some);
    EXPECT_EQ(of_levels(sum, &LevelImages::shown), Counts({10, 20, 20, 14}));
    EXPECT_EQ(of_levels(sum, &LevelImages::cut_short), Counts({0, 2, 2, 0}));
    // As many as the level of single lines has by itself, with what boundaries have shown before.
    const Explored exact = run(options(std::max<uint64_t>(shown[2], 2 * 4 * 17)));
    EXPECT_EQ(of_levels(exact, &LevelImages::shown), shown);
    EXPECT_EQ(exact.cut_short, 0u);
}

// The first and the last, and others from everywhere.
TEST_F(ExploreTest, WhatABudgetTakesOfALevelIsFromAllOfIt) {
    constexpr uint64_t lines = 2048;
    const std::vector<std::byte> live(lines * kLineBytes);
    PendingLines many;
    for (uint64_t line = 0; line < lines; ++line) {
        many[line] = pending({bag_store(0xFF, 1)});
        many[line].units[0].sequence = line;
    }
    Image image(live.size());
    ExploreOptions options;
    options.images_max = {50, 0, 0, 0};
    std::vector<uint64_t> survived;
    const auto count = [&] {
        uint64_t words = 0;
        for (uint64_t line = 0; line < lines; ++line) words += image.line(line)[0];
        survived.push_back(words);
        return true;
    };
    const Explored explored = explore(live, many, image, options, count);
    ASSERT_EQ(survived.size(), 50u);
    EXPECT_EQ(survived.front(), 0u);
    EXPECT_EQ(survived.back(), lines);
    for (size_t i = 0; i + 1 < survived.size(); ++i)
        EXPECT_LT(survived[i + 1] - survived[i], lines / 4);
    EXPECT_EQ(explored.levels[0].cut_short, 1u);
    EXPECT_EQ(images_at_most(many, options)[1], 2 * 17 * lines);
}

TEST_F(ExploreTest, WhatIsNotTriedIsCounted) {
    for (uint64_t line = 0; line < 10; ++line) store(line, bag_store(0xFF, line + 1));
    const Explored explored = run();
    EXPECT_NEAR(explored.states_log10, 10 * std::log10(256.0), 1e-6);
    EXPECT_NEAR(explored.not_tried_log10(), explored.states_log10, 1e-6);
    Explored all;
    all.add(explored);
    all.add(explored);
    EXPECT_EQ(all.images, 2 * explored.images);
    EXPECT_NEAR(all.states_log10, explored.states_log10 + std::log10(2.0), 1e-6);
}

TEST_F(ExploreTest, DrawnImagesFollowTheSeed) {
    for (uint64_t line = 0; line < 10; ++line) store(line, bag_store(0xFF, line + 1));
    run();
    const std::set<Shown> levels = shown_;
    const auto drawn = [&](uint64_t seed) {
        EXPECT_EQ(run({.random_images = 50, .seed = seed}).images, levels.size() + 50);
        return shown_;
    };
    const std::set<Shown> once = drawn(1);
    EXPECT_EQ(drawn(1), once);
    EXPECT_NE(drawn(2), once);
}

TEST_F(ExploreTest, WhatRecoveryStoresIsTakenBack) {
    store(1, bag_store(0xFF, 5));
    store(2, bag_store(0x01, 6));
    const Line scribble = {77, 77, 77, 77, 77, 77, 77, 77};
    uint64_t dirty = 0;
    explore(live_, pending_, image_, {}, [&] {
        for (uint64_t line = 0; line < kBytes / kLineBytes; ++line)
            dirty += line_at(image_.bytes(), line) == image_.line(line) ? 0 : 1;
        for (const uint64_t line : {1u, 2u, 9u}) {
            image_.stored(line * kLineBytes, kLineBytes);
            put_line(image_.bytes(), line, scribble);
        }
        return true;
    });
    EXPECT_EQ(dirty, 0u);
}

TEST_F(ExploreTest, TheHashTellsImagesApart) {
    store(1, bag_store(0xFF, 5));
    store(2, bag_store(0xFF, 5));
    image_.begin(live_, pending_);
    const uint64_t none = image_.hash();
    image_.put(1, pending_[1].newest());
    const uint64_t first = image_.hash();
    image_.put(1, Line{});
    EXPECT_EQ(image_.hash(), none);
    image_.put(2, pending_[2].newest());
    EXPECT_NE(image_.hash(), first);
    EXPECT_NE(image_.hash(), none);
    EXPECT_EQ(image_.hash(), hash_of(image_.image()));
}

TEST_F(ExploreTest, AnImageOfAnotherCrashHasTheSameHash) {
    store(1, bag_store(0xFF, 5));
    image_.begin(live_, pending_);
    image_.put(1, pending_[1].newest());
    const uint64_t lucky = image_.hash();
    image_.begin(live_, {});  // durable since
    EXPECT_EQ(image_.hash(), lucky);
}

}  // namespace
}  // namespace cinnabar::sim
