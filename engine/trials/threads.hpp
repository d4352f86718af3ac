// Several simulated threads that append to one stream, in an order that a seed decides, and an
// accident amidst them.
#pragma once

#include <memory>

#include "trials/kill_points.hpp"
#include "trials/thread_history.hpp"
#include "trials/trial.hpp"

namespace cinnabar::trials {

class ThreadRun {
  public:
    enum class End : uint8_t {
        none,              // it is only looked at what is published
        power_loss,        // at every crash point
        power_loss_twice,  // and again in the life after some of the images
        kill,              // anywhere; the next life goes on, and power fails in it
    };
    struct Options {
        uint64_t seed = 1;
        size_t threads = 2;
        int records = 5;  // of each thread
        uint32_t lazy_of_8 = 3;
        size_t length_max = 307;
        End end = End::power_loss;
        bool force_apart = false;  // append lazily, then force what is to be durable
        SimPool::Options pool = {.segments = 5};
    };

    ThreadRun(Trial& trial, const Options& options)
        : trial_(trial),
          options_(options),
          pool_(options.pool),
          life_((pool_.add_stream("s", true), pool_), trial.life),
          history_(options.threads, options.length_max) {}

    // Runs to the end; returns what was wrong, or nothing.
    std::string run();

  private:
    void run_interleaved();
    void append_all(size_t thread);
    std::string check_published() const;
    std::string check(sim::Image& image);
    std::string crash_again(sim::Image& image);
    std::string go_on_after(const KillPoints::Kill& kill);
    std::string lose_power_in(SimPool& crashed, Life& next);

    static constexpr uint64_t kImages = 61;  // of so many, power fails again after one
    static constexpr uint64_t kStores = 3;   // one of so many is cut short by a kill

    Trial& trial_;
    const Options options_;
    SimPool pool_;
    Life life_;
    ThreadHistory history_;
    std::shared_ptr<StreamCoreBase> core_;
    uint64_t images_ = 0;
    std::string wrong_;
};

}  // namespace cinnabar::trials
