// One run of something that is crashed: with what, and what came of it. An Explorer looks at the
// images of the crash points of one life, and counts them in the trial.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "sim/explore.hpp"
#include "trials/oracle.hpp"
#include "trials/place.hpp"

namespace cinnabar::trials {

// An image of a crash, where it stands to be checked.
struct Crash {
    const std::string& where;
    Life& life;
    sim::Image& image;
    const std::function<std::string(sim::Image&)>& check;
};

// With this begins what a scenario says that came to nothing it could look at: not a failure of the
// engine's, and no success.
inline constexpr std::string_view kShowsNothing = "shows nothing: ";

struct Trial {
    Trial(const Life::Options& options, uint64_t the_seed, const sim::ExploreOptions& the_levels);
    Trial(const Trial&) = delete;
    Trial& operator=(const Trial&) = delete;

    // Called for each image that is shown.
    void see(uint64_t hash);

    Life::Options life;
    const uint64_t seed;  // of the pool's old bytes, of lengths, and of how threads take turns
    const sim::ExploreOptions levels;

    sim::Explored explored = {};             // by all explorers
    std::unordered_set<uint64_t> seen = {};  // hashes of all images that were shown
    std::vector<uint64_t>* keep = nullptr;   // each of them goes there as well, once
    uint64_t appends = 0;                    // asked for, but for those in a life after a crash
    uint64_t explorers = 0;

    // Of so many images one is recovered twice, and power fails inside the recovery of one; and of
    // the first ones, at growing distances. (Inside of one whose check explores it does not.)
    uint64_t twice_every = 64;
    uint64_t crash_every = 4096;
    uint64_t images = 0;
    bool in_recovery = false;

    // The image that is checked, or that failed; none outside of images. In memory that is shared
    // whoever started this process knows it also where it dies.
    Place own_place = {};
    Place* at = &own_place;
    std::string failed = {};  // what was wrong with it
    uint64_t crash_points = 0;
    // An image that is looked for: this is called instead of its check.
    Place wanted = {};
    std::function<std::string(const Crash&)> found = {};
    bool looking = true;  // false: explorers show nothing
    // After the images of a crash point before that one, these too. What is checked there explores
    // no further.
    uint64_t more_before = 0;
    using Show = std::function<void(const sim::PendingLines& pending, sim::Image& image,
                                    const std::function<bool()>& visit)>;
    Show show_more = {};
};

// Checks every image of every crash point of a life, from now on.
class Explorer {
  public:
    using Check = std::function<std::string(sim::Image&)>;

    Explorer(Life& life, Check check, const sim::ExploreOptions& levels = {});
    Explorer(Trial& trial, Life& life, Check check);
    Explorer(const Explorer&) = delete;
    Explorer& operator=(const Explorer&) = delete;
    ~Explorer();

    // Also where no fence is due, for example at the end.
    void look(const std::string& where);

    sim::Explored explored;
    std::string failure;

  private:
    Explorer(Trial* trial, Life& life, Check check, const sim::ExploreOptions& levels);
    void look_earlier(Place place, const std::string& where);
    std::string check_at(const Place& place, const std::string& where);
    std::string crash_inside();

    Trial* trial_;
    Life& life_;
    Check check_;
    sim::ExploreOptions levels_;  // with another seed at each crash point
    sim::Image image_;
};

}  // namespace cinnabar::trials
