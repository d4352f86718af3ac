#include "explain/reduce.hpp"

#include <algorithm>
#include <vector>

namespace cinnabar::explain {

namespace {

sim::Line base_of(const sim::PendingLine& pending, bool all_survives) {
    return all_survives ? pending.newest() : pending.durable;
}

size_t words_that_differ(const sim::Line& one, const sim::Line& other) {
    size_t words = 0;
    for (size_t word = 0; word < sim::kWordsPerLine; ++word) words += one[word] != other[word];
    return words;
}

}  // namespace

void Reducer::put(bool all_survives, const Lines& differ) {
    for (const auto& [line, pending] : pending_) {
        const auto found = differ.find(line);
        image_.put(line, found == differ.end() ? base_of(pending, all_survives) : found->second);
    }
}

bool Reducer::still_fails(bool all_survives, const Lines& differ) {
    if (tries_left_ == 0) return false;
    --tries_left_;
    put(all_survives, differ);
    return fails_();
}

void Reducer::drop_lines(bool all_survives, Lines& differ) {
    for (size_t chunk = differ.size(); chunk > 0; chunk /= 2)
        for (bool dropped = true; dropped;) {
            dropped = false;
            std::vector<uint64_t> lines;
            for (const auto& [line, value] : differ) lines.push_back(line);
            for (size_t begin = 0; begin < lines.size(); begin += chunk) {
                Lines without = differ;
                for (size_t i = begin; i < std::min(begin + chunk, lines.size()); ++i)
                    without.erase(lines[i]);
                if (!still_fails(all_survives, without)) continue;
                differ = std::move(without);
                dropped = true;
            }
        }
}

// The state of the line that differs in the fewest words; of several the first, whichever the image
// holds that was found, so that images which fail for one reason come to one.
void Reducer::shrink(bool all_survives, Lines& differ, uint64_t line) {
    const sim::PendingLine& pending = pending_.at(line);
    const sim::Line base = base_of(pending, all_survives);
    const size_t words_now = words_that_differ(differ.at(line), base);
    std::vector<sim::Line> states = pending.states();
    std::ranges::stable_sort(
        states, {}, [&](const sim::Line& state) { return words_that_differ(state, base); });
    for (const sim::Line& state : states) {
        const size_t words = words_that_differ(state, base);
        if (words > words_now || state == differ.at(line)) return;
        if (words == 0) continue;  // drop_lines has tried it
        Lines with = differ;
        with[line] = state;
        if (!still_fails(all_survives, with)) continue;
        differ = std::move(with);
        return;
    }
}

Lines Reducer::fewest(bool all_survives, const Lines& failing) {
    Lines differ;
    for (const auto& [line, value] : failing)
        if (value != base_of(pending_.at(line), all_survives)) differ.insert({line, value});
    drop_lines(all_survives, differ);
    std::vector<uint64_t> lines;
    for (const auto& [line, value] : differ) lines.push_back(line);
    for (const uint64_t line : lines) shrink(all_survives, differ, line);
    put(all_survives, differ);
    return differ;
}

}  // namespace cinnabar::explain
