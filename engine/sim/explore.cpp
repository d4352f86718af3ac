#include "sim/explore.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <unordered_set>
#include <utility>
#include <vector>

#include "sim/pair_cover.hpp"

namespace cinnabar::sim {

namespace {

double log10_of_sum(double a_log10, double b_log10) {
    const double greater = std::max(a_log10, b_log10);
    return greater + std::log10(1 + std::pow(10, std::min(a_log10, b_log10) - greater));
}

// One run through the levels.
class Levels {
  public:
    Levels(std::span<const std::byte> live, const PendingLines& pending, Image& image,
           const ExploreOptions& options, const std::function<bool()>& visit)
        : pending_(pending), image_(image), options_(options), visit_(visit) {
        image.begin(live, pending);
    }

    Explored run() {
        explored_.crash_points = 1;
        explored_.states_log10 = states_log10(pending_);
        for (const auto& [line, stores] : pending_)
            representatives_.push_back(
                {line, stores.durable, stores.newest(), stores.representatives()});
        for (const auto& [level, show_images] : {std::pair(Level::boundary, &Levels::boundary),
                                                 std::pair(Level::one_line, &Levels::one_line),
                                                 std::pair(Level::two_lines, &Levels::two_lines),
                                                 std::pair(Level::random, &Levels::drawn)}) {
            level_ = &explored_.levels[static_cast<size_t>(level)];
            (this->*show_images)();
            if (explored_.stopped) break;
        }
        return explored_;
    }

  private:
    struct Choices {
        uint64_t line;
        Line oldest;
        Line newest;
        std::vector<Line> all;
    };

    // False when the level is to end: its budget is used up, or the visitor wants no more.
    bool show() {
        const auto [place, is_new] = seen_.insert(image_.hash());
        if (!is_new) {
            ++explored_.repeated;
            return true;
        }
        if (level_->shown == options_.level_images_max) {
            seen_.erase(place);  // a level to come may have room for it
            cut_short();
            return false;
        }
        ++level_->shown;
        ++explored_.images;
        explored_.sum += image_.hash();
        explored_.stopped = !visit_();
        image_.undo();
        return !explored_.stopped;
    }

    void cut_short() {
        level_->cut_short = 1;
        explored_.cut_short = 1;
    }

    const Line& background(const Choices& choices, bool newest) const {
        return newest ? choices.newest : choices.oldest;
    }

    void put_background(bool newest) {
        for (const Choices& choices : representatives_)
            image_.put(choices.line, background(choices, newest));
    }

    bool boundary() {
        struct Store {
            uint64_t line;
            const Unit* unit;
        };
        std::vector<Store> stores;
        for (const auto& [line, pending] : pending_)
            for (const Unit& unit : pending.units) stores.push_back({line, &unit});
        std::ranges::sort(stores, {}, [](const Store& store) { return store.unit->sequence; });
        if (!show()) return false;
        for (const Store& store : stores) {
            Line value = image_.line(store.line);
            store.unit->apply_to(value);
            image_.put(store.line, value);
            if (!show()) return false;
        }
        return true;
    }

    bool one_line() { return single_lines(false) && single_lines(true); }

    bool single_lines(bool newest) {
        put_background(newest);
        for (const Choices& choices : representatives_) {
            for (const Line& value : choices.all) {
                image_.put(choices.line, value);
                if (!show()) return false;
            }
            image_.put(choices.line, background(choices, newest));
        }
        return true;
    }

    bool two_lines() { return pairs(false) && pairs(true) && covered_pairs(); }

    bool pairs(bool newest) {
        if (representatives_.size() > options_.pair_lines_max) return true;
        put_background(newest);
        for (auto one = representatives_.begin(); one != representatives_.end(); ++one)
            for (auto two = std::next(one); two != representatives_.end(); ++two)
                if (!pair(*one, *two, newest)) return false;
        return true;
    }

    bool pair(const Choices& one, const Choices& two, bool newest) {
        for (const Line& first : one.all) {
            image_.put(one.line, first);
            for (const Line& second : two.all) {
                image_.put(two.line, second);
                if (!show()) return false;
            }
        }
        image_.put(one.line, background(one, newest));
        image_.put(two.line, background(two, newest));
        return true;
    }

    bool covered_pairs() {
        if (!options_.cover_pairs || representatives_.size() <= options_.pair_lines_max)
            return true;
        std::vector<const Choices*> lines;  // a line with one content adds no pair
        std::vector<size_t> values;
        for (const Choices& choices : representatives_) {
            if (choices.all.size() == 1) continue;
            lines.push_back(&choices);
            values.push_back(choices.all.size());
        }
        if (PairCover::pairs(values) > kCoveredPairsMax) {
            cut_short();
            return true;
        }
        PairCover cover(std::move(values), options_.seed);
        for (auto row = cover.next(); row; row = cover.next()) {
            for (size_t at = 0; at < row->size(); ++at)
                image_.put(lines[at]->line, lines[at]->all[(*row)[at]]);
            if (!show()) return false;
        }
        return true;
    }

    bool drawn() {
        if (options_.random_images == 0) return true;
        std::mt19937_64 random(options_.seed);
        std::vector<std::vector<Line>> states;
        for (const auto& [line, stores] : pending_) states.push_back(stores.states());
        for (uint64_t i = 0; i < options_.random_images; ++i) {
            for (size_t at = 0; at < states.size(); ++at)
                image_.put(representatives_[at].line, states[at][random() % states[at].size()]);
            if (!show()) return false;
        }
        return true;
    }

    const PendingLines& pending_;
    Image& image_;
    const ExploreOptions options_;
    const std::function<bool()>& visit_;
    std::vector<Choices> representatives_;
    std::unordered_set<uint64_t> seen_;
    Explored explored_;
    LevelImages* level_ = nullptr;
};

}  // namespace

double Explored::not_tried_log10() const {
    if (crash_points == 0) return 0;
    if (states_log10 > 15) return states_log10;  // the images shown are below a double's grain
    const double allowed =
        std::round(std::pow(10, states_log10)) - static_cast<double>(crash_points);
    return std::log10(1 + std::max(0.0, allowed - static_cast<double>(images)));
}

void Explored::add(const Explored& other) {
    if (other.crash_points == 0) return;
    states_log10 =
        crash_points == 0 ? other.states_log10 : log10_of_sum(states_log10, other.states_log10);
    crash_points += other.crash_points;
    images += other.images;
    repeated += other.repeated;
    cut_short += other.cut_short;
    for (size_t level = 0; level < kLevels; ++level) {
        levels[level].shown += other.levels[level].shown;
        levels[level].cut_short += other.levels[level].cut_short;
    }
    sum += other.sum;
    stopped = stopped || other.stopped;
}

double states_log10(const PendingLines& pending) {
    double log10 = 0;
    for (const auto& [line, stores] : pending) log10 += std::log10(stores.state_count());
    return log10_of_sum(log10, 0);
}

Explored explore(std::span<const std::byte> live, const PendingLines& pending, Image& image,
                 const ExploreOptions& options, const std::function<bool()>& visit) {
    return Levels(live, pending, image, options, visit).run();
}

}  // namespace cinnabar::sim
