#include "crash/workloads.hpp"

#include <array>

#include "crash/killed.hpp"
#include "crash/threads.hpp"

namespace cinnabar::crash_test {

namespace {

// Lazy and forced records, force(), release and recycling.
std::string appending_over(SimPool::Options space, const Setting& setting) {
    space.seed = setting.seed;
    SimPool pool(space);
    const uint32_t stream = pool.add_stream("s", false);
    const ServiceId keeper{static_cast<uint16_t>(pool.add_service(stream, "keeper") + 1)};
    Life life(pool, setting.life);
    History history;
    history["s"];
    Explorer explorer(
        life, [&](auto& image) { return recover_and_compare(pool, image, history, setting.life); });
    if (auto opened = life.open(); !opened) return opened.error().message;
    auto core = life.engine().stream("s");
    for (int i = 0; i < 40 && explorer.failure.empty(); ++i) {
        const bool lazy = i % 4 == 1 || i % 4 == 2;
        const size_t length = 20 + (static_cast<size_t>(i) * 67 + (setting.seed - 1) * 41) % 180;
        auto lsn = life.append(history, "s", length, lazy ? Durability::lazy : Durability::forced);
        if (!lsn) return "append: " + lsn.error().message;
        if (i % 4 == 2 && core->force(*lsn)) life.note_durable(history, "s");
        if (i % 5 != 4) continue;
        if (auto forced = core->force(*lsn); !forced) return forced.error().message;
        life.note_durable(history, "s");
        history["s"].low_water = lsn->value;
        if (auto released = life.engine().release(keeper, *lsn); !released)
            return released.error().message;
        explorer.look("after a release");
    }
    return explorer.failure;
}

std::string appending(const Setting& setting) {
    return appending_over({.segments = 4}, setting);
}

// No header holds yet: none is accepted, whose fence would cover for the ceiling's.
std::string new_space(const Setting& setting) {
    return appending_over({.segments = 4, .age = Age::zero}, setting);
}

// Every segment that is released is prepared again at once.
std::string recycling(const Setting& setting) {
    return appending_over({.segments = 2}, setting);
}

// kill -9, recovery, use, power loss (trap L1).
std::string killing(const Setting& setting) {
    Life::Options options = setting.life;
    options.spares = 0;  // no later fence of recovery's own covers for a missing one
    SimPool pool({.age = Age::zero, .seed = setting.seed});
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
    Explorer explorer(
        life, [&](auto& image) { return recover_and_compare(pool, image, history, options); });
    explorer.look("after recovery");
    return explorer.failure;
}

// Page domain: a force fails, the process gives up, and the next one finds the records in the page
// cache. What it delivers must be on the file, though the kernel takes the pages for clean.
std::string failing(const Setting& setting) {
    SimPool pool({.segment_bytes = 4096, .age = Age::zero, .seed = setting.seed});
    pool.add_stream("s", false);
    Life life(pool, setting.life);
    History history;
    if (auto opened = life.open(); !opened) return opened.error().message;
    if (!life.append(history, "s", 300, Durability::forced)) return "append";
    for (const size_t length : {300, 300, 300, 300, 300, 300, 300, 300, 24})
        if (!life.append(history, "s", length, Durability::lazy)) return "append";
    CNB_CHECK(life.engine().stream("s")->appended() == 4096 - format::kFramesOffset);
    life.medium().fail_next_sync();
    if (life.engine().stream("s")->force(history["s"].appended.back().lsn)) return "no error";
    life.kill();
    if (auto opened = life.open(); !opened) return opened.error().message;
    life.note_durable(history, "s");
    Explorer explorer(
        life, [&](auto& image) { return recover_and_compare(pool, image, history, setting.life); });
    explorer.look("after recovery");
    return explorer.failure;
}

// Page domain: a force fails, and the same process goes on. Records of the failed pages are older
// than those of pages that can be written (trap L12).
std::string failing_and_going_on(const Setting& setting) {
    SimPool pool({.segment_bytes = 16384, .age = Age::zero, .seed = setting.seed});
    pool.add_stream("s", false);
    Life life(pool, setting.life);
    History history;
    if (auto opened = life.open(); !opened) return opened.error().message;
    for (int i = 0; i < 7; ++i)  // the link's page, but for a line
        if (!life.append(history, "s", 512 - 32, i == 0 ? Durability::forced : Durability::lazy))
            return "append";
    life.medium().fail_next_sync();
    if (life.engine().stream("s")->force(history["s"].appended.back().lsn)) return "no error";
    Explorer explorer(
        life, [&](auto& image) { return recover_and_compare(pool, image, history, setting.life); });
    (void)life.append(history, "s", 3000, Durability::forced);
    explorer.look("at the end");
    return explorer.failure;
}

// Page domain: two threads force a stream each, and one msync fails (trap L15).
std::string failing_threads(const Setting& setting) {
    for (uint64_t seed = setting.seed * 1000; seed < setting.seed * 1000 + 12; ++seed) {
        SimPool pool({.segment_bytes = 4096, .age = Age::zero, .seed = setting.seed});
        pool.add_stream("s", true);
        pool.add_stream("t", true);
        Life life(pool, setting.life);
        History history;
        if (auto opened = life.open(); !opened) return opened.error().message;
        for (const char* stream : {"s", "t"})
            for (const Durability durability : {Durability::forced, Durability::lazy})
                if (!life.append(history, stream, 300, durability)) return "append";
        life.medium().fail_next_sync();
        const auto force = [&](const std::string& stream) {
            const Lsn last = history[stream].appended.back().lsn;
            if (life.engine().stream(stream)->force(last))
                history[stream].acknowledged = last.value + 1;
        };
        sim::run_interleaved(seed, {[&] { force("s"); }, [&] { force("t"); }});
        Explorer explorer(life, [&](auto& image) {
            return recover_and_compare(pool, image, history, setting.life);
        });
        explorer.look("after both forces");
        if (!explorer.failure.empty()) return explorer.failure;
    }
    return "";
}

// Power loss, recovery, use, power loss (trap L6).
std::string reviving(const Setting& setting) {
    Life::Options options = setting.life;
    options.spares = 0;
    SimPool pool({.segments = 6, .seed = setting.seed});
    pool.add_stream("s", false);
    Life life(pool, options);
    History history;
    if (auto opened = life.open(); !opened) return opened.error().message;
    for (int i = 0; i < 14; ++i)
        // Mostly single lines: the frame that fills the hole then ends where a dead one begins.
        if (!life.append(history, "s", i % 5 == 4 ? 150 : 24,
                         i == 0 ? Durability::forced : Durability::lazy))
            return "append";
    std::string wrong;
    life.medium().visit_images([&](std::span<const std::byte> image) {
        SimPool copy(pool, image);
        Life second(copy, options);
        if (auto opened = second.open(); !opened) {
            wrong = opened.error().message;
            return false;
        }
        History past;
        wrong = deliver(second, history, past);
        if (!wrong.empty()) return false;
        Explorer explorer(
            second, [&](auto& again) { return recover_and_compare(copy, again, past, options); });
        if (!second.append(past, "s", 24, Durability::forced)) wrong = "append";
        explorer.look("second crash");
        if (!explorer.failure.empty()) wrong = explorer.failure;
        return wrong.empty();
    });
    return wrong;
}

std::string run_threads(ThreadRun::Options options, uint64_t runs, const Setting& setting) {
    options.life = setting.life;
    if (setting.life.domain == Domain::page) options.pool.segment_bytes = 4096;
    for (uint64_t i = 0; i < runs; ++i) {
        options.seed = setting.seed * 1000 + i;
        ThreadRun run(options);
        if (std::string wrong = run.run(); !wrong.empty())
            return "seed " + std::to_string(options.seed) + ": " + wrong;
    }
    return "";
}

std::string two_threads(const Setting& setting) {
    return run_threads({.threads = 2, .records = 4, .lazy_of_8 = 3}, 12, setting);
}

// Short records of three threads.
std::string three_threads(const Setting& setting) {
    return run_threads({.threads = 3, .records = 3, .lazy_of_8 = 4, .length_max = 90}, 16, setting);
}

// Who has taken space and is slow is overtaken by the others (trap L2).
std::string overtaken(const Setting& setting) {
    return run_threads(
        {.threads = 3, .records = 12, .lazy_of_8 = 6, .length_max = 32, .crash = false}, 40,
        setting);
}

// Long ones: nearly every record crosses into another segment.
std::string crossing_threads(const Setting& setting) {
    return run_threads(
        {.threads = 3, .records = 4, .lazy_of_8 = 6, .length_max = 480, .pool = {.segments = 6}},
        setting.life.domain == Domain::page ? 4 : 8, setting);
}

// A record is copied by one thread, and forced by another.
std::string carrying(const Setting& setting) {
    SimPool pool({.seed = setting.seed});
    pool.add_stream("s", true);
    Life life(pool, setting.life);
    History history;
    if (auto opened = life.open(); !opened) return opened.error().message;
    auto core = life.engine().stream("s");
    auto lsn = life.append(history, "s", 150, Durability::forced);
    if (!lsn) return "append";
    Result<Lsn> copy = Lsn{};
    sim::run_interleaved(setting.seed, {[] {},
                                        [&] {
                                            ReaderCore reader(core, 0, Frontier::durable);
                                            copy = core->append_copy(*reader.record_at(*lsn));
                                        }});
    if (!copy || !core->force(*copy)) return "copy";
    std::string wrong;
    life.medium().visit_images([&](std::span<const std::byte> image) {
        SimPool crashed(pool, image);
        Life second(crashed, setting.life);
        if (auto opened = second.open(); !opened) {
            wrong = opened.error().message;
        } else {
            auto again = second.engine().stream("s");
            ReaderCore reader(again, 0, Frontier::durable);
            if (!reader.record_at(*copy)) wrong = "an acknowledged copy is gone";
        }
        return wrong.empty();
    });
    return wrong;
}

// Killed at each crash point of opening and appending; the next life goes on until power fails.
std::string killed_appending(const Setting& setting) {
    Life::Options options = setting.life;
    options.spares = 0;
    OneStream setup(options, {.segment_bytes = 4096, .segments = 6, .seed = setting.seed});
    std::string wrong;
    KilledLife killed(setup, 1, setting.seed, [&] {
        if (!setup.life.open()) wrong = "open";
        for (int i = 0; i < 6 && wrong.empty(); ++i)
            if (!setup.life.append(setup.history, "s", 700,
                                   i % 3 == 0 ? Durability::forced : Durability::lazy))
                wrong = "append";
    });
    return killed.wrong.empty() ? wrong : killed.wrong;
}

// Killed while spares are prepared; in stale space recovery accepts all headers before.
std::string killed_opening(const Setting& setting) {
    Life::Options options = setting.life;
    options.spares = 2;
    for (const Age age : {Age::zero, Age::stale}) {
        OneStream setup(options,
                        {.segment_bytes = 4096, .segments = 3, .age = age, .seed = setting.seed});
        std::string wrong;
        KilledLife killed(setup, 1, setting.seed, [&] {
            if (auto opened = setup.life.open(); !opened) wrong = opened.error().message;
        });
        if (!killed.wrong.empty()) wrong = std::string(killed.wrong);
        if (!wrong.empty()) return wrong;
    }
    return "";
}

// Killed while a mark is raised in a full log; the next life takes the space below it.
std::string killed_releasing(const Setting& setting) {
    Life::Options options = setting.life;
    options.spares = 0;
    OneStream setup(options, {.segment_bytes = 4096, .segments = 4, .seed = setting.seed});
    const ServiceId keeper = setup.add_service();
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    while (setup.life.append(setup.history, "s", 700, Durability::forced)) {
    }
    const auto& appended = setup.history["s"].appended;
    const Lsn to = appended[appended.size() - 2].lsn;
    std::string wrong;
    KilledLife killed(setup, 1, setting.seed, [&] {
        setup.history["s"].low_water = to.value;
        if (auto released = setup.life.engine().release(keeper, to); !released)
            wrong = released.error().message;
    });
    return killed.wrong.empty() ? wrong : killed.wrong;
}

// Power fails, recovery is killed while it erases; the next life appends into the hole.
std::string killed_erasing(const Setting& setting) {
    Life::Options options = setting.life;
    options.spares = 0;
    options.forced_cached = true;
    KilledRecovery killed(options, 14);
    killed.run(3, [](Life& life, History& past) {
        CNB_CHECK(life.append(past, "s", 24, Durability::forced).has_value());
    });
    return killed.wrong;
}

// ... while it ends the lives of segments; the next life fills the one before them.
std::string killed_renewing(const Setting& setting) {
    Life::Options options = setting.life;
    options.spares = 0;
    options.forced_cached = true;
    KilledRecovery killed(options, 26);
    killed.run(5, [](Life& life, History& past) {
        const auto core = life.engine().stream("s");
        while (core->appended() % kSpan != 0)  // one line each
            CNB_CHECK(life.append(past, "s", 24, Durability::forced).has_value());
    });
    return killed.wrong;
}

// Power fails inside the preparation of a segment, and again in the next one of it (trap L7).
std::string preparing_twice(const Setting& setting) {
    Life::Options options = setting.life;
    options.spares = 1;
    History empty;
    empty["s"];
    for (const Age age : {Age::zero, Age::stale}) {
        SimPool pool({.age = age, .seed = setting.seed});
        pool.add_stream("s", false);
        Life first(pool, options);
        Explorer explorer(first, [&](sim::Image& image) {
            Crashed torn(pool, image, options);
            Life& second = torn.life;
            Explorer again(second, [&](auto& both) {
                return recover_and_compare(torn.pool, both, empty, options);
            });
            if (auto opened = second.open(); !opened) return "open: " + opened.error().message;
            return again.failure;
        });
        if (auto opened = first.open(); !opened) return "open: " + opened.error().message;
        if (!explorer.failure.empty()) return explorer.failure;
    }
    return "";
}

// Recovery itself loses power, while it erases a tail and ends the lives of segments behind it.
std::string recovering(const Setting& setting) {
    Life::Options options = setting.life;
    options.spares = 0;
    SimPool pool({.segments = 8, .seed = setting.seed});
    pool.add_stream("s", false);
    Life first(pool, options);
    if (auto opened = first.open(); !opened) return opened.error().message;
    History history;
    if (!first.append(history, "s", 24, Durability::forced)) return "append";
    while (first.engine().stream("s")->appended() < 4 * kSpan + 200)
        if (!first.append(history, "s", 200, Durability::lazy)) return "append";
    SimPool cut(pool, first.medium().durable_image());
    History past;
    {
        SimPool copy(cut, cut.bytes());
        Life look(copy, options);
        if (auto opened = look.open(); !opened) return "open: " + opened.error().message;
        if (std::string lost = deliver(look, history, past); !lost.empty()) return lost;
    }
    Life second(cut, options);
    Explorer explorer(second,
                      [&](auto& image) { return recover_and_compare(cut, image, past, options); });
    if (auto opened = second.open(); !opened) return "open: " + opened.error().message;
    return explorer.failure;
}

// A clean close makes everything durable and says so.
std::string closing(const Setting& setting) {
    SimPool pool({.seed = setting.seed});
    pool.add_stream("s", false);
    Life life(pool, setting.life);
    if (auto opened = life.open(); !opened) return opened.error().message;
    History history;
    for (int i = 0; i < 5; ++i)
        if (!life.append(history, "s", 100, Durability::lazy)) return "append";
    Explorer explorer(
        life, [&](auto& image) { return recover_and_compare(pool, image, history, setting.life); });
    if (auto closed = life.engine().close(); !closed) return closed.error().message;
    const Lsn last = history["s"].appended.back().lsn;
    history["s"].acknowledged = last.value + 1;
    explorer.look("after the close");
    if (!explorer.failure.empty()) return explorer.failure;
    // The last record rots: the close frame behind it says that it was there.
    std::string wrong;
    life.medium().visit_images([&](std::span<const std::byte> image) {
        SimPool copy(pool, image);
        for (std::byte* base : copy.space().segments)
            for (uint64_t at = format::kFramesOffset; at < 2048; at += format::kLineBytes)
                if (format::read_frame_header(base + at).lsn == last.value &&
                    format::read_frame_header(base + at).type() == format::FrameType::record)
                    base[at + 60] ^= std::byte{1};
        Life second(copy, setting.life);
        auto opened = second.open();
        if (opened || opened.error().code != Errc::corrupt) wrong = "damage is no damage";
        return wrong.empty();
    });
    return wrong;
}

// A release above the durable frontier; it is refused.
std::string releasing_too_far(const Setting& setting) {
    OneStream setup(setting.life, {.seed = setting.seed});
    const ServiceId keeper = setup.add_service();
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    Explorer explorer(setup.life, setup.prefix_check());
    if (!setup.life.append(setup.history, "s", 100, Durability::forced)) return "append";
    for (int i = 0; i < 8 && explorer.failure.empty(); ++i)
        if (!setup.life.append(setup.history, "s", 300, Durability::lazy)) return "append";
    (void)setup.life.engine().release(keeper, setup.history["s"].appended.back().lsn);
    explorer.look("after the release");
    return explorer.failure;
}

// A reader stands on a segment that is released, and the space is needed.
std::string reading_what_is_released(const Setting& setting) {
    Life::Options options = setting.life;
    options.spares = 0;
    OneStream setup(options, {.segments = 2, .seed = setting.seed});
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
    if (!setup.life.engine().release(keeper, written.back().lsn)) return "release";
    while (append()) {
        if (setup.history["s"].appended.size() > 3 * written.size()) break;
    }
    auto second = (*reader)->next();
    if (!second) return "a reader: " + second.error().message;
    if (!*second || (*second)->lsn != written[1].lsn) return "a reader loses its place";
    return "";
}

// A life on a medium whose caches survive, or which was called so; the next one on one whose caches
// do not. All that the first one stored and testified stands in them.
std::string on_a_weaker_medium(const Setting& setting) {
    Life::Options options = setting.life;
    options.spares = 0;
    SimPool first({.seed = setting.seed});
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
    Explorer explorer(
        life, [&](auto& image) { return recover_and_compare(second, image, history, options); });
    explorer.look("after recovery");
    return explorer.failure;
}

// --- old bytes and damage -----------------------------------------------------------------------

// `to` holds the frames of `from`, under its own headers.
void put_frames(SimPool& to, SimPool& from) {
    for (size_t i = 0; i < to.space().segments.size(); ++i)
        std::memcpy(to.space().segments[i] + format::kFramesOffset,
                    from.space().segments[i] + format::kFramesOffset, kSpan);
}

// A pool full of records, their numbers from `first` on.
std::string fill(SimPool& pool, const Life::Options& options, uint64_t first) {
    pool.add_stream("s", false);
    Life life(pool, options);
    if (auto opened = life.open(); !opened) return opened.error().message;
    History history;
    history["s"].last_number = first;
    for (int i = 0; i < 12; ++i)
        if (!life.append(history, "s", 200, Durability::forced)) return "append";
    return "";
}

std::string append_over(SimPool& pool, const Life::Options& options) {
    pool.add_stream("s", false);
    Life life(pool, options);
    History history;
    history["s"];
    Explorer explorer(
        life, [&](auto& image) { return recover_and_compare(pool, image, history, options); });
    if (auto opened = life.open(); !opened) return opened.error().message;
    for (int i = 0; i < 12 && explorer.failure.empty(); ++i)
        if (!life.append(history, "s", 200, i % 4 == 3 ? Durability::forced : Durability::lazy))
            return "append";
    explorer.look("at the end");
    return explorer.failure;
}

// The space was another pool's: the same segments, generations and LSNs.
std::string in_space_of_another_pool(const Setting& setting) {
    SimPool other({.age = Age::random, .seed = setting.seed + 100});
    if (std::string wrong = fill(other, setting.life, 5000); !wrong.empty()) return wrong;
    SimPool pool({.age = Age::random, .seed = setting.seed});
    put_frames(pool, other);
    return append_over(pool, setting.life);
}

// The space was this pool's, 2^32 generations ago.
std::string in_space_of_long_ago(const Setting& setting) {
    SimPool before({.age = Age::random, .seed = setting.seed});
    if (std::string wrong = fill(before, setting.life, 5000); !wrong.empty()) return wrong;
    SimPool pool({.age = Age::random, .seed = setting.seed});
    put_frames(pool, before);
    constexpr uint64_t kGeneration = (uint64_t{1} << 32) + 1;
    pool.space().catalogue->generation_ceiling.slot[0] = format::register_slot(
        pool.space().id, format::register_key(format::RegisterRole::generation_ceiling),
        kGeneration);
    for (uint32_t i = 0; i < pool.space().segments.size(); ++i) {
        const auto header = format::segment_header(pool.space().id, i, kGeneration);
        for (const size_t offset : format::kHeaderOffset)
            std::memcpy(pool.space().segments[i] + offset, &header, sizeof header);
    }
    return append_over(pool, setting.life);
}

// Bytes rot or turn up elsewhere, below what is testified: each is said to be what it is.
std::string damaging(const Setting& setting) {
    struct Damage {
        const char* verdict;
        void (*make)(SimPool& pool, std::byte* frame, std::byte* other);
    };
    const std::array damages = {
        Damage{"corrupt_unwritten", [](SimPool&, std::byte* frame,
                                       std::byte*) { std::memset(frame, 0, format::kLineBytes); }},
        Damage{"corrupt_sum",
               [](SimPool&, std::byte* frame, std::byte*) { frame[50] ^= std::byte{4}; }},
        Damage{"corrupt_foreign",
               [](SimPool&, std::byte* frame, std::byte* other) {
                   std::memcpy(frame, other, 3 * format::kLineBytes);
               }},
        Damage{"corrupt_register", [](SimPool& pool, std::byte*, std::byte*) {
                   pool.space().catalogue->marks[0].slot[0].value += 3 * format::kLineBytes;
               }}};
    for (const Damage& damage : damages) {
        OneStream setup(setting.life, {.seed = setting.seed});
        setup.add_service();
        if (auto opened = setup.life.open(); !opened) return opened.error().message;
        for (int i = 0; i < 4; ++i)
            if (!setup.life.append(setup.history, "s", 150, Durability::forced)) return "append";
        auto pinned = setup.life.engine().stream("s")->pin(0);
        const auto at = [&](size_t record) {
            const uint64_t lsn = setup.history["s"].appended[record].lsn.value;
            return setup.pool.space().segments[pinned->life.segment] + pinned->life.offset_of(lsn);
        };
        damage.make(setup.pool, at(1), at(0));
        setup.life.engine().stream("s")->unpin(pinned->ordinal);
        setup.life.kill();
        auto opened = setup.life.open();
        std::string said = opened ? compare(setup.life, setup.history) : opened.error().message;
        if (said.find(damage.verdict) == std::string::npos)
            return std::string(damage.verdict) + " is called '" + said + "'";
    }
    return "";
}

constexpr std::array kWorkloads = {
    Workload{"appending", "lazy and forced records, marks, recycling", appending},
    Workload{"new_space", "the same in space never used", new_space},
    Workload{"recycling", "the same in two segments", recycling},
    Workload{"killing", "kill, recovery, power loss", killing},
    Workload{"failing", "a failed msync, a new process, power loss", failing, Domain::page},
    Workload{"failing_and_going_on", "a failed msync, the same process", failing_and_going_on,
             Domain::page},
    Workload{"failing_threads", "a failed msync while two streams are forced", failing_threads,
             Domain::page},
    Workload{"reviving", "power loss, recovery, a record, power loss", reviving},
    Workload{"two_threads", "two threads in a shared stream", two_threads},
    Workload{"three_threads", "three, with short records", three_threads},
    Workload{"overtaken", "three, of which one is slow", overtaken},
    Workload{"crossing_threads", "three, with long records", crossing_threads},
    Workload{"carrying", "one thread's copy, forced by another", carrying},
    Workload{"killed_appending", "kill anywhere in appending, use, power loss", killed_appending},
    Workload{"killed_opening", "kill while spares are prepared", killed_opening},
    Workload{"killed_releasing", "kill while a mark is raised", killed_releasing},
    Workload{"killed_erasing", "power loss, kill in recovery, use, power loss", killed_erasing},
    Workload{"killed_renewing", "the same with segments behind the cut", killed_renewing},
    Workload{"preparing_twice", "two power losses in one preparation", preparing_twice},
    Workload{"recovering", "power loss inside recovery", recovering},
    Workload{"closing", "a clean close, power loss, rot", closing},
    Workload{"releasing_too_far", "a mark above the durable frontier", releasing_too_far},
    Workload{"reading_what_is_released", "a reader on a released segment",
             reading_what_is_released},
    Workload{"on_a_weaker_medium", "a life of the byte domain, the next of another",
             on_a_weaker_medium, Domain::cache_line},
    Workload{"in_space_of_another_pool", "over frames of another pool", in_space_of_another_pool},
    Workload{"in_space_of_long_ago", "over frames of 2^32 generations ago", in_space_of_long_ago},
    Workload{"damaging", "rot and misplaced bytes", damaging},
};

}  // namespace

std::span<const Workload> workloads() {
    return kWorkloads;
}

const Workload& workload(std::string_view name) {
    for (const Workload& workload : kWorkloads)
        if (workload.name == name) return workload;
    CNB_CHECK(false);
}

}  // namespace cinnabar::crash_test
