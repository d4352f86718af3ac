#include "sim/pending_line.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

namespace cinnabar::sim {

namespace {

// The first of each.
template <class T>
void keep_each_once(std::vector<T>& all) {
    std::set<T> seen;
    std::erase_if(all, [&](const T& one) { return !seen.insert(one).second; });
}

}  // namespace

Line line_at(std::span<const std::byte> region, uint64_t line) {
    Line value;
    std::memcpy(value.data(), region.data() + line * kLineBytes, kLineBytes);
    return value;
}

void put_line(std::span<std::byte> region, uint64_t line, const Line& value) {
    std::memcpy(region.data() + line * kLineBytes, value.data(), kLineBytes);
}

void Unit::apply_to(Line& line, uint8_t words) const {
    for (size_t word = 0; word < kWordsPerLine; ++word)
        if (mask & words & (1u << word)) line[word] = value[word];
}

const Unit* PendingLine::unflushed(size_t thread) const {
    const auto covered = flushed.find(thread);
    for (size_t i = units.size(); i > (covered == flushed.end() ? 0 : covered->second); --i)
        if (units[i - 1].kind != Unit::Kind::non_temporal) return &units[i - 1];
    return nullptr;
}

Line PendingLine::prefix(size_t count) const {
    Line line = durable;
    for (size_t i = 0; i < count; ++i) units[i].apply_to(line);
    return line;
}

std::vector<Line> PendingLine::representatives() const {
    std::vector<Line> all;
    Line before = durable;
    all.push_back(before);
    for (const Unit& unit : units) {
        if (unit.kind != Unit::Kind::word)
            for (size_t word = 0; word < kWordsPerLine; ++word) {
                const uint8_t only = static_cast<uint8_t>(1u << word);
                for (const uint8_t words : {only, static_cast<uint8_t>(~only)}) {
                    Line line = before;
                    unit.apply_to(line, words);
                    all.push_back(line);
                    if (unit.kind != Unit::Kind::non_temporal) continue;
                    line = durable;  // it waits for no earlier store
                    unit.apply_to(line, words);
                    all.push_back(line);
                }
            }
        unit.apply_to(before);
        all.push_back(before);
    }
    keep_each_once(all);
    return all;
}

std::vector<Line> PendingLine::states() const {
    if (any_non_temporal())
        return independent_count() > kStatesMax ? representatives() : independent_states();
    std::vector<Line> all;
    Line before = durable;
    all.push_back(before);
    for (const Unit& unit : units) {
        if (unit.kind == Unit::Kind::bag)
            for (unsigned words = 0; words < 256; ++words) {
                if ((words & ~unsigned{unit.mask}) != 0) continue;
                Line line = before;
                unit.apply_to(line, static_cast<uint8_t>(words));
                all.push_back(line);
            }
        unit.apply_to(before);
        all.push_back(before);
    }
    keep_each_once(all);
    return all;
}

double PendingLine::state_count() const {
    return any_non_temporal() ? independent_count() : ordered_count();
}

// What a bag may leave between the prefixes before and behind it is left by nothing else, but where
// a word comes back to a value that it had: then all are made, and counted.
double PendingLine::ordered_count() const {
    double count = 1;
    size_t changes = 0, values = 0;
    Line before = durable;
    for (const Unit& unit : units) {
        Line behind = before;
        unit.apply_to(behind);
        int changed = 0;
        for (size_t word = 0; word < kWordsPerLine; ++word)
            changed += behind[word] != before[word] ? 1 : 0;
        if (changed > 0) count += unit.kind == Unit::Kind::bag ? std::ldexp(1, changed) - 1 : 1;
        changes += static_cast<size_t>(changed);
        before = behind;
    }
    for (const auto& of_word : values_by_word()) values += of_word.size() - 1;
    return changes == values ? count : static_cast<double>(states().size());
}

Line PendingLine::drawn(std::mt19937_64& random) const {
    if (!any_non_temporal()) {
        const size_t whole = random() % units.size();
        Line line = prefix(whole);
        const bool is_bag = units[whole].kind == Unit::Kind::bag;
        const uint64_t all_or_nothing = random() % 2 * 0xFF;
        units[whole].apply_to(line, static_cast<uint8_t>(is_bag ? random() : all_or_nothing));
        return line;
    }
    Line line = durable;
    for (size_t word = 0; word < kWordsPerLine; ++word) {
        uint64_t values = 1;
        for (const Unit& unit : units)
            if ((unit.mask & (1u << word)) != 0 && random() % ++values == 0)
                line[word] = unit.value[word];
    }
    return line;
}

bool PendingLine::any_non_temporal() const {
    return std::ranges::any_of(
        units, [](const Unit& unit) { return unit.kind == Unit::Kind::non_temporal; });
}

std::array<std::vector<uint64_t>, kWordsPerLine> PendingLine::values_by_word() const {
    std::array<std::vector<uint64_t>, kWordsPerLine> values;
    for (size_t word = 0; word < kWordsPerLine; ++word) {
        values[word].push_back(durable[word]);
        for (const Unit& unit : units)
            if (unit.mask & (1u << word)) values[word].push_back(unit.value[word]);
        keep_each_once(values[word]);
    }
    return values;
}

double PendingLine::independent_count() const {
    double count = 1;
    for (const auto& values : values_by_word()) count *= static_cast<double>(values.size());
    return count;
}

std::vector<Line> PendingLine::independent_states() const {
    const auto values = values_by_word();
    std::vector<Line> all(1, durable);
    for (size_t word = 0; word < kWordsPerLine; ++word) {
        std::vector<Line> wider;
        for (const Line& line : all)
            for (const uint64_t value : values[word]) {
                wider.push_back(line);
                wider.back()[word] = value;
            }
        all = std::move(wider);
    }
    keep_each_once(all);
    return all;
}

}  // namespace cinnabar::sim
