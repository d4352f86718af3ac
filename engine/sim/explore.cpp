#include "sim/explore.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <unordered_set>
#include <utility>
#include <vector>

#include "sim/pair_cover.hpp"
#include "sim/sample.hpp"

namespace cinnabar::sim {

namespace {

double log10_of_sum(double a_log10, double b_log10) {
    const double greater = std::max(a_log10, b_log10);
    return greater + std::log10(1 + std::pow(10, std::min(a_log10, b_log10) - greater));
}

uint64_t stores_in(const PendingLines& pending) {
    uint64_t stores = 0;
    for (const auto& [line, of_line] : pending) stores += of_line.units.size();
    return stores;
}

// Of lines with so many contents each; with two backgrounds where there are others beside them.
LevelCounts counts_of(const std::vector<size_t>& contents, uint64_t stores,
                      const ExploreOptions& options) {
    const size_t lines = contents.size();
    const uint64_t pairs = PairCover::pairs(contents);
    LevelCounts counts = {stores + 1, 0, 0, options.random_images};
    for (const size_t count : contents)
        counts[static_cast<size_t>(Level::one_line)] += (count - 1) * (lines > 1 ? 2 : 1);
    uint64_t& of_two = counts[static_cast<size_t>(Level::two_lines)];
    if (lines <= options.pair_lines_max)
        of_two = pairs * (lines > 2 ? 2 : 1);
    else if (options.cover_pairs && pairs <= kCoveredPairsMax)
        of_two = PairCover::rows(contents);
    return counts;
}

// One run through the levels.
class Levels {
  public:
    Levels(std::span<const std::byte> live, const PendingLines& pending, Image& image,
           const ExploreOptions& options, const std::function<bool()>& visit)
        : pending_(pending), image_(image), options_(options), visit_(visit) {
        image.begin(live, pending);
        for (const auto& [number, stores] : pending) {
            std::vector<Line> all = stores.representatives();
            if (all.size() == 1) continue;
            contents_.push_back(all.size());
            lines_.push_back({number, stores.durable, stores.newest(), std::move(all)});
        }
        counts_ = counts_of(contents_, stores_in(pending), options);
    }

    Explored run() {
        explored_.crash_points = 1;
        explored_.states_log10 = states_log10(pending_);
        for (const auto& [level, show_images] : {std::pair(Level::boundary, &Levels::boundary),
                                                 std::pair(Level::one_line, &Levels::one_line),
                                                 std::pair(Level::two_lines, &Levels::two_lines),
                                                 std::pair(Level::random, &Levels::drawn)}) {
            level_ = level;
            (this->*show_images)();
            if (explored_.stopped) break;
        }
        return explored_;
    }

  private:
    struct OpenLine {
        uint64_t number;
        Line oldest;
        Line newest;
        std::vector<Line> all;

        const Line& background(bool is_new) const { return is_new ? newest : oldest; }
    };

    LevelImages& images() { return explored_.levels[static_cast<size_t>(level_)]; }
    uint64_t images_max() const { return options_.images_max[static_cast<size_t>(level_)]; }

    // Of the images that the level has, but for so many that are taken in any case.
    Sample sample(uint64_t taken = 0) {
        const uint64_t count = counts_[static_cast<size_t>(level_)];
        if (count > images_max()) cut_short();
        return {count - std::min(count, taken), images_max() - std::min(images_max(), taken),
                random_};
    }

    void cut_short() {
        images().cut_short = 1;
        explored_.cut_short = 1;
    }

    // False when the visitor wants no more.
    bool show() {
        if (!seen_.insert(image_.hash()).second) {
            ++explored_.repeated;
            return true;
        }
        ++images().shown;
        ++explored_.images;
        explored_.sum += image_.hash();
        explored_.stopped = !visit_();
        image_.undo();
        return !explored_.stopped;
    }

