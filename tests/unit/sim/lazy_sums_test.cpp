// The search by what recovery reads, where recovery verifies checksums: a sum is one decision, and
// still nothing is lost that a recovery can tell which takes bytes that do not verify for alike.
#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <span>

#include "unit/sim/toy_log.hpp"

namespace cinnabar::sim {
namespace {

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

// As many lines torn as there are: nothing but the sums is left out.
constexpr LazySearch::Options kUnbounded = {.torn_lines_max = 100};

// A record over two lines: sum, number, payload in the first, payload and two tags in the second,
// of which the sum covers the payload. It overwrites an older one, which verifies too; one in two
// waits for the next one's fence.
class SummedRing : public ToyLog {
  public:
    explicit SummedRing(int slots, bool sum_read_first)
        : slots_(slots), sum_read_first_(sum_read_first) {}

    void append(CrashMedium& medium, int number) override {
        std::array<uint64_t, 14> record = {};
        for (const size_t word : {1, 2, 8, 9, 10, 12, 13})
            record[word] = static_cast<uint64_t>(number) * 100 + word;
        record[0] = crc32c(~0u, &record[1], kSummedBytes);
        const size_t slot = static_cast<size_t>(number % slots_) * kSlotBytes;
        const auto* bytes = reinterpret_cast<const std::byte*>(record.data());
        medium.copy(Site::none, at(slot), bytes, 24);
        medium.copy(Site::none, at(slot + kLineBytes), bytes + kLineBytes, 48);
        if (number % 2 == 1) return;
        medium.flush(Site::none, memory().data(), 2 * kSlotBytes);
        medium.fence(Site::none);
    }
    // The numbers of the records that verify, with their tags.
    std::string recover(const Reader& reader) const override {
        std::string found;
        for (size_t slot = 0; slot < static_cast<size_t>(slots_) * kSlotBytes; slot += kSlotBytes) {
            const uint64_t stated = sum_read_first_ ? reader.word(slot) : 0;
            const uint64_t sum = reader.sum(slot + 8, kSummedBytes);
            const bool verifies = sum == (sum_read_first_ ? stated : reader.word(slot));
            found += verifies ? std::to_string(reader.word(slot + 8)) + "," +
                                    std::to_string(reader.word(slot + 12 * 8)) + "," +
                                    std::to_string(reader.word(slot + 13 * 8)) + ";"
                              : "torn;";
        }
        return found;
    }

  private:
    static constexpr size_t kSummedBytes = 80;  // words 1 to 10

    const int slots_;
    const bool sum_read_first_;
};

TEST(LazySums, WhatIsVerifiedComesToTheSameAsEveryImage) {
    for (const bool sum_read_first : {false, true}) {
        // With one slot two records are stored over each other before a fence: any of three
        // verifies.
        for (const int slots : {1, 2}) {
            const Found found = search_all(SummedRing(slots, sum_read_first), true, kUnbounded);
            EXPECT_TRUE(found.exhausted);
            EXPECT_FALSE(found.inconsistent);
            EXPECT_LT(static_cast<double>(found.runs), found.images / 2);
            if (slots == 2) continue;
            for (const char* one : {"1,12,13;", "101,112,113;", "201,212,213;", "201,112,213;",
                                    "201,212,113;", "torn;"})
                EXPECT_TRUE(found.searched.contains(one)) << one;
        }
    }
}

// Sums four lines, all or two at a time, and gives back what it summed: the search may leave out
// what two torn lines under one sum come to, no more.
class Unheeded : public ToyLog {
  public:
    explicit Unheeded(size_t lines_of_sum) : lines_of_sum_(lines_of_sum) {}

