#include "explain/finding.hpp"

#include <algorithm>

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

using Find = const Unit* (*)(const PendingLine&, const sim::Line&);

std::string text_of_lines(const sim::PendingLines& pending, const Lines& lines, const Names& name,
                          Find find) {
    std::string text;
    size_t count = 0;
    for (const auto& [line, value] : lines) {
        const Unit* unit = find(pending.at(line), value);
        if (unit == nullptr) continue;
        if (++count > kLinesInText)
            return text + "; and " + std::to_string(lines.size() - kLinesInText) + " lines more";
        text += (text.empty() ? "offset " : "; offset ") + std::to_string(line * sim::kLineBytes) +
                ", " + name(unit->site);
    }
    return text;
}

}  // namespace

std::optional<Finding::Store> first_lost(const sim::PendingLines& pending, const Lines& lost,
                                         const Names& name) {
    std::optional<Finding::Store> first;
    for (const auto& [line, value] : lost)
        if (const Unit* unit = first_missing(pending.at(line), value))
            if (!first || unit->sequence < first->sequence)
                first = {line, unit->sequence, unit->call, name(unit->site)};
    return first;
}

std::optional<Finding::Store> last_surviving(const sim::PendingLines& pending,
                                             const Lines& survived, const Names& name) {
    std::optional<Finding::Store> last;
    for (const auto& [line, value] : survived)
        if (const Unit* unit = last_needed(pending.at(line), value))
            if (!last || unit->sequence > last->sequence)
                last = {line, unit->sequence, unit->call, name(unit->site)};
    return last;
}

std::string lost_text(const sim::PendingLines& pending, const Lines& lost, const Names& name) {
    return text_of_lines(pending, lost, name, first_missing);
}

std::string surviving_text(const sim::PendingLines& pending, const Lines& survived,
                           const Names& name) {
    return text_of_lines(pending, survived, name, last_needed);
}

std::string text_of(const Finding::Store& store) {
    return (store.where.starts_with("before ") ? "what is stored " : "") + store.where +
           " (offset " + std::to_string(store.line * sim::kLineBytes) + ")";
}

std::string text_of(const Fix& fix, Domain domain) {
    const std::string forced = domain == Domain::page   ? "a sync"
                               : domain == Domain::byte ? "a fence"
                                                        : "a flush and a fence";
    if (!fix.lines_after.empty()) return forced + " between the two";
    return forced + (fix.where.starts_with("before ") ? " " : " behind ") + fix.where;
}

}  // namespace cinnabar::explain
