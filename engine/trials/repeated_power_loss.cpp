// Power fails again: in recovery, after it, on another medium.
#include "trials/scenario_bodies.hpp"

#include "trials/crash_in_recovery.hpp"
#include "trials/one_stream.hpp"

namespace cinnabar::trials {

// Power loss, recovery, use, power loss (trap L6).
std::string reviving(Trial& trial) {
    Life::Options options = without_spares(trial);
    SimPool pool({.segments = 6, .seed = trial.seed});
    pool.add_stream("s", false);
    Life life(pool, options);
    History history;
    if (auto opened = life.open(); !opened) return opened.error().message;
    for (int i = 0; i < 14; ++i)
        // Mostly single lines: the frame that fills the hole then ends where a dead one begins.
        if (!life.append(history, "s", i % 5 == 4 ? 150 : 24,
                         i == 0 ? Durability::forced : Durability::lazy))
            return "append";
    uint64_t images = 0;
    Explorer explorer(trial, life, [&](sim::Image& image) -> std::string {
        Crashed crashed(pool, image, options);
        if (std::string wrong = crashed.recover(); !wrong.empty()) return wrong;
        History past = history;
        if (std::string wrong = deliver(crashed.life, past); !wrong.empty()) return wrong;
        Explorer again(trial, crashed.life, [&](auto& second) {
            return recover_and_compare(crashed.pool, second, past, options);
        });
        // Half of them are such as were cut: the first word is then the same.
        const auto durability = ++images % 2 == 0 ? Durability::forced : Durability::lazy;
        if (!crashed.life.append(past, "s", 24, durability)) return "append";
        again.look("second crash");
        return again.failure;
    });
    explorer.look("first crash");
    return explorer.failure;
}

// Power fails inside the preparation of a segment, and again in the next one of it (trap L7).
std::string preparing_twice(Trial& trial) {
    Life::Options options = trial.life;
    options.spares = 1;
    History empty;
    empty["s"];
    for (const Age age : {Age::zero, Age::stale}) {
        SimPool pool({.age = age, .seed = trial.seed});
        pool.add_stream("s", false);
        Life first(pool, options);
        Explorer explorer(trial, first, [&](sim::Image& image) {
            Crashed torn(pool, image, options);
            Life& second = torn.life;
            Explorer again(trial, second, [&](auto& both) {
                return recover_and_compare(torn.pool, both, empty, options);
            });
            if (std::string wrong = torn.recover(); !wrong.empty()) return wrong;
            again.look("at the end");
            return again.failure;
        });
        if (auto opened = first.open(); !opened) return "open: " + opened.error().message;
        if (!explorer.failure.empty()) return explorer.failure;
    }
    return "";
}

// Recovery itself loses power, while it erases a tail and ends the lives of segments behind it.
std::string recovering(Trial& trial) {
    Life::Options options = without_spares(trial);
    SimPool pool({.segments = 8, .seed = trial.seed});
    pool.add_stream("s", false);
    Life first(pool, options);
    if (auto opened = first.open(); !opened) return opened.error().message;
    History history;
    if (!first.append(history, "s", 24, Durability::forced)) return "append";
    while (first.engine().stream("s")->appended() < 4 * kSpan + 200)
        if (!first.append(history, "s", 200, Durability::lazy)) return "append";
    SimPool cut(pool, first.medium().durable_image());
    History past = history;
    uint32_t renewed = 0;
    {
        SimPool copy(cut, cut.bytes());
        Life look(copy, options);
        if (std::string wrong = recover(copy, look); !wrong.empty()) return wrong;
        if (std::string lost = deliver(look, past); !lost.empty()) return lost;
        renewed = look.report().streams[0].segments_renewed;
    }
    Life crashed(cut, options);
    sim::Image image(cut.bytes().size());
    image.begin(cut.bytes(), crashed.medium().pending());
    std::string wrong = crash_in_recovery(trial, crashed, image, [&](auto& both) {
        return recover_and_compare(cut, both, past, options);
    });
    if (!wrong.empty()) return wrong;
    // Elsewhere the fence that attaches a segment makes all before it durable.
    const bool many = trial.life.domain == Domain::cache_line;
    return many && renewed < 3 ? std::string(kShowsNothing) + "no life is behind the cut" : "";
}

// A life on a medium whose caches survive, or which was called so; the next one on one whose caches
// do not. All that the first one stored and testified stands in them.
std::string on_a_weaker_medium(Trial& trial) {
    Life::Options options = without_spares(trial);
    SimPool first({.seed = trial.seed});
    first.add_stream("s", false);
    format::MediumRow row;
    row.emulated = 1;
    row.sum = format::row_sum(first.space().id, row);
    first.space().catalogue->medium = row;
    SimPool second(first, first.bytes());
    History history;
    {
        Life life(first, {.domain = Domain::byte, .spares = 0});
        if (auto opened = life.open(); !opened) return opened.error().message;
        for (int i = 0; i < 12; ++i)
            if (!life.append(history, "s", 200, Durability::forced)) return "append";
    }
    Life life(second, options);
    for (size_t at = 0; at < first.bytes().size(); at += format::kLineBytes)
        if (std::memcmp(&first.bytes()[at], &second.bytes()[at], format::kLineBytes) != 0)
            life.medium().copy(Site::none, &second.bytes()[at], &first.bytes()[at],
                               format::kLineBytes);
    if (auto opened = life.open(); !opened) return opened.error().message;
    life.note_durable(history, "s");
    Explorer explorer(trial, life, [&](auto& image) {
        return recover_and_compare(second, image, history, options);
    });
    explorer.look("after recovery");
    return explorer.failure;
}

}  // namespace cinnabar::trials
