// Lives without an accident but the last: append, force, release, recycle, close.
#include "trials/scenario_bodies.hpp"

#include "sim/scheduler.hpp"
#include "trials/one_stream.hpp"

namespace cinnabar::trials {

namespace {

// Lazy and forced records, force(), release and recycling.
std::string appending_over(SimPool::Options space, Trial& trial, int records = 40) {
    space.seed = trial.seed;
    SimPool pool(space);
    const uint32_t stream = pool.add_stream("s", false);
    const ServiceId keeper{static_cast<uint16_t>(pool.add_service(stream, "keeper") + 1)};
    Life life(pool, trial.life);
    History history;
    history["s"];
    Explorer explorer(trial, life, [&](auto& image) {
        return recover_and_compare(pool, image, history, trial.life);
    });
    if (auto opened = life.open(); !opened) return opened.error().message;
    auto core = life.engine().stream("s");
    for (int i = 0; i < records && explorer.failure.empty(); ++i) {
        const bool lazy = i % 4 == 1 || i % 4 == 2;
        const size_t length = 20 + (static_cast<size_t>(i) * 67 + (trial.seed - 1) * 41) % 180;
        auto lsn = life.append(history, "s", length, lazy ? Durability::lazy : Durability::forced);
        if (!lsn) return "append: " + lsn.error().message;
        if (i % 4 == 2 && core->force(*lsn)) life.note_durable(history, "s");
        if (i % 5 != 4) continue;
        if (auto forced = core->force(*lsn); !forced) return forced.error().message;
        life.note_durable(history, "s");
        if (auto released = life.release(history, keeper, *lsn); !released)
            return released.error().message;
        explorer.look("after a release");
    }
    explorer.look("at the end");
    return explorer.failure;
}

}  // namespace

std::string appending(Trial& trial) {
    return appending_over({.segments = 4}, trial);
}

// As large as in use: what an image costs there. In space that was used recovery erases the rest of
// the segment: an image then costs 40 times as much.
std::string large_segments(Trial& trial) {
    return appending_over({.segment_bytes = 1 << 20, .segments = 4, .age = Age::zero}, trial, 16);
}

// No header holds yet: none is accepted, whose fence would cover for the ceiling's.
std::string new_space(Trial& trial) {
    return appending_over({.segments = 4, .age = Age::zero}, trial);
}

std::string over_old_bytes(Trial& trial) {
    for (const Age age : {Age::ones, Age::random, Age::half_overwritten})
        if (std::string wrong = appending_over({.segments = 4, .age = age}, trial, 12);
            !wrong.empty())
            return wrong;
    return "";
}

// Every segment that is released is prepared again at once.
std::string recycling(Trial& trial) {
    return appending_over({.segments = 2}, trial);
}

// A record is copied by one thread, and forced by another.
std::string carrying(Trial& trial) {
    SimPool pool({.seed = trial.seed});
    pool.add_stream("s", true);
    Life life(pool, trial.life);
    History history;
    if (auto opened = life.open(); !opened) return opened.error().message;
    auto core = life.engine().stream("s");
    auto lsn = life.append(history, "s", 150, Durability::forced);
    if (!lsn) return "append";
    Result<Lsn> copy = Lsn{};
    sim::run_interleaved(trial.seed, {[] {},
                                      [&] {
                                          ReaderCore reader(core, 0, Frontier::durable);
                                          copy = core->append_copy(*reader.record_at(*lsn));
                                      }});
    if (!copy || !core->force(*copy)) return "copy";
    Explorer explorer(trial, life, [&](auto& image) -> std::string {
        Crashed crashed(pool, image, trial.life);
        if (std::string wrong = crashed.recover(); !wrong.empty()) return wrong;
        ReaderCore reader(crashed.life.engine().stream("s"), 0, Frontier::durable);
        return reader.record_at(*copy) ? "" : "an acknowledged copy is gone";
    });
    explorer.look("after the force");
    return explorer.failure;
}

// A clean close makes everything durable and says so.
std::string closing(Trial& trial) {
    SimPool pool({.seed = trial.seed});
    pool.add_stream("s", false);
    Life life(pool, trial.life);
    if (auto opened = life.open(); !opened) return opened.error().message;
    History history;
    for (int i = 0; i < 5; ++i)
        if (!life.append(history, "s", 100, Durability::lazy)) return "append";
    Explorer explorer(trial, life, [&](auto& image) {
        return recover_and_compare(pool, image, history, trial.life);
    });
    if (auto closed = life.engine().close(); !closed) return closed.error().message;
    const Lsn last = history["s"].appended.back().lsn;
    history["s"].acknowledged = last.value + 1;
    explorer.look("after the close");
    if (!explorer.failure.empty()) return explorer.failure;
    // The last record rots: the close frame behind it says that it was there.
    for (std::byte* base : pool.space().segments)
        for (uint64_t at = format::kFramesOffset; at < 2048; at += format::kLineBytes)
            if (format::read_frame_header(base + at).lsn == last.value &&
                format::read_frame_header(base + at).type() == format::FrameType::record)
                base[at + 60] ^= std::byte{1};
    life.kill();
    auto opened = life.open();
    return opened || opened.error().code != Errc::corrupt ? "damage is no damage" : "";
}

// A release above the durable frontier; it is refused.
std::string releasing_too_far(Trial& trial) {
    OneStream setup(trial.life, {.seed = trial.seed});
    const ServiceId keeper = setup.add_service();
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    Explorer explorer(trial, setup.life, setup.prefix_check());
    if (!setup.life.append(setup.history, "s", 100, Durability::forced)) return "append";
    for (int i = 0; i < 8 && explorer.failure.empty(); ++i)
        if (!setup.life.append(setup.history, "s", 300, Durability::lazy)) return "append";
    const auto released =
        setup.life.engine().release(keeper, setup.history["s"].appended.back().lsn);
    explorer.look("after the release");
    if (!explorer.failure.empty()) return explorer.failure;
    return released ? "a mark above the durable frontier is taken" : "";
}

// A reader stands on a segment that is released, and the space is needed.
std::string reading_what_is_released(Trial& trial) {
    Life::Options options = without_spares(trial);
    OneStream setup(options, {.segments = 2, .seed = trial.seed});
    const ServiceId keeper = setup.add_service();
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    const auto append = [&] {
        return setup.life.append(setup.history, "s", 200, Durability::forced);
    };
    while (setup.life.engine().segments_free() > 0)
        if (!append()) return "append";
    auto reader =
        ReaderCore::open(setup.life.engine().stream("s"), std::nullopt, Frontier::durable);
    if (!reader || !(*reader)->next()) return "read";
    const std::vector<Appended> written = setup.history["s"].appended;
    if (!setup.life.release(setup.history, keeper, written.back().lsn)) return "release";
    auto lsn = append();
    while (lsn && setup.history["s"].appended.size() <= 3 * written.size()) lsn = append();
    if (!lsn && lsn.error().code != Errc::full) return "append: " + lsn.error().message;
    auto second = (*reader)->next();
    if (!second) return "a reader: " + second.error().message;
    if (!*second || (*second)->lsn != written[1].lsn) return "a reader loses its place";
    return "";
}

}  // namespace cinnabar::trials
