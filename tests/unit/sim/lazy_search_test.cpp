// The search by what recovery reads, over logs that fit on a page: what recovery can come to is
// what it comes to over every image that the rules allow, found with few of them.
#include "sim/lazy_search.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "unit/sim/toy_log.hpp"

namespace cinnabar::sim {
namespace {

// A line of payload, then a commit word in a line of its own.
class CommitWordLog : public ToyLog {
  public:
    explicit CommitWordLog(bool payload_fence = true) : payload_fence_(payload_fence) {}

    void append(CrashMedium& medium, int number) override {
        const size_t slot = static_cast<size_t>(number) * kSlotBytes;
        for (size_t word = 0; word < 8; ++word)
            medium.store8(Site::none, word_at(slot + word * 8), static_cast<uint64_t>(number) + 1);
        medium.flush(Site::none, at(slot), kLineBytes);
        if (payload_fence_) medium.fence(Site::none);
        medium.store8(Site::none, word_at(slot + kLineBytes), 1);
        medium.flush(Site::none, at(slot + kLineBytes), 8);
        medium.fence(Site::none);
    }
    std::string recover(const Reader& reader) const override {
        std::string found;
        for (int number = 0; number < kAppends; ++number) {
            const size_t slot = static_cast<size_t>(number) * kSlotBytes;
            if (reader.word(slot + kLineBytes) == 0) break;
            bool whole = true;
            for (size_t word = 0; word < 8; ++word)
                whole = whole && reader.word(slot + word * 8) == static_cast<uint64_t>(number) + 1;
            found += whole ? 'w' : 'T';
        }
        return found;
    }

  private:
    const bool payload_fence_;
};

// A counter in two summed copies; `apart`: each has a fence of its own.
class TwoCopies : public ToyLog {
  public:
    explicit TwoCopies(bool apart = true) : apart_(apart) {}

    void append(CrashMedium& medium, int number) override {
        for (const size_t copy : {size_t{0}, kSlotBytes}) {
            const uint64_t value = static_cast<uint64_t>(number) + 1;
            const std::array<uint64_t, 2> words = {value, value * 7};
            medium.copy(Site::none, at(copy), reinterpret_cast<const std::byte*>(words.data()), 16);
            medium.flush(Site::none, at(copy), 16);
            if (apart_) medium.fence(Site::none);
        }
        if (!apart_) medium.fence(Site::none);
    }
    std::string recover(const Reader& reader) const override {
        uint64_t best = 0;
        bool any = false;
        for (const size_t copy : {size_t{0}, kSlotBytes}) {
            const uint64_t value = reader.word(copy);
            if (reader.word(copy + 8) != value * 7) continue;
            any = true;
            best = std::max(best, value);
        }
        return any ? std::to_string(best) : "T";
    }

  private:
    const bool apart_;
};

TEST(LazySearch, ACommitWordNeedsARunForEachOutcome) {
    const Found found = search_all(CommitWordLog());
    EXPECT_EQ(found.searched, (Outcomes{"", "w", "ww", "www"}));
    EXPECT_TRUE(found.exhausted);
    EXPECT_FALSE(found.inconsistent);
    EXPECT_EQ(found.images, 3 * (9 + 2));
    EXPECT_EQ(found.runs, 3 * (1 + 2u));  // no payload is read before its commit word
}

TEST(LazySearch, AMissingFenceIsFound) {
    const Found found = search_all(CommitWordLog(false));
    EXPECT_TRUE(found.searched.contains("T"));
    EXPECT_TRUE(found.exhausted);
}

TEST(LazySearch, TwoCopiesUnderOneFenceAreFound) {
    const Found apart = search_all(TwoCopies());
    EXPECT_EQ(apart.searched, (Outcomes{"0", "1", "2", "3"}));
    const Found together = search_all(TwoCopies(false));
    EXPECT_TRUE(together.searched.contains("T"));
    EXPECT_TRUE(together.exhausted);
}

TEST(LazySearch, ABudgetEndsItAndItSaysSo) {
    const Found found = search_all(CommitWordLog(false), false, {.runs_max = 2});
    EXPECT_FALSE(found.exhausted);
    EXPECT_LE(found.runs, 2 * 3u);
}

// Three lines, a bag in each; recovery gives back all of it: read word by word, read at once, or
// after a store to the end of each line, before which the rest of the line is decided.
enum class Way { by_words, at_once, after_a_store };

class Revealing : public ToyLog {
  public:
    explicit Revealing(Way way) : way_(way) {}

