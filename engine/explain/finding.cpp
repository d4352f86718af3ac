#include "explain/finding.hpp"

#include <algorithm>
#include <cstddef>
#include <sstream>

namespace cinnabar::explain {

namespace {

using sim::PendingLine;
using sim::Unit;

constexpr size_t kLinesInText = 8;

// The first store of the line of which the value misses a word.
const Unit* first_missing(const PendingLine& pending, const sim::Line& value) {
    const Unit* first = nullptr;
    for (size_t word = 0; word < sim::kWordsPerLine; ++word) {
        const Unit* missing = nullptr;  // the first behind the last that left the word so
        bool is_so = pending.durable[word] == value[word];
        for (const Unit& unit : pending.units) {
            if ((unit.mask & 1u << word) == 0) continue;
            const bool will_be_so = unit.value[word] == value[word];
            if (will_be_so)
                missing = nullptr;
            else if (is_so)
                missing = &unit;
            is_so = will_be_so;
        }
        if (missing != nullptr && (first == nullptr || missing->sequence < first->sequence))
            first = missing;
    }
    return first;
}

// The last store of the line that the value needs for one of its words.
const Unit* last_needed(const PendingLine& pending, const sim::Line& value) {
    const Unit* last = nullptr;
    for (size_t word = 0; word < sim::kWordsPerLine; ++word) {
        if (pending.durable[word] == value[word]) continue;
        const auto stored = std::ranges::find_if(pending.units, [&](const Unit& unit) {
            return (unit.mask & 1u << word) != 0 && unit.value[word] == value[word];
        });
        if (stored != pending.units.end() && (last == nullptr || stored->sequence > last->sequence))
            last = &*stored;
    }
    return last;
}

// Of the words in `mask` the first byte, by offset, in which the two differ.
uint64_t first_difference(uint64_t line, uint8_t mask, const sim::Line& one,
                          const sim::Line& other) {
    const auto* these = reinterpret_cast<const std::byte*>(one.data());
    const auto* those = reinterpret_cast<const std::byte*>(other.data());
    for (size_t byte = 0; byte < sim::kLineBytes; ++byte)
        if ((mask & 1u << byte / 8) != 0 && these[byte] != those[byte])
            return line * sim::kLineBytes + byte;
    return line * sim::kLineBytes;
}

// The store of a line that is to blame, and from which byte on.
struct Blamed {
    const Unit* unit = nullptr;
    uint64_t offset = 0;
};

Blamed lost_of(uint64_t line, const PendingLine& pending, const sim::Line& value) {
    const Unit* unit = first_missing(pending, value);
    if (unit == nullptr) return {};
    return {unit, first_difference(line, unit->mask, unit->value, value)};
}

// The word of it that the crash kept: the others may be older, or newer.
Blamed survived_of(uint64_t line, const PendingLine& pending, const sim::Line& value) {
    const Unit* unit = last_needed(pending, value);
    if (unit == nullptr) return {};
    uint8_t kept = unit->mask;
    for (size_t word = 0; word < sim::kWordsPerLine; ++word)
        if (unit->value[word] != value[word]) kept &= static_cast<uint8_t>(~(1u << word));
    return {unit, first_difference(line, kept, value, pending.durable)};
}

using Find = Blamed (*)(uint64_t line, const PendingLine&, const sim::Line&);

std::string text_of_lines(const sim::PendingLines& pending, const Lines& lines, const Names& name,
                          Find find) {
    std::string text;
    size_t count = 0;
    for (const auto& [line, value] : lines) {
        const Blamed blamed = find(line, pending.at(line), value);
        if (blamed.unit == nullptr) continue;
        if (++count > kLinesInText)
            return text + "; and " + std::to_string(lines.size() - kLinesInText) + " lines more";
        text += (text.empty() ? "offset " : "; offset ") + std::to_string(blamed.offset) + ", " +
                name(blamed.unit->site);
    }
    return text;
}

}  // namespace

std::string words_of_lines(const std::set<uint64_t>& lines) {
    std::string words;
    for (const uint64_t line : lines) words += (words.empty() ? "" : " ") + std::to_string(line);
    return words;
}

std::set<uint64_t> lines_of_words(const std::string& words) {
    std::set<uint64_t> lines;
    std::istringstream in(words);
    for (uint64_t line = 0; in >> line;) lines.insert(line);
    return lines;
}

std::optional<Finding::Store> first_lost(const sim::PendingLines& pending, const Lines& lost,
                                         const Names& name) {
    std::optional<Finding::Store> first;
    for (const auto& [line, value] : lost) {
        const auto [unit, offset] = lost_of(line, pending.at(line), value);
        if (unit != nullptr && (!first || unit->sequence < first->sequence))
            first = {line, offset, unit->sequence, unit->call, name(unit->site)};
    }
    return first;
}

std::optional<Finding::Store> last_surviving(const sim::PendingLines& pending,
                                             const Lines& survived, const Names& name) {
    std::optional<Finding::Store> last;
    for (const auto& [line, value] : survived) {
        const auto [unit, offset] = survived_of(line, pending.at(line), value);
        if (unit != nullptr && (!last || unit->sequence > last->sequence))
            last = {line, offset, unit->sequence, unit->call, name(unit->site)};
    }
    return last;
}

std::string lost_text(const sim::PendingLines& pending, const Lines& lost, const Names& name) {
    return text_of_lines(pending, lost, name, lost_of);
}

std::string surviving_text(const sim::PendingLines& pending, const Lines& survived,
                           const Names& name) {
    return text_of_lines(pending, survived, name, survived_of);
}

std::string text_of(const Finding::Store& store) {
    return (store.where.starts_with("before ") ? "what is stored " : "") + store.where +
           " (offset " + std::to_string(store.offset) + ")";
}

std::string text_of(const Fix& fix, Domain domain) {
    const std::string forced = domain == Domain::page   ? "a sync"
                               : domain == Domain::byte ? "a fence"
                                                        : "a flush and a fence";
    if (!fix.lines_after.empty()) return forced + " between the two";
    return forced + (fix.where.starts_with("before ") ? " " : " behind ") + fix.where;
}

}  // namespace cinnabar::explain
