// The search by what recovery reads, over logs that fit on a page: what recovery can come to is
// what it comes to over every image that the rules allow, found with few of them.
#include "sim/lazy_search.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "base/crc32c.hpp"
#include "sim/crash_medium.hpp"

namespace cinnabar::sim {
namespace {

constexpr size_t kBytes = 4096;
constexpr size_t kSlotBytes = 4 * kLineBytes;
constexpr int kAppends = 3;

// Reads an image, and tells a search first where there is one.
class Reader {
  public:
    Reader(Image& image, LazySearch* search) : image_(image), search_(search) {}

    uint64_t word(size_t offset) const {
        if (search_ != nullptr) search_->before_load(at(offset), 8);
        return quiet_word(offset);
    }
    uint64_t quiet_word(size_t offset) const {
        uint64_t value = 0;
        std::memcpy(&value, at(offset), sizeof value);
        return value;
    }
    uint32_t sum(size_t offset, size_t length) const {
        if (search_ != nullptr) search_->before_checksum(at(offset), length);
        return crc32c(~0u, at(offset), length);
    }
    void store(size_t offset, uint64_t value) const {
        if (search_ != nullptr)
            search_->before_store(image_.bytes().data() + offset, 8);
        else
            image_.stored(offset, 8);
        std::memcpy(image_.bytes().data() + offset, &value, sizeof value);
    }

  private:
    const std::byte* at(size_t offset) const { return image_.bytes().data() + offset; }

    Image& image_;
    LazySearch* search_;
};

// A log of slots, written over a crash medium.
class ToyLog {
  public:
    ToyLog() : memory_(static_cast<std::byte*>(std::aligned_alloc(kBytes, kBytes))) {
        std::memset(memory_.get(), 0, kBytes);
    }
    virtual ~ToyLog() = default;

    virtual void append(CrashMedium& medium, int number) = 0;
    virtual std::string recover(const Reader& reader) const = 0;

    std::span<std::byte> memory() { return {memory_.get(), kBytes}; }

  protected:
    std::byte* at(size_t offset) { return memory_.get() + offset; }
    uint64_t* word_at(size_t offset) { return reinterpret_cast<uint64_t*>(at(offset)); }

  private:
    struct Free {
        void operator()(std::byte* p) const { std::free(p); }
    };
    std::unique_ptr<std::byte, Free> memory_;
};

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

// Three lines in a bulk copy, whose sum stands in the first word. `checked`: recovery looks at it.
class SummedLog : public ToyLog {
  public:
    explicit SummedLog(bool checked = true) : checked_(checked) {}

    void append(CrashMedium& medium, int number) override {
        std::array<uint64_t, 24> record;
        for (size_t i = 1; i < record.size(); ++i)
            record[i] = static_cast<uint64_t>(number) * 100 + i;
        record[0] = 1 + uint64_t{crc32c(~0u, &record[1], sizeof record - 8)} * 2;
        const size_t slot = static_cast<size_t>(number) * kSlotBytes;
        medium.copy(Site::none, at(slot), reinterpret_cast<const std::byte*>(record.data()),
                    sizeof record);
        if (number % 2 == 1) return;  // one record in two waits for the next one's fence
        medium.flush(Site::none, at(slot - slot % (2 * kSlotBytes)), 2 * kSlotBytes);
        medium.fence(Site::none);
    }
    std::string recover(const Reader& reader) const override {
        std::string found;
        for (int number = 0; number < kAppends; ++number) {
            const size_t slot = static_cast<size_t>(number) * kSlotBytes;
            const uint64_t head = reader.word(slot);
            if (head == 0) break;
            if (!checked_) {
                found += reader.word(slot + 184) == 0 ? 'T' : 'w';
                continue;
            }
            if (head != 1 + uint64_t{reader.sum(slot + 8, 184)} * 2) break;
            found += 'w';
        }
        return found;
    }

  private:
    const bool checked_;
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

using Outcomes = std::set<std::string>;

struct Found {
    Outcomes all;       // of every image that the rules allow
    Outcomes searched;  // of the search
    double images = 0;
    uint64_t runs = 0;
    bool exhausted = true;
    bool inconsistent = false;
};

// Every combination of the states of the pending lines.
Outcomes outcomes_of_all(const CrashMedium& medium, const ToyLog& log, double& images) {
    std::vector<std::pair<uint64_t, std::vector<Line>>> lines;
    for (const auto& [number, stores] : medium.pending())
        lines.push_back({number, stores.states()});
    Image image(kBytes);
    image.begin(medium.live(), medium.pending());
    Outcomes outcomes;
    std::vector<size_t> at(lines.size(), 0);
    for (size_t turned = 0; turned <= lines.size();) {
        for (size_t i = 0; i < lines.size(); ++i) image.put(lines[i].first, lines[i].second[at[i]]);
        ++images;
        outcomes.insert(log.recover(Reader(image, nullptr)));
        image.undo();
        for (turned = 0; turned < lines.size(); ++turned) {
            if (++at[turned] < lines[turned].second.size()) break;
            at[turned] = 0;
        }
        if (turned == lines.size()) break;
    }
    return outcomes;
}

template <class Log>
Found search_all(Log&& log, bool brute_force = true, const LazySearch::Options& options = {}) {
    Found found;
    CrashMedium medium(log.memory(), Domain::cache_line);
    medium.on_crash_point([&](Site) {
        Outcomes all, searched;
        if (brute_force) all = outcomes_of_all(medium, log, found.images);
        Image image(kBytes);
        LazySearch search(medium.live(), medium.pending(), image, options);
        const LazySearch::Result result = search.run([&]() -> LazySearch::Outcome {
            const std::string outcome = log.recover(Reader(image, &search));
            searched.insert(outcome);
            return {.digest = std::hash<std::string>()(outcome)};
        });
        EXPECT_TRUE(!brute_force || searched == all);
        found.all.merge(all);
        found.searched.merge(searched);
        found.runs += result.runs;
        found.exhausted = found.exhausted && result.exhausted;
        found.inconsistent = found.inconsistent || result.inconsistent;
    });
    for (int number = 0; number < kAppends; ++number) log.append(medium, number);
    return found;
}

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

TEST(LazySearch, AChecksumIsOneDecision) {
    // Two records of three lines of bags: 10^14 images and more at one crash point.
    const Found found = search_all(SummedLog(), false);
    EXPECT_EQ(found.searched, (Outcomes{"", "w", "ww", "www"}));
    EXPECT_TRUE(found.exhausted);
    EXPECT_LT(found.runs, 2000u);
}

TEST(LazySearch, AChecksumThatNobodyChecksIsFound) {
    EXPECT_TRUE(search_all(SummedLog(false), false).searched.contains("T"));
}

// Sums, and takes whatever the sum is.
class Trusting : public SummedLog {
  public:
    std::string recover(const Reader& reader) const override {
        if (reader.word(0) == 0) return "";
        (void)reader.sum(8, 184);
        return std::to_string(reader.word(kLineBytes)) + " " +
               std::to_string(reader.word(2 * kLineBytes));
    }
};

TEST(LazySearch, ASumTornInOneLineIsTried) {
    const Outcomes found = search_all(Trusting(), false).searched;
    EXPECT_TRUE(found.contains("8 16"));  // as appended
    EXPECT_TRUE(found.contains("0 16"));
    EXPECT_TRUE(found.contains("8 0"));
    EXPECT_TRUE(found.contains("0 0"));
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
