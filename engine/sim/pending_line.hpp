// What one cache line may hold after a crash: its last durable content, and what was stored since.
// This is the fault model of a line; lines are independent of each other (engine/doc/CRASH.md has
// the rules by number).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <vector>

#include "seam/site.hpp"

namespace cinnabar::sim {

inline constexpr size_t kLineBytes = 64;
inline constexpr size_t kWordsPerLine = 8;

using Line = std::array<uint64_t, kWordsPerLine>;

// What one store put into one line.
struct Unit {
    enum class Kind : uint8_t { word, bag, non_temporal };

    Kind kind = Kind::word;
    Site site = Site::none;
    size_t thread = 0;
    uint64_t sequence = 0;  // of all stores, in program order
    uint64_t call = 0;      // what one call stored, in several lines or in one, has one number
    uint8_t mask = 0;       // the words it wrote
    Line value = {};

    // Its words, as far as `words` has them too.
    void apply_to(Line& line, uint8_t words = 0xFF) const;
};

// A line with stores that are not proven durable.
struct PendingLine {
    Line durable = {};
    std::vector<Unit> units;           // in the order of the stores
    std::map<size_t, size_t> flushed;  // by thread: units covered by a flush awaiting its fence
    bool written_off = false;          // page domain: a failed write-back left the page "clean"

    // The newest cached store that no flush of the thread covers; nullptr: there is none.
    const Unit* unflushed(size_t thread) const;
    // With the first `count` stores.
    Line prefix(size_t count) const;
    Line newest() const { return prefix(units.size()); }

    // Each content once, the durable one first. Every prefix; and of each bag or non-temporal unit
    // each word alone and each word missing, after the units before it; of a non-temporal one also
    // without these.
    std::vector<Line> representatives() const;

    // Each content once, the durable one first; all that the rules allow, or the representatives
    // alone where these are more than kStatesMax. Where non-temporal stores are pending, the words
    // are taken for independent of each other: with cached stores on the same line (a mistake,
    // counted as such) that is more than the rules allow.
    std::vector<Line> states() const;
    static constexpr size_t kStatesMax = 4096;
    // How many the rules allow; above kStatesMax not less than that.
    double state_count() const;
    // One of those that the rules allow, each with some probability: without the others.
    Line drawn(std::mt19937_64& random) const;

  private:
    bool any_non_temporal() const;
    std::array<std::vector<uint64_t>, kWordsPerLine> values_by_word() const;
    double independent_count() const;
    double ordered_count() const;
    std::vector<Line> independent_states() const;
};

using PendingLines = std::map<uint64_t, PendingLine>;  // by line number in the region

Line line_at(std::span<const std::byte> region, uint64_t line);
void put_line(std::span<std::byte> region, uint64_t line, const Line& value);

}  // namespace cinnabar::sim