    void append(CrashMedium& medium, int number) override {
        std::array<uint64_t, 3> words;
        for (size_t line = 0; line < kLines; ++line) {
            words.fill(static_cast<uint64_t>(number) + 1);
            medium.copy(Site::none, at(line * kLineBytes),
                        reinterpret_cast<const std::byte*>(words.data()), sizeof words);
        }
        medium.flush(Site::none, memory().data(), kLines * kLineBytes);
        medium.fence(Site::none);
    }
    std::string recover(const Reader& reader) const override {
        for (size_t line = 0; line < kLines; line += lines_of_sum_)
            (void)reader.sum(line * kLineBytes, lines_of_sum_ * kLineBytes);
        std::string found;
        for (size_t line = 0; line < kLines; ++line)
            for (size_t word = 0; word < 3; ++word)
                found += std::to_string(reader.word(line * kLineBytes + word * 8));
        return found;
    }

  private:
    static constexpr size_t kLines = 4;

    const size_t lines_of_sum_;
};

bool is_old(const LeftOfLines::value_type& line) {
    return line.second == line.first->durable;
}

bool is_new(const LeftOfLines::value_type& line) {
    return line.second == line.first->newest();
}

// All lines but one are old, or all are new, and that one has a representative; or everything is as
// after one store.
bool is_an_alternative(std::span<const LeftOfLines::value_type> lines) {
    for (const auto& [stores, value] : lines) {
        const std::vector<Line> some = stores->representatives();
        if (std::ranges::find(some, value) == some.end()) return false;
    }
    const auto others = std::ssize(lines) - 1;
    const auto first_not_new = std::ranges::find_if_not(lines, is_new);
    return std::ranges::count_if(lines, is_old) >= others ||
           std::ranges::count_if(lines, is_new) >= others ||
           std::all_of(first_not_new, lines.end(), is_old);
}

void expect_each_alternative_once(size_t lines_of_sum, uint32_t torn_max) {
    const auto within = [&](const LeftOfLines& lines) {
        for (size_t line = 0; line < lines.size(); line += lines_of_sum)
            if (!is_an_alternative(std::span(lines).subspan(line, lines_of_sum))) return false;
        return std::ranges::count_if(lines, [](const auto& line) {
                   return !is_old(line) && !is_new(line);
               }) <= torn_max;
    };
    Unheeded log(lines_of_sum);
    CrashMedium medium(log.memory(), Domain::cache_line);
    medium.on_crash_point([&](Site) {
        double images = 0;
        LazySearch::Result result;
        const Outcomes searched =
            outcomes_of_search(medium, log, {.torn_lines_max = torn_max}, result);
        EXPECT_EQ(searched, outcomes_of_all(medium, log, images, within));
        EXPECT_EQ(result.runs, searched.size());  // without any one of them it would be less
        EXPECT_TRUE(result.exhausted);
        EXPECT_EQ(images, std::pow(8, 4));
    });
    for (int number = 0; number < 2; ++number) log.append(medium, number);
}

TEST(LazySums, EveryAlternativeOfASumIsTriedAndEachOnce) {
    for (const size_t lines_of_sum : {2, 4})
        for (const uint32_t torn_max : {0, 1, 2})
            expect_each_alternative_once(lines_of_sum, torn_max);
}

// Two records of two lines, each with a sum, under a sum over both, which is looked at first.
class Batch : public ToyLog {
  public:
    void append(CrashMedium& medium, int number) override {
        std::array<uint64_t, 2> words;
        for (size_t line = 0; line < 4; ++line) {
            words.fill(static_cast<uint64_t>(number) + 1);
            medium.copy(Site::none, at(line * kLineBytes),
                        reinterpret_cast<const std::byte*>(words.data()), sizeof words);
        }
        for (size_t i = 0; i < kRanges.size(); ++i)
            sums_[i].insert(crc32c(~0u, at(kRanges[i].first), kRanges[i].second));
        medium.flush(Site::none, memory().data(), 4 * kLineBytes);
        medium.fence(Site::none);
    }
    std::string recover(const Reader& reader) const override {
        if (verifies(reader, 0)) return "all of " + std::to_string(reader.word(0));
        std::string found;
        for (const size_t record : {1, 2})
            found +=
                verifies(reader, record) ? std::to_string(reader.word(kRanges[record].first)) : "-";
        return found;
    }

