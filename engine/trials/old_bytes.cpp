// Bytes that were there before, and bytes that rot.
#include "trials/scenario_bodies.hpp"

#include "trials/one_stream.hpp"

namespace cinnabar::trials {

namespace {

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

std::string append_over(Trial& trial, SimPool& pool) {
    pool.add_stream("s", false);
    Life life(pool, trial.life);
    History history;
    history["s"];
    Explorer explorer(trial, life, [&](auto& image) {
        return recover_and_compare(pool, image, history, trial.life);
    });
    if (auto opened = life.open(); !opened) return opened.error().message;
    for (int i = 0; i < 12 && explorer.failure.empty(); ++i)
        if (!life.append(history, "s", 200, i % 4 == 3 ? Durability::forced : Durability::lazy))
            return "append";
    explorer.look("at the end");
    return explorer.failure;
}

}  // namespace

// The space was another pool's: the same segments, generations and LSNs.
std::string in_space_of_another_pool(Trial& trial) {
    SimPool other({.age = Age::random, .seed = trial.seed + 100});
    if (std::string wrong = fill(other, trial.life, 5000); !wrong.empty()) return wrong;
    SimPool pool({.age = Age::random, .seed = trial.seed});
    put_frames(pool, other);
    return append_over(trial, pool);
}

// The space was this pool's, 2^32 generations ago.
std::string in_space_of_long_ago(Trial& trial) {
    SimPool before({.age = Age::random, .seed = trial.seed});
    if (std::string wrong = fill(before, trial.life, 5000); !wrong.empty()) return wrong;
    SimPool pool({.age = Age::random, .seed = trial.seed});
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
    return append_over(trial, pool);
}

namespace {

// The newest segment has lost both headers and its link: nobody knows of it any more. It is
// prepared anew, for the same ordinal, and what stands behind its first frame is of the life that
// is forgotten. Only the ceiling says which generation that was (trap L7).
std::string lose_headers(Trial& trial) {
    Life::Options options = without_spares(trial);
    OneStream setup(options, {.segments = 2, .seed = trial.seed});
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    std::vector<Appended>& appended = setup.history["s"].appended;
    while (appended.size() < 4 || appended[appended.size() - 3].lsn.value < kSpan)
        if (!setup.life.append(setup.history, "s", 300, Durability::forced)) return "append";
    std::erase_if(appended, [](const Appended& one) { return one.lsn.value >= kSpan; });
    setup.history["s"].acknowledged = kSpan;
    auto newest = setup.life.engine().stream("s")->pin(kSpan);
    std::byte* base = setup.pool.space().segments[newest->life.segment];
    setup.life.engine().stream("s")->unpin(newest->ordinal);
    std::memset(base, 0, format::kFramesOffset + format::kLineBytes);
    for (int life = 0; life < 2; ++life) {
        setup.life.kill();
        std::string wrong = recover(setup.pool, setup.life);
        if (wrong.empty()) wrong = compare(setup.life, setup.history);
        if (!wrong.empty()) return "headers are lost: " + wrong;
        if (life == 0 && !setup.life.append(setup.history, "s", 300, Durability::forced))
            return "append";
    }
    return "";
}

}  // namespace

// Bytes rot or turn up elsewhere, below what is testified: each is said to be what it is. One copy
// of a header is no damage: the other holds, and nothing is lost.
std::string damaging(Trial& trial) {
    struct Damage {
        std::string_view verdict;  // empty: nothing is wrong
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
        Damage{"corrupt_unreadable",
               [](SimPool& pool, std::byte* frame, std::byte*) { pool.poison(frame); }},
        Damage{"corrupt_register",
               [](SimPool& pool, std::byte*, std::byte*) {
                   pool.space().catalogue->marks[0].slot[0].value += 3 * format::kLineBytes;
               }},
        Damage{"", [](SimPool& pool, std::byte* frame, std::byte*) {
                   const auto within = static_cast<size_t>(frame - pool.bytes().data());
                   format::SegmentHeader header;
                   std::byte* first = pool.bytes().data() +
                                      within / format::kPageBytes * format::kPageBytes +
                                      format::kHeaderOffset[0];
                   std::memcpy(&header, first, sizeof header);
                   header.generation += 2;
                   std::memcpy(first, &header, sizeof header);
               }}};
    for (const Damage& damage : damages) {
        OneStream setup(trial.life, {.seed = trial.seed});
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
        if (damage.verdict.empty() ? !said.empty() : said.find(damage.verdict) == said.npos)
            return "damage '" + std::string(damage.verdict) + "' is called '" + said + "'";
    }
    return lose_headers(trial);
}

}  // namespace cinnabar::trials