    void append(CrashMedium& medium, int number) override {
        std::array<uint64_t, 3> words;
        words.fill(static_cast<uint64_t>(number) + 1);
        for (size_t line = 0; line < kLines; ++line)
            medium.copy(Site::none, at(line * kLineBytes),
                        reinterpret_cast<const std::byte*>(words.data()), sizeof words);
        medium.flush(Site::none, at(0), kLines * kLineBytes);
        medium.fence(Site::none);
    }
    std::string recover(const Reader& reader) const override {
        if (way_ == Way::at_once) reader.tell(0, kLines * kLineBytes);
        if (way_ == Way::after_a_store)
            for (size_t line = 0; line < kLines; ++line) reader.store(line * kLineBytes + 56, 77);
        std::string found;
        for (size_t word = 0; word < 3; ++word)
            for (size_t line = 0; line < kLines; ++line) {
                const size_t at = line * kLineBytes + word * 8;
                found +=
                    std::to_string(way_ == Way::by_words ? reader.word(at) : reader.quiet_word(at));
            }
        return found;
    }

  private:
    static constexpr size_t kLines = 3;

    const Way way_;
};

TEST(LazySearch, ABoundLeavesOutWhatItSays) {
    for (const uint32_t torn : {0, 1, 2, 3})
        for (const Way way : {Way::by_words, Way::at_once, Way::after_a_store}) {
            Revealing log(way);
            CrashMedium medium(log.memory(), Domain::cache_line);
            medium.on_crash_point([&](Site) {
                const auto within = [&](const LeftOfLines& lines) {
                    return std::ranges::count_if(lines, [](const auto& line) {
                               const auto& [stores, value] = line;
                               return value != stores->durable && value != stores->newest();
                           }) <= torn;
                };
                double images = 0;
                LazySearch::Result result;
                const Outcomes searched =
                    outcomes_of_search(medium, log, {.torn_lines_max = torn}, result);
                EXPECT_EQ(searched, outcomes_of_all(medium, log, images, within)) << torn;
                EXPECT_EQ(result.bounded, torn < 3);
                EXPECT_EQ(result.runs, searched.size());
                EXPECT_TRUE(result.exhausted);
                EXPECT_FALSE(result.inconsistent);
            });
            log.append(medium, 0);
        }
}

// A line that is stored to `stores` times without a fence, and nobody looks at it.
bool bounded_after(int stores) {
    CommitWordLog log;
    CrashMedium medium(log.memory(), Domain::cache_line);
    const std::vector<std::byte> payload(32);
    const Bytes piece(payload);
    for (uint64_t i = 1; i <= static_cast<uint64_t>(stores); ++i)
        medium.store_frame(Site::none, log.memory().data(), {{i, 0, i, i}}, {&piece, 1},
                           static_cast<uint32_t>(i), StoreKind::non_temporal);
    Image image(kBytes);
    LazySearch search(medium.live(), medium.pending(), image, {});
    return search.run([] { return LazySearch::Outcome{}; }).bounded;
}

TEST(LazySearch, ItSaysWhenALineHasTooManyStates) {
    EXPECT_FALSE(bounded_after(1));
    EXPECT_TRUE(bounded_after(8));  // 9^4
}

class Fickle : public CommitWordLog {
  public:
    std::string recover(const Reader& reader) const override {
        return CommitWordLog::recover(reader) + std::to_string(turn_++ % 2);
    }

  private:
    mutable int turn_ = 0;
};

TEST(LazySearch, ARecoveryThatIsNotDeterministicIsNamed) {
    EXPECT_TRUE(search_all(Fickle(), false, {.recheck_every = 1}).inconsistent);
}

class Silent : public CommitWordLog {
  public:
    std::string recover(const Reader& reader) const override {
        return CommitWordLog::recover(reader) + std::to_string(reader.quiet_word(3 * 8));
    }
};

TEST(LazySearch, ALoadThatIsNotToldIsNamed) {
    EXPECT_TRUE(search_all(Silent(), false, {.recheck_every = 1}).inconsistent);
}

// Sets the last payload word before it looks at the others: the rest of that line is decided then.
class Mending : public CommitWordLog {
  public:
    using CommitWordLog::CommitWordLog;
    std::string recover(const Reader& reader) const override {
        if (reader.word(kLineBytes) == 0) return "";
        reader.store(56, 77);
        std::string found;
        for (size_t word = 0; word < 8; ++word) found += std::to_string(reader.word(word * 8));
        return found;
    }
};

// Stores where no crash left anything open.
class Scribbling : public CommitWordLog {
  public:
    std::string recover(const Reader& reader) const override {
        constexpr size_t elsewhere = 3 * kLineBytes;
        const bool found = reader.quiet_word(elsewhere) != 0;
        reader.store(elsewhere, 77);
        return CommitWordLog::recover(reader) + (found ? "stale" : "");
    }
};

TEST(LazySearch, WhatRecoveryStoresIsTakenBack) {
    EXPECT_EQ(search_all(Scribbling()).searched, (Outcomes{"", "w", "ww", "www"}));
}

TEST(LazySearch, AStoreDecidesTheRestOfItsLine) {
    const Found found = search_all(Mending(false));
    EXPECT_TRUE(found.exhausted);
    EXPECT_TRUE(
        found.searched.contains("0000000"
                                "77"));
    EXPECT_TRUE(
        found.searched.contains("1110000"
                                "77"));
    EXPECT_TRUE(
        found.searched.contains("1111111"
                                "77"));
}

}  // namespace
}  // namespace cinnabar::sim