  private:
    static constexpr std::array<std::pair<size_t, size_t>, 3> kRanges = {
        {{0, 4 * kLineBytes}, {0, 2 * kLineBytes}, {2 * kLineBytes, 2 * kLineBytes}}};

    bool verifies(const Reader& reader, size_t range) const {
        return sums_[range].contains(reader.sum(kRanges[range].first, kRanges[range].second));
    }

    std::array<std::set<uint32_t>, 3> sums_;
};

TEST(LazySums, SumsInsideOfASumAreDecidedApart) {
    const Found found = search_all(Batch(), true, kUnbounded);
    for (const char* outcome : {"all of 1", "all of 2", "all of 3", "12", "21", "1-", "-2", "--"})
        EXPECT_TRUE(found.searched.contains(outcome)) << outcome;
    EXPECT_TRUE(found.exhausted);
    EXPECT_FALSE(found.inconsistent);
    EXPECT_GT(found.cuts, 0u);
}

// Words read, then ranges summed, whatever way they lie to each other; a sum may be left out for
// what the one before came to. Two appends, in any order of lines, wait for one fence.
class Drawn : public ToyLog {
  public:
    explicit Drawn(uint64_t seed) : random_(seed) {
        for (size_t i = draw(2); i > 0; --i) loads_.push_back(draw(kWords) * 8);
        for (size_t i = 1 + draw(5); i > 0; --i) {
            const size_t begin = draw(kWords);
            sums_.push_back({.begin = begin * 8,
                             .length = (1 + draw(kWords - begin)) * 8,
                             .ends_where_torn = draw(3) == 0});
        }
    }

    void append(CrashMedium& medium, int number) override {
        if (number == 0) note_contents();
        for (size_t stores = 2 + draw(2); stores > 0; --stores) {
            const std::array<uint64_t, 3> words = {random_(), random_(), random_()};
            medium.copy(Site::none, at(draw(kLines) * kLineBytes + draw(6) * 8),
                        reinterpret_cast<const std::byte*>(words.data()), sizeof words);
        }
        note_contents();
        if (number == 0) return;
        medium.flush(Site::none, memory().data(), kLines * kLineBytes);
        medium.fence(Site::none);
    }
    std::string recover(const Reader& reader) const override {
        std::string found;
        for (const size_t load : loads_) found += std::to_string(reader.word(load)) + " ";
        for (const Sum& sum : sums_) {
            const uint32_t value = reader.sum(sum.begin, sum.length);
            const auto known = std::ranges::find(sum.known, value);
            found += known == sum.known.end() ? "-" : std::to_string(known - sum.known.begin());
            if (known == sum.known.end() && sum.ends_where_torn) break;
        }
        return found;
    }

  private:
    struct Sum {
        size_t begin;
        size_t length;
        bool ends_where_torn;
        std::vector<uint32_t> known = {};  // by what was appended
    };
    static constexpr size_t kLines = 3;
    static constexpr size_t kWords = kLines * kWordsPerLine;

    size_t draw(size_t below) { return random_() % below; }
    void note_contents() {
        for (Sum& sum : sums_) sum.known.push_back(crc32c(~0u, at(sum.begin), sum.length));
    }

    std::mt19937_64 random_;
    std::vector<size_t> loads_;
    std::vector<Sum> sums_;
};

TEST(LazySums, DrawnRangesComeToTheSameAsEveryImage) {
    uint64_t cuts = 0;
    for (uint64_t seed = 0; seed < 400; ++seed) {
        SCOPED_TRACE(seed);
        const Found found = search_all(Drawn(seed), true, kUnbounded);
        EXPECT_TRUE(found.exhausted);
        EXPECT_FALSE(found.inconsistent);
        cuts += found.cuts;
    }
    EXPECT_GT(cuts, 20u);
}

}  // namespace
}  // namespace cinnabar::sim
