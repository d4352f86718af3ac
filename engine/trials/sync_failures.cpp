// msync fails, in the page domain.
#include "trials/scenario_bodies.hpp"

#include <random>
#include <vector>

#include "sim/scheduler.hpp"

namespace cinnabar::trials {

namespace {

void drop_pages(uint64_t seed, Life& life) {
    std::mt19937_64 random(seed);
    life.medium().drop_unwritten_pages(random);
}

// Page domain: a force fails, the process gives up, and the next one finds the records in the page
// cache. What it delivers must be on the file, though the kernel takes the pages for clean.
std::string failing_once(Trial& trial, uint64_t drops, uint64_t segment_bytes,
                         const std::vector<size_t>& lazy) {
    SimPool pool({.segment_bytes = segment_bytes, .age = Age::zero, .seed = trial.seed});
    pool.add_stream("s", false);
    Life life(pool, trial.life);
    History history;
    if (auto opened = life.open(); !opened) return opened.error().message;
    if (!life.append(history, "s", 300, Durability::forced)) return "append";
    constexpr uint64_t page_lsns = 4096 - format::kFramesOffset;
    for (const size_t length : lazy)
        if (!life.append(history, "s", length, Durability::lazy)) return "append";
    CNB_CHECK(segment_bytes != 4096 || life.engine().stream("s")->appended() == page_lsns);
    Explorer explorer(trial, life, [&](auto& image) {
        return recover_and_compare(pool, image, history, trial.life);
    });
    life.medium().fail_next_sync();
    if (life.engine().stream("s")->force(history["s"].appended.back().lsn)) return "no error";
    if (drops != 0) drop_pages(drops, life);
    life.kill();
    if (auto opened = life.open(); !opened) return opened.error().message;
    life.note_durable(history, "s");
    explorer.look("after recovery");
    return explorer.failure;
}

// Page domain: a force fails, and the same process goes on. Records of the failed pages are older
// than those of pages that can be written (trap L12).
std::string going_on_once(Trial& trial, uint64_t drops) {
    SimPool pool({.segment_bytes = 16384, .age = Age::zero, .seed = trial.seed});
    pool.add_stream("s", false);
    Life life(pool, trial.life);
    History history;
    if (auto opened = life.open(); !opened) return opened.error().message;
    for (int i = 0; i < 7; ++i)  // the link's page, but for a line
        if (!life.append(history, "s", 512 - 32, i == 0 ? Durability::forced : Durability::lazy))
            return "append";
    life.medium().fail_next_sync();
    if (life.engine().stream("s")->force(history["s"].appended.back().lsn)) return "no error";
    if (drops != 0) drop_pages(drops, life);
    Explorer explorer(trial, life, [&](auto& image) {
        return recover_and_compare(pool, image, history, trial.life);
    });
    (void)life.append(history, "s", 3000, Durability::forced);
    explorer.look("at the end");
    return explorer.failure;
}

// As it is, and where the system drops the pages that it could not write, which then hold one thing
// or another. 0: it does not.
std::string with_and_without_drops(Trial& trial, std::string (*run)(Trial& trial, uint64_t drops)) {
    for (uint64_t drops = 0; drops <= 4; ++drops)
        if (std::string wrong = run(trial, drops == 0 ? 0 : trial.seed * 10 + drops);
            !wrong.empty())
            return (drops != 0 ? "pages are dropped: " : "") + wrong;
    return "";
}

}  // namespace

// In a segment of one page up to its end, so that no tail is left to erase, whose msync would cover
// for the others; and in one of several pages.
std::string failing(Trial& trial) {
    return with_and_without_drops(trial, [](Trial& of, uint64_t drops) {
        std::string wrong =
            failing_once(of, drops, 4096, {300, 300, 300, 300, 300, 300, 300, 300, 24});
        return wrong.empty() ? failing_once(of, drops, 16384, std::vector<size_t>(20, 480)) : wrong;
    });
}

std::string failing_and_going_on(Trial& trial) {
    return with_and_without_drops(trial, going_on_once);
}

// Page domain: two threads force a stream each, and one msync fails (trap L15).
std::string failing_threads(Trial& trial) {
    for (uint64_t seed = trial.seed * 1000; seed < trial.seed * 1000 + 12; ++seed) {
        SimPool pool({.segment_bytes = 4096, .age = Age::zero, .seed = trial.seed});
        pool.add_stream("s", true);
        pool.add_stream("t", true);
        Life life(pool, trial.life);
        History history;
        if (auto opened = life.open(); !opened) return opened.error().message;
        for (const char* stream : {"s", "t"})
            for (const Durability durability : {Durability::forced, Durability::lazy})
                if (!life.append(history, stream, 300, durability)) return "append";
        Explorer explorer(trial, life, [&](auto& image) {
            return recover_and_compare(pool, image, history, trial.life);
        });
        life.medium().fail_next_sync();
        const auto force = [&](const std::string& stream) {
            const Lsn last = history[stream].appended.back().lsn;
            if (life.engine().stream(stream)->force(last))
                history[stream].acknowledged = last.value + 1;
        };
        sim::run_interleaved(seed, {[&] { force("s"); }, [&] { force("t"); }});
        explorer.look("after both forces");
        if (!explorer.failure.empty()) return explorer.failure;
    }
    return "";
}

}  // namespace cinnabar::trials
