#include "sim/pending_line.hpp"

#include <algorithm>
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
    return any_non_temporal() ? independent_count() : static_cast<double>(states().size());
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
