#include "sim/lazy_search.hpp"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/check.hpp"

namespace cinnabar::sim {

namespace {

// `line` with zero in place of its other words.
Line only(const Line& line, uint8_t words) {
    Line some = {};
    for (size_t word = 0; word < kWordsPerLine; ++word)
        if (words & (1u << word)) some[word] = line[word];
    return some;
}

bool alike(const Line& a, const Line& b, uint8_t words) {
    return only(a, words) == only(b, words);
}

}  // namespace

LazySearch::LazySearch(std::span<const std::byte> live, const PendingLines& pending, Image& image,
                       const Options& options)
    : image_(image), options_(options), by_number_(live.size() / kLineBytes, -1) {
    image.begin(live, pending);
    for (const auto& [number, stores] : pending) {
        OpenLine line;
        line.number = number;
        line.states = stores.states();
        if (stores.state_count() > static_cast<double>(line.states.size())) all_states_ = false;
        if (line.states.size() < 2) continue;
        line.representatives = stores.representatives();
        line.newest = stores.newest();
        for (size_t i = 0; i < stores.units.size(); ++i)
            line.after.emplace_back(stores.units[i].sequence, stores.prefix(i + 1));
        by_number_[number] = static_cast<int32_t>(lines_.size());
        lines_.push_back(std::move(line));
    }
}

LazySearch::Result LazySearch::run(const std::function<Outcome()>& recover) {
    result_ = {};
    result_.bounded = !all_states_;
    path_.clear();
    cuts_.clear();
    cuts_known_.clear();
    do {
        const Outcome outcome = run_once(recover, false);
        ++result_.runs;
        if (outcome.go_on && options_.recheck_every > 0 &&
            result_.runs % options_.recheck_every == 1 % options_.recheck_every) {
            const size_t decisions = depth_;
            const Outcome again = run_once(recover, true);
            ++result_.rechecked;
            if (again.digest != outcome.digest || depth_ != decisions) result_.inconsistent = true;
        }
        if (!outcome.go_on) result_.stopped = true;
        if (result_.inconsistent || result_.stopped) return result_;
        if (cuts_known_.size() > cuts_.size()) {
            cuts_ = cuts_known_;
            path_.clear();
        } else if (!next_path()) {
            result_.exhausted = true;
        }
        result_.sums_cut = cuts_.size();
    } while (!result_.exhausted && result_.runs < options_.runs_max);
    return result_;
}

LazySearch::Outcome LazySearch::run_once(const std::function<Outcome()>& recover,
                                         bool other_bytes) {
    depth_ = 0;
    torn_lines_ = 0;
    other_bytes_ = other_bytes;
    decided_sums_.clear();
    ++run_;
    for (const OpenLine& line : lines_)
        image_.put(line.number, other_bytes ? line.states.back() : line.states.front());
    watch(image_.bytes(), *this);
    const Outcome outcome = recover();
    unwatch();
    image_.undo();
    if (depth_ < path_.size()) result_.inconsistent = true;  // it read less than before
    return outcome;
}

// The deepest choice that has another alternative takes it; those below it are gone.
bool LazySearch::next_path() {
    while (!path_.empty() && path_.back().taken + 1 == path_.back().of) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().taken;
    return true;
}

LazySearch::Choice& LazySearch::choose(size_t of) {
    if (depth_ == path_.size()) path_.push_back({0, static_cast<uint32_t>(of)});
    Choice& choice = path_[depth_++];
    if (choice.of != of) result_.inconsistent = true;
    choice.taken = std::min(choice.taken, static_cast<uint32_t>(of - 1));
    return choice;
}

std::vector<LazySearch::OpenLine*> LazySearch::open_in(const std::byte* from, size_t length) {
    std::vector<OpenLine*> found;
    const std::byte* base = image_.bytes().data();
    CNB_CHECK(length > 0 && from >= base && from + length <= base + image_.bytes().size());
    const uint64_t begin = static_cast<uint64_t>(from - base);
    for (uint64_t number = begin / kLineBytes; number * kLineBytes < begin + length; ++number) {
        const int32_t index = by_number_[number];
        if (index < 0) continue;
        OpenLine& line = lines_[static_cast<size_t>(index)];
        if (line.run != run_) open(line);
        if (line.left.size() > 1) found.push_back(&line);
    }
    return found;
}

void LazySearch::open(OpenLine& line) {
    line.run = run_;
    line.torn = false;
    line.left.resize(line.states.size());
    std::iota(line.left.begin(), line.left.end(), 0u);
}

// Where enough lines are torn, this one is old or new, if it is not among them.
void LazySearch::bound(OpenLine& line) {
    if (torn_lines_ < options_.torn_lines_max || line.torn) return;
    const auto whole = [&](const Line& state) {
        return state == line.states.front() || state == line.newest;
    };
    if (std::ranges::all_of(line.left, [&](uint32_t state) { return whole(line.states[state]); }))
        return;
    result_.bounded = true;
    narrow(line, whole);
}

// Leaves the states that `keep` is true of. What was not read yet shows the first of them, or, to
// see that nobody looks, the last.
template <class Keep>
void LazySearch::narrow(OpenLine& line, Keep&& keep) {
    std::erase_if(line.left, [&](uint32_t state) { return !keep(line.states[state]); });
    CNB_CHECK(!line.left.empty());
    if (!line.torn && line.left.front() != 0 && !may_be(line, line.newest)) {
        line.torn = true;
        ++torn_lines_;
    }
    image_.put(line.number, line.states[other_bytes_ ? line.left.back() : line.left.front()]);
}

void LazySearch::decide_word(OpenLine& line, size_t word) {
    std::vector<uint64_t> values;
    for (const uint32_t state : line.left) {
        const uint64_t value = line.states[state][word];
        if (std::ranges::find(values, value) == values.end()) values.push_back(value);
    }
    if (values.size() == 1) return;
    const uint64_t chosen = values[choose(values.size()).taken];
    narrow(line, [&](const Line& state) { return state[word] == chosen; });
}

void LazySearch::before_load(const std::byte* from, size_t length) {
    const uint64_t begin = static_cast<uint64_t>(from - image_.bytes().data());
    for (OpenLine* line : open_in(from, length)) {
        bound(*line);
        const uint64_t line_begin = line->number * kLineBytes;
        const uint64_t first = std::max(begin, line_begin) - line_begin;
        const uint64_t end = std::min(begin + length - line_begin, uint64_t{kLineBytes});
        for (uint64_t word = first / 8; word * 8 < end; ++word) decide_word(*line, word);
    }
}

// What a store leaves of a line must be decided; what it replaces need not.
void LazySearch::before_store(std::byte* to, size_t length) {
    const uint64_t begin = static_cast<uint64_t>(to - image_.bytes().data());
    image_.stored(begin, length);
    for (OpenLine* line : open_in(to, length)) {
        bound(*line);
        const uint64_t line_begin = line->number * kLineBytes;
        const bool replaced = begin <= line_begin && begin + length >= line_begin + kLineBytes;
        const uint32_t state = line->left[replaced ? 0 : choose(line->left.size()).taken];
        settle_on(*line, line->states[state]);
    }
}

void LazySearch::settle_on(OpenLine& line, const Line& value) {
    narrow(line, [&](const Line& state) { return state == value; });
}

bool LazySearch::may_be(const OpenLine& line, const Line& value, uint8_t words) const {
    return std::ranges::any_of(
        line.left, [&](uint32_t state) { return alike(line.states[state], value, words); });
}

void LazySearch::before_checksum(const std::byte* from, size_t length) {
    const uint64_t begin = static_cast<uint64_t>(from - image_.bytes().data());
    const WordRange sum = {begin / 8, (begin + length + 7) / 8};
    note_cuts(sum);
    for (WordRange piece = {sum.begin, sum.begin}; piece.end < sum.end; piece.begin = piece.end) {
        const auto cut = cuts_.upper_bound(piece.begin);
        piece.end = cut == cuts_.end() ? sum.end : std::min(*cut, sum.end);
        decide_sum(piece);
    }
}

// The run goes on undisturbed; the next one has what was met here.
void LazySearch::note_cuts(const WordRange& sum) {
    for (const WordRange& decided : decided_sums_)
        for (const uint64_t word : {sum.begin, sum.end})
            if (decided.begin < word && word < decided.end) cuts_known_.insert(word);
}

void LazySearch::decide_sum(const WordRange& range) {
    const std::vector<SummedLine> lines = summed_lines(range);
    if (lines.empty()) return;
    // On a path that was begun before, its alternatives are those of then.
    const bool known = depth_ < path_.size() && !path_[depth_].sums.empty();
    SumAlternatives alternatives = known ? std::move(path_[depth_].sums) : sum_alternatives(lines);
    if (!known) ++result_.sums_collapsed;
    Choice& choice = choose(alternatives.size());
    choice.sums = std::move(alternatives);
    for (size_t i = 0; i < lines.size(); ++i)
        narrow(*lines[i].line, [&](const Line& state) {
            return alike(state, choice.sums[choice.taken][i], lines[i].words);
        });
    decided_sums_.push_back({std::max(range.begin, lines.front().line->number * kWordsPerLine),
                             std::min(range.end, (lines.back().line->number + 1) * kWordsPerLine)});
}

// The lines of a sum's range whose words in it are not all decided.
std::vector<LazySearch::SummedLine> LazySearch::summed_lines(const WordRange& range) {
    std::vector<SummedLine> lines;
    for (OpenLine* line :
         open_in(image_.bytes().data() + range.begin * 8, (range.end - range.begin) * 8)) {
        bound(*line);
        uint8_t words = 0;
        for (size_t word = 0; word < kWordsPerLine; ++word) {
            const uint64_t number = line->number * kWordsPerLine + word;
            if (range.begin <= number && number < range.end)
                words |= static_cast<uint8_t>(1u << word);
        }
        const Line& first = line->states[line->left.front()];
        const bool decided = std::ranges::all_of(
            line->left, [&](uint32_t state) { return alike(line->states[state], first, words); });
        if (!decided) lines.push_back({line, words});
    }
    return lines;
}

// What the lines held after each store to one of them, where they may still.
LazySearch::SumAlternatives LazySearch::after_each_store(
    const std::vector<SummedLine>& lines) const {
    std::set<uint64_t> moments;
    for (const auto& [line, words] : lines)
        for (const auto& [moment, value] : line->after) moments.insert(moment);
    SumAlternatives all;
    for (const uint64_t now : moments) {
        std::vector<Line> held;
        for (const auto& [line, words] : lines) {
            Line value = line->states.front();
            for (const auto& [moment, after] : line->after)
                if (moment <= now) value = after;
            if (may_be(*line, value, words)) held.push_back(only(value, words));
        }
        if (held.size() == lines.size()) all.push_back(std::move(held));
    }
    return all;
}

// All new, all old, all as after one store; then each line's representatives among new lines, and
// among old ones.
LazySearch::SumAlternatives LazySearch::sum_alternatives(
    const std::vector<SummedLine>& lines) const {
    std::vector<Line> newest, oldest;
    for (const auto& [line, words] : lines) {
        const bool new_one = may_be(*line, line->newest, words);
        newest.push_back(only(new_one ? line->newest : line->states[line->left.back()], words));
        oldest.push_back(only(line->states[line->left.front()], words));
    }
    SumAlternatives all = after_each_store(lines);
    all.insert(all.begin(), {newest, oldest});
    for (const auto& background : {newest, oldest})
        for (size_t i = 0; i < lines.size(); ++i)
            for (const Line& value : lines[i].line->representatives) {
                if (!may_be(*lines[i].line, value, lines[i].words)) continue;
                all.push_back(background);
                all.back()[i] = only(value, lines[i].words);
            }
    std::set<std::vector<Line>> seen;
    std::erase_if(all, [&](const auto& one) { return !seen.insert(one).second; });
    return all;
}

}  // namespace cinnabar::sim
