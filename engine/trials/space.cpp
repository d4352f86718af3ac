// Full logs, space that was promised, and records that are carried forward.
#include "trials/carried.hpp"
#include "trials/scenario_bodies.hpp"

namespace cinnabar::trials {

namespace {

// Nothing but that the log is full may end it.
std::string fill_up(Life& life, History& history) {
    for (const auto& [length, durability] :
         {std::pair(330, Durability::forced), std::pair(24, Durability::lazy)}) {
        auto lsn = life.append(history, "s", static_cast<size_t>(length), durability);
        while (lsn) lsn = life.append(history, "s", static_cast<size_t>(length), durability);
        if (lsn.error().code != Errc::full) return "append: " + lsn.error().message;
    }
    return "";
}

// After a crash in a full log: others take what they can get before the outcomes are promised
// their space again; these are written, and free the log.
std::string finish(Crashed& crashed, History& history, ServiceId keeper) {
    Life& life = crashed.life;
    if (std::string wrong = crashed.recover(); !wrong.empty()) return wrong;
    if (std::string wrong = deliver(life, history); !wrong.empty()) return wrong;
    if (std::string wrong = fill_up(life, history); !wrong.empty()) return wrong;
    auto core = life.engine().stream("s");
    auto again = StreamCoreBase::reserve(core, 300, 4, true);
    if (!again) return "reserve: " + again.error().message;
    for (int i = 0; i < 4; ++i)
        if (auto lsn = append_reserved(core, *again, 300); !lsn)
            return "outcome: " + lsn.error().message;
    if (auto done = life.release(history, keeper, Lsn{core->durable()}); !done)
        return "release: " + done.error().message;
    auto ordinary = life.append(history, "s", 300, Durability::forced);
    return ordinary ? "" : "append: " + ordinary.error().message;
}

}  // namespace

// What was reserved finds room after every crash, however full the log is (trap L4).
std::string full_log(Trial& trial) {
    OneStream setup(without_spares(trial), {.segments = 8, .seed = trial.seed}, true);
    const ServiceId keeper = setup.add_service();
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    auto outcome = StreamCoreBase::reserve(setup.life.engine().stream("s"), 300, 4, false);
    if (!outcome) return "reserve: " + outcome.error().message;
    Explorer explorer(trial, setup.life, [&](sim::Image& image) {
        Crashed crashed(setup.pool, image, setup.options);
        History past = setup.history;
        return finish(crashed, past, keeper);
    });
    if (std::string wrong = fill_up(setup.life, setup.history); !wrong.empty()) return wrong;
    explorer.look("the log is full");
    return explorer.failure;
}

// In a full log with promised space: a checkpoint, outcomes, and the mark that they allow.
std::string reserving(Trial& trial) {
    OneStream setup(without_spares(trial), {.segments = 8, .seed = trial.seed}, true);
    const ServiceId keeper = setup.add_service();
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    auto outcome = StreamCoreBase::reserve(setup.life.engine().stream("s"), 300, 2, false);
    if (!outcome) return "reserve: " + outcome.error().message;
    if (std::string wrong = fill_up(setup.life, setup.history); !wrong.empty()) return wrong;
    Explorer explorer(trial, setup.life, setup.prefix_check());
    const auto append = [&](const AppendOptions& options) {
        return setup.life.append(setup.history, "s", 300, options);
    };
    const AppendOptions as_checkpoint{.service = keeper, .checkpoint = true};
    auto checkpoint = append(as_checkpoint);
    if (!checkpoint) return "checkpoint: " + checkpoint.error().message;
    if (append(as_checkpoint)) return "a second checkpoint is taken from the reserve";
    for (int i = 0; i < 2; ++i)
        if (auto lsn = append({.reservation = &*outcome}); !lsn)
            return "outcome: " + lsn.error().message;
    if (auto done = setup.life.release(setup.history, keeper, *checkpoint); !done)
        return "release: " + done.error().message;
    if (auto lsn = append({}); !lsn) return "append: " + lsn.error().message;
    explorer.look("at the end");
    return explorer.failure;
}

// Crash between the copies and the mark, before, behind: each needed record is delivered once
// (trap L18).
std::string carrying_forward(Trial& trial) {
    OneStream setup(without_spares(trial), {.segments = 6, .seed = trial.seed});
    const ServiceId keeper = setup.add_service();
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    Carried carried(setup);
    Explorer explorer(trial, setup.life, carried.check());
    auto core = setup.life.engine().stream("s");
    for (int i = 0; core->appended() < 8 * kSpan && explorer.failure.empty(); ++i) {
        auto lsn =
            carried.append(60 + static_cast<size_t>(i * 37 % 150),
                           {.durability = i % 3 == 0 ? Durability::lazy : Durability::forced});
        if (!lsn) return "append: " + lsn.error().message;
        auto& undecided = carried.state.undecided;
        if (i % 10 == 5 && undecided.size() < 6) undecided[lsn->value] = *lsn;
        if (i % 6 != 5 || core->durable() < core->oldest_end()) continue;
        if (auto done = carried.carry_oldest(); !done) return "carry: " + done.error().message;
        explorer.look("copied and not released");
        if (auto done = carried.release_oldest(keeper); !done)
            return "release: " + done.error().message;
        explorer.look("released");
    }
    return explorer.failure;
}

}  // namespace cinnabar::trials
