// The process is killed, the next one goes on, and power fails.
#include "trials/scenario_bodies.hpp"

#include "trials/kill_points.hpp"
#include "trials/one_stream.hpp"

namespace cinnabar::trials {

namespace {

std::string verdict_of(const std::string& wrong, uint64_t kills, uint64_t kills_min) {
    if (!wrong.empty() || kills >= kills_min) return wrong;
    return std::string(kShowsNothing) + "killed " + std::to_string(kills) + " times only";
}

class KilledLife {
  public:
    // Wherever `work` is killed: open, append into what is free, and every crash point of that.
    template <class Work>
    KilledLife(Trial& trial, OneStream& setup, uint64_t stride, Work&& work)
        : trial_(trial), setup_(setup) {
        const KillPoints points(setup.life.medium(), stride, trial.seed, [this](const auto& kill) {
            ++kills_;
            if (!wrong_.empty()) return;
            go_on_after(kill);
            if (!wrong_.empty()) wrong_ = kill.where + ": " + wrong_;
        });
        work();
    }

    // What was wrong, also with so few kills that nothing is shown.
    std::string verdict(uint64_t kills_min) const { return verdict_of(wrong_, kills_, kills_min); }

  private:
    void go_on_after(const KillPoints::Kill& kill) {
        SimPool pool(setup_.pool, setup_.pool.bytes());
        Life life(pool, setup_.life);
        kill.put(life.medium(), pool.bytes());
        History history = setup_.history;
        Explorer explorer(trial_, life, [&](auto& image) {
            return recover_and_compare(pool, image, history, setup_.options);
        });
        wrong_ = recover(pool, life);
        if (wrong_.empty()) wrong_ = deliver(life, history);
        if (wrong_.empty()) wrong_ = append_some(life, history);
        if (!wrong_.empty()) return;
        explorer.look("at the end");
        wrong_ = explorer.failure;
    }

    static std::string append_some(Life& life, History& history) {
        for (int i = 0; i < 4; ++i) {
            auto lsn = life.append(history, "s", 700, Durability::forced);
            if (!lsn && lsn.error().code != Errc::full) return "append: " + lsn.error().message;
        }
        return "";
    }

    Trial& trial_;
    OneStream& setup_;
    uint64_t kills_ = 0;
    std::string wrong_;
};

// Power failed and left a hole and frames behind it; recovery is killed; the next life recovers and
// appends `fill` (a record into the hole, or up to the segment's end); power fails anywhere in
// that.
class KilledRecovery {
  public:
    KilledRecovery(Trial& trial, const Life::Options& options, int records)
        : trial_(trial),
          options_(options),
          pool_({.segments = 6, .seed = trial.seed}),
          first_((pool_.add_stream("s", false), pool_), options) {
        CNB_CHECK(first_.open().has_value());
        for (int i = 0; i < records; ++i)
            CNB_CHECK(first_
                          .append(history_, "s", i % 5 == 4 ? 150 : 24,
                                  i == 0 ? Durability::forced : Durability::lazy)
                          .has_value());
    }

    // One image of `stride`: after each kill there are thousands of the next life's. A stride that
    // kStores does not divide, so that it is not always the same stores that are cut short.
    template <class Fill>
    void run(uint64_t stride, Fill&& fill) {
        uint64_t turn = 0;
        // Not the trial's: most of these images are passed over.
        Explorer explorer(
            first_,
            [&](sim::Image& image) {
                if (turn++ % stride == 0) kill_recovery(image, turn, fill);
                return wrong_;
            },
            trial_.levels);
        explorer.look("power loss");
    }

    // What was wrong, also with so few kills that nothing is shown.
    std::string verdict(uint64_t kills_min) const { return verdict_of(wrong_, kills_, kills_min); }

  private:
    static constexpr uint64_t kStores = 5;  // one of them is cut short

    template <class Fill>
    void kill_recovery(const sim::Image& image, uint64_t turn, Fill& fill) {
        SimPool pool(pool_, image.image());
        Life second(pool, options_);
        const KillPoints points(second.medium(), kStores, turn, [&](const auto& kill) {
            ++kills_;
            if (!wrong_.empty()) return;
            go_on_after(kill, pool, second, fill);
            if (!wrong_.empty()) wrong_ = kill.where + ": " + wrong_;
        });
        if (std::string failed = recover(pool, second); !failed.empty()) wrong_ = failed;
        if (wrong_.empty()) wrong_ = compare(second, history_);
    }

    template <class Fill>
    void go_on_after(const KillPoints::Kill& kill, SimPool& killed, const Life& second,
                     Fill& fill) {
        SimPool pool(killed, killed.bytes());
        Life third(pool, second);
        kill.put(third.medium(), pool.bytes());
        History past = history_;
        Explorer explorer(trial_, third, [&](auto& image) {
            return recover_and_compare(pool, image, past, options_);
        });
        wrong_ = recover(pool, third);
        if (wrong_.empty()) wrong_ = deliver(third, past);
        if (!wrong_.empty()) return;
        fill(third, past);
        explorer.look("at the end");
        wrong_ = explorer.failure;
    }

