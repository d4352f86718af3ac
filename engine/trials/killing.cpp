// The process is killed, the next one goes on, and power fails.
#include "trials/scenario_bodies.hpp"

#include "trials/killed.hpp"

namespace cinnabar::trials {

// kill -9, recovery, use, power loss (trap L1).
std::string killing(Trial& trial) {
    Life::Options options = trial.life;
    options.spares = 0;  // no later fence of recovery's own covers for a missing one
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
    if (auto opened = life.open(); !opened) return opened.error().message;
    life.note_durable(history, "s");
    Explorer explorer(trial, life, [&](auto& image) {
        return recover_and_compare(pool, image, history, options);
    });
    explorer.look("after recovery");
    return explorer.failure;
}

// Killed at each crash point of opening and appending; the next life goes on until power fails.
std::string killed_appending(Trial& trial) {
    Life::Options options = trial.life;
    options.spares = 0;
    OneStream setup(options, {.segment_bytes = 4096, .segments = 6, .seed = trial.seed});
    std::string wrong;
    KilledLife killed(trial, setup, 1, [&] {
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
        KilledLife killed(trial, setup, 1, [&] {
            if (auto opened = setup.life.open(); !opened) wrong = opened.error().message;
        });
        if (wrong.empty()) wrong = killed.verdict(10);
        if (!wrong.empty()) return wrong;
    }
    return "";
}

// Killed while a mark is raised in a full log; the next life takes the space below it.
std::string killed_releasing(Trial& trial) {
    Life::Options options = trial.life;
    options.spares = 0;
    OneStream setup(options, {.segment_bytes = 4096, .segments = 4, .seed = trial.seed});
    const ServiceId keeper = setup.add_service();
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    auto lsn = setup.life.append(setup.history, "s", 700, Durability::forced);
    while (lsn) lsn = setup.life.append(setup.history, "s", 700, Durability::forced);
    if (lsn.error().code != Errc::full) return "append: " + lsn.error().message;
    const auto& appended = setup.history["s"].appended;
    const Lsn to = appended[appended.size() - 2].lsn;
    std::string wrong;
    KilledLife killed(trial, setup, 1, [&] {
        if (auto released = setup.life.release(setup.history, keeper, to); !released)
            wrong = released.error().message;
    });
    return wrong.empty() ? killed.verdict(3) : wrong;
}

// Power fails, recovery is killed while it erases; the next life appends into the hole.
std::string killed_erasing(Trial& trial) {
    Life::Options options = trial.life;
    options.spares = 0;
    options.forced_cached = true;
    KilledRecovery killed(trial, options, 14);
    killed.run(3, [](Life& life, History& past) {
        CNB_CHECK(life.append(past, "s", 24, Durability::forced).has_value());
    });
    return killed.verdict(500);
}

// ... while it ends the lives of segments; the next life fills the one before them.
std::string killed_renewing(Trial& trial) {
    Life::Options options = trial.life;
    options.spares = 0;
    options.forced_cached = true;
    KilledRecovery killed(trial, options, 26);
    killed.run(5, [](Life& life, History& past) {
        const auto core = life.engine().stream("s");
        while (core->appended() % kSpan != 0)  // one line each
            CNB_CHECK(life.append(past, "s", 24, Durability::forced).has_value());
    });
    return killed.verdict(500);
}

}  // namespace cinnabar::trials
