// Pools of several streams, and streams of several services.
#include "trials/one_stream.hpp"
#include "trials/scenario_bodies.hpp"

namespace cinnabar::trials {

namespace {

// A one-writer stream and a shared one.
struct TwoStreams {
    TwoStreams(const Life::Options& given, SimPool::Options pool_options)
        : options(given),
          pool(pool_options),
          life((pool.add_stream("s", false), pool.add_stream("t", true), pool), options) {
        history["s"];
        history["t"];
    }

    Explorer::Check check() {
        return [this](auto& image) { return recover_and_compare(pool, image, history, options); };
    }

    Life::Options options;
    SimPool pool;
    Life life;
    History history;
};

// To each of them the next record. Mostly single lines, as in `reviving`.
Result<void> append_to_both(Life& life, History& history, int i, Durability durability) {
    for (const char* stream : {"s", "t"})
        if (auto lsn = life.append(history, stream, i % 5 == 4 ? 150 : 24, durability); !lsn)
            return fail(lsn.error());
    return {};
}

// Power loss, recovery, a record in each, power loss.
std::string revive_both(Trial& trial) {
    TwoStreams setup(without_spares(trial), {.segments = 6, .seed = trial.seed});
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    for (int i = 0; i < 6; ++i)
        if (!append_to_both(setup.life, setup.history, i,
                            i == 0 ? Durability::forced : Durability::lazy))
            return "append";
    Explorer explorer(trial, setup.life, [&](sim::Image& image) -> std::string {
        Crashed crashed(setup.pool, image, setup.options);
        if (std::string wrong = crashed.recover(); !wrong.empty()) return wrong;
        History past = setup.history;
        if (std::string wrong = deliver(crashed.life, past); !wrong.empty()) return wrong;
        Explorer again(trial, crashed.life, [&](auto& second) {
            return recover_and_compare(crashed.pool, second, past, setup.options);
        });
        if (!append_to_both(crashed.life, past, 0, Durability::forced)) return "append";
        again.look("second crash");
        return again.failure;
    });
    explorer.look("first crash");
    return explorer.failure;
}

// kill -9, recovery, power loss. Up to the segments' ends, as in `killing`.
std::string kill_both(Trial& trial) {
    TwoStreams setup(without_spares(trial), {.age = Age::zero, .seed = trial.seed});
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    for (const size_t length : {150, 150, 150, 150, 150, 150, 150, 90})
        for (const char* stream : {"s", "t"})
            if (!setup.life.append(setup.history, stream, length, Durability::lazy))
                return "append";
    setup.life.kill();
    Explorer explorer(trial, setup.life, setup.check());
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    for (const char* stream : {"s", "t"}) setup.life.note_durable(setup.history, stream);
    explorer.look("after recovery");
    return explorer.failure;
}

}  // namespace

std::string two_streams(Trial& trial) {
    const std::string wrong = kill_both(trial);
    return wrong.empty() ? revive_both(trial) : wrong;
}

// The one that has released least decides what is kept, whichever of them that is.
std::string two_services(Trial& trial) {
    OneStream setup(trial.life, {.segments = 3, .seed = trial.seed});
    const std::array services = {setup.add_service(), setup.add_service()};
    for (const ServiceId service : services) setup.history["s"].marks[service.value];
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    Explorer explorer(trial, setup.life, setup.prefix_check());
    const auto& appended = setup.history["s"].appended;
    for (size_t i = 0; i < 32 && explorer.failure.empty(); ++i) {
        auto lsn = setup.life.append(setup.history, "s", 20 + i * 67 % 180,
                                     i % 4 == 1 ? Durability::lazy : Durability::forced);
        if (!lsn) return "append: " + lsn.error().message;
        if (i % 3 != 2) continue;
        const Lsn to = appended[appended.size() - 3].lsn;
        auto released = setup.life.release(setup.history, services[i / 3 % 2], to);
        if (!released) return "release: " + released.error().message;
        explorer.look("after a release");
    }
    explorer.look("at the end");
    return explorer.failure;
}

}  // namespace cinnabar::trials