    Trial& trial_;
    const Life::Options options_;
    SimPool pool_;
    Life first_;
    History history_;
    uint64_t kills_ = 0;
    std::string wrong_;
};

}  // namespace

// kill -9, recovery, use, power loss (trap L1).
std::string killing(Trial& trial) {
    // No later fence of recovery's own covers for a missing one.
    Life::Options options = without_spares(trial);
    SimPool pool({.age = Age::zero, .seed = trial.seed});
    pool.add_stream("s", false);
    Life life(pool, options);
    History history;
    if (auto opened = life.open(); !opened) return opened.error().message;
    // Up to the segment's end: no tail is left to erase, whose fence would cover as well.
    for (const size_t length : {150, 150, 150, 150, 150, 150, 150, 90})
        if (!life.append(history, "s", length,
                         history["s"].appended.empty() ? Durability::forced : Durability::lazy))
            return "append";
    CNB_CHECK(life.engine().stream("s")->appended() == kSpan);
    life.kill();
    Explorer explorer(trial, life, [&](auto& image) {
        return recover_and_compare(pool, image, history, options);
    });
    if (auto opened = life.open(); !opened) return opened.error().message;
    life.note_durable(history, "s");
    explorer.look("after recovery");
    return explorer.failure;
}

// Killed at each crash point of opening and appending; the next life goes on until power fails.
std::string killed_appending(Trial& trial) {
    Life::Options options = without_spares(trial);
    OneStream setup(options, {.segment_bytes = 4096, .segments = 6, .seed = trial.seed});
    std::string wrong;
    KilledLife killed(trial, setup, 3, [&] {
        if (!setup.life.open()) wrong = "open";
        for (int i = 0; i < 6 && wrong.empty(); ++i)
            if (!setup.life.append(setup.history, "s", 700,
                                   i % 3 == 0 ? Durability::forced : Durability::lazy))
                wrong = "append";
    });
    return wrong.empty() ? killed.verdict(10) : wrong;
}

// Killed while spares are prepared; in stale space recovery accepts all headers before.
std::string killed_opening(Trial& trial) {
    Life::Options options = trial.life;
    options.spares = 2;
    for (const Age age : {Age::zero, Age::stale}) {
        OneStream setup(options,
                        {.segment_bytes = 4096, .segments = 3, .age = age, .seed = trial.seed});
        std::string wrong;
        KilledLife killed(trial, setup, 2, [&] {
            if (auto opened = setup.life.open(); !opened) wrong = opened.error().message;
        });
        if (wrong.empty()) wrong = killed.verdict(10);
        if (!wrong.empty()) return wrong;
    }
    return "";
}

// Killed while the lower of two marks is raised in a full log; the next life takes the space below
// it.
std::string killed_releasing(Trial& trial) {
    Life::Options options = without_spares(trial);
    OneStream setup(options, {.segment_bytes = 4096, .segments = 4, .seed = trial.seed});
    const ServiceId first = setup.add_service(), keeper = setup.add_service();
    setup.history["s"].marks[keeper.value];
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    auto lsn = setup.life.append(setup.history, "s", 700, Durability::forced);
    while (lsn) lsn = setup.life.append(setup.history, "s", 700, Durability::forced);
    if (lsn.error().code != Errc::full) return "append: " + lsn.error().message;
    const auto& appended = setup.history["s"].appended;
    const Lsn to = appended[appended.size() - 2].lsn;
    if (auto released = setup.life.release(setup.history, first, to); !released)
        return "release: " + released.error().message;
    std::string wrong;
    KilledLife killed(trial, setup, 1, [&] {
        if (auto released = setup.life.release(setup.history, keeper, to); !released)
            wrong = released.error().message;
    });
    return wrong.empty() ? killed.verdict(3) : wrong;
}

// Power fails, recovery is killed while it erases; the next life appends into the hole.
std::string killed_erasing(Trial& trial) {
    Life::Options options = without_spares(trial);
    options.forced_cached = true;
    KilledRecovery killed(trial, options, 14);
    killed.run(151, [](Life& life, History& past) {
        CNB_CHECK(life.append(past, "s", 24, Durability::forced).has_value());
    });
    return killed.verdict(5);
}

// ... while it ends the lives of segments; the next life fills the one before them.
std::string killed_renewing(Trial& trial) {
    Life::Options options = without_spares(trial);
    options.forced_cached = true;
    KilledRecovery killed(trial, options, 26);
    killed.run(401, [](Life& life, History& past) {
        const auto core = life.engine().stream("s");
        while (core->appended() % kSpan != 0)  // one line each
            CNB_CHECK(life.append(past, "s", 24, Durability::forced).has_value());
    });
    return killed.verdict(5);
}

}  // namespace cinnabar::trials
