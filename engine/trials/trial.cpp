#include "trials/trial.hpp"

#include <bit>
#include <utility>

#include "trials/crash_in_recovery.hpp"

namespace cinnabar::trials {

namespace {

// Close together at first, since a run may have few images.
bool is_power_of_four(uint64_t number) {
    return std::has_single_bit(number) && std::countr_zero(number) % 2 == 0;
}

}  // namespace

Trial::Trial(const Life::Options& options, uint64_t the_seed, const sim::ExploreOptions& the_levels)
    : life(options), seed(the_seed), levels(the_levels) {
    life.appends = &appends;
}

void Trial::see(uint64_t hash) {
    const bool is_new = seen.insert(hash).second;
    if (is_new && keep != nullptr) keep->push_back(hash);
}

Explorer::Explorer(Life& life, Check check, const sim::ExploreOptions& levels)
    : Explorer(nullptr, life, std::move(check), levels) {}

Explorer::Explorer(Trial& trial, Life& life, Check check)
    : Explorer(&trial, life, std::move(check), trial.levels) {}

Explorer::Explorer(Trial* trial, Life& life, Check check, const sim::ExploreOptions& levels)
    : trial_(trial),
      life_(life),
      check_(std::move(check)),
      levels_(levels),
      image_(life.medium().live().size()) {
    if (trial != nullptr) levels_.seed += 1'000'000 * trial->explorers++;
    life.medium().on_crash_point(
        [this](Site site) { look("crash at " + std::string(name_of(site))); });
}

Explorer::~Explorer() {
    life_.medium().on_crash_point(nullptr);
    if (trial_ != nullptr) trial_->explored.add(explored);
}

void Explorer::look(const std::string& where) {
    if (!failure.empty() || (trial_ != nullptr && !trial_->looking)) return;
    const CrashMedium& medium = life_.medium();
    ++levels_.seed;
    Place place;
    if (trial_ != nullptr) place.crash_point = ++trial_->crash_points;
    const Place outside = trial_ != nullptr ? *trial_->at : Place();
    explored.add(sim::explore(medium.live(), medium.pending(), image_, levels_, [&] {
        ++place.image;
        const std::string wrong = check_at(place, where);
        if (!wrong.empty()) failure = where + ": " + wrong;
        return wrong.empty();
    }));
    if (trial_ != nullptr && failure.empty()) look_earlier(place, where);
    if (trial_ != nullptr && failure.empty()) *trial_->at = outside;
    // Behind the images, which are to notice without it.
    if (failure.empty()) failure = medium.broken_rule();
}

// They are not counted, so that crash points and images have the numbers that they had without.
void Explorer::look_earlier(Place place, const std::string& where) {
    if (place.crash_point >= trial_->more_before) return;
    const sim::PendingLines& pending = life_.medium().pending();
    image_.begin(life_.medium().live(), pending);
    trial_->looking = false;
    trial_->show_more(pending, image_, [&] {
        ++place.image;
        *trial_->at = place;
        const std::string wrong = place == trial_->wanted
                                      ? trial_->found({where, life_, image_, check_})
                                      : check_(image_);
        image_.undo();  // what recovery has stored
        if (!wrong.empty()) failure = where + ": " + wrong;
        if (trial_->failed.empty()) trial_->failed = wrong;
        return wrong.empty();
    });
    trial_->looking = true;
}

// Where the check explores in its turn, and that fails, the trial stays at the image there.
std::string Explorer::check_at(const Place& place, const std::string& where) {
    if (trial_ == nullptr) return check_(image_);
    trial_->see(image_.hash());
    *trial_->at = place;
    const uint64_t number = ++trial_->images;
    const auto is_one_of = [&](uint64_t every) {
        const bool chosen = is_power_of_four(number) || number % every == every / 8;
        return chosen && !trial_->in_recovery && trial_->looking;
    };
    const bool twice = is_one_of(trial_->twice_every);
    const bool crash = is_one_of(trial_->crash_every);
    const Check check = [this, twice](sim::Image& image) {
        std::string wrong = check_(image);
        if (!wrong.empty() || !twice) return wrong;
        image.undo();
        return recover_twice(life_, image);
    };
    if (place == trial_->wanted) return trial_->found({where, life_, image_, check});
    const uint64_t explorers = trial_->explorers;
    std::string wrong = check(image_);
    // Where the check explores too, power fails inside the recovery of its images instead.
    const bool explores = trial_->explorers != explorers;
    if (wrong.empty() && crash && !explores) wrong = crash_inside();
    if (trial_->failed.empty()) trial_->failed = wrong;
    return wrong;
}

std::string Explorer::crash_inside() {
    image_.undo();
    trial_->in_recovery = true;
    std::string wrong = crash_in_recovery(*trial_, life_, image_, check_);
    trial_->in_recovery = false;
    return wrong;
}

}  // namespace cinnabar::trials