    void put_background(bool is_new) {
        for (const OpenLine& line : lines_) image_.put(line.number, line.background(is_new));
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
        if (images_max() > 0 && !show()) return false;
        Sample between = sample(2);
        for (size_t at = 0; at < stores.size(); ++at) {
            const Store& store = stores[at];
            Line value = image_.line(store.line);
            store.unit->apply_to(value);
            image_.put(store.line, value);
            const bool is_last = at + 1 == stores.size();
            if ((is_last ? images_max() > 1 : between.takes_next()) && !show()) return false;
        }
        return true;
    }

    bool one_line() {
        Sample sample = this->sample();
        return single_lines(false, sample) && (lines_.size() == 1 || single_lines(true, sample));
    }

    bool single_lines(bool is_new, Sample& sample) {
        put_background(is_new);
        for (const OpenLine& line : lines_) {
            for (const Line& value : line.all) {
                if (value == line.background(is_new) || !sample.takes_next()) continue;
                image_.put(line.number, value);
                if (!show()) return false;
            }
            image_.put(line.number, line.background(is_new));
        }
        return true;
    }

    bool two_lines() {
        if (lines_.size() > options_.pair_lines_max) return !options_.cover_pairs || rows();
        Sample sample = this->sample();
        return pairs(false, sample) && (lines_.size() == 2 || pairs(true, sample));
    }

    bool pairs(bool is_new, Sample& sample) {
        put_background(is_new);
        for (auto one = lines_.begin(); one != lines_.end(); ++one)
            for (auto two = std::next(one); two != lines_.end(); ++two)
                if (!pair(*one, *two, is_new, sample)) return false;
        return true;
    }

    bool pair(const OpenLine& one, const OpenLine& two, bool is_new, Sample& sample) {
        for (const Line& first : one.all) {
            for (const Line& second : two.all) {
                if (!sample.takes_next()) continue;
                image_.put(one.number, first);
                image_.put(two.number, second);
                if (!show()) return false;
            }
        }
        image_.put(one.number, one.background(is_new));
        image_.put(two.number, two.background(is_new));
        return true;
    }

    bool rows() {
        if (PairCover::pairs(contents_) > kCoveredPairsMax) {
            cut_short();
            return true;
        }
        PairCover cover(contents_, options_.seed);
        for (auto row = cover.next(); row; row = cover.next()) {
            if (images().shown == images_max()) {
                cut_short();
                return true;
            }
            for (size_t at = 0; at < row->size(); ++at)
                image_.put(lines_[at].number, lines_[at].all[(*row)[at]]);
            if (!show()) return false;
        }
        return true;
    }

    bool drawn() {
        if (options_.random_images > images_max()) cut_short();
        std::mt19937_64 random(options_.seed);
        for (uint64_t i = 0; i < std::min(options_.random_images, images_max()); ++i) {
            for (const auto& [line, stores] : pending_) image_.put(line, stores.drawn(random));
            if (!show()) return false;
        }
        return true;
    }

    const PendingLines& pending_;
    Image& image_;
    const ExploreOptions options_;
    const std::function<bool()>& visit_;
    std::vector<OpenLine> lines_;   // with more than one content: others differ in no image
    std::vector<size_t> contents_;  // how many each of them has
    LevelCounts counts_ = {};
    std::mt19937_64 random_{options_.seed};
    std::unordered_set<uint64_t> seen_;
    Explored explored_;
    Level level_ = Level::boundary;
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

LevelCounts images_at_most(const PendingLines& pending, const ExploreOptions& options) {
    std::vector<size_t> contents;
    for (const auto& [line, stores] : pending) contents.push_back(stores.representatives().size());
    std::erase(contents, size_t{1});
    return counts_of(contents, stores_in(pending), options);
}

Explored explore(std::span<const std::byte> live, const PendingLines& pending, Image& image,
                 const ExploreOptions& options, const std::function<bool()>& visit) {
    return Levels(live, pending, image, options, visit).run();
}

}  // namespace cinnabar::sim
