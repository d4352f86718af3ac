// Breaks the engine one flush, fence or store kind at a time and demands that some workload
// notices. The same workloads find nothing wrong with the whole engine.
#include "crash/threads.hpp"

namespace cinnabar::crash_test {

namespace {

// Lazy and forced records, force(), release and recycling.
std::string appending_over(const SimPool::Options& space, Life::Options options) {
    SimPool pool(space);
    const uint32_t stream = pool.add_stream("s", false);
    const ServiceId keeper{static_cast<uint16_t>(pool.add_service(stream, "keeper") + 1)};
    Life life(pool, options);
    History history;
    history["s"];
    Explorer explorer(
        life, [&](auto& image) { return recover_and_compare(pool, image, history, options); });
    if (auto opened = life.open(); !opened) return opened.error().message;
    auto core = life.engine().stream("s");
    for (int i = 0; i < 40 && explorer.failure.empty(); ++i) {
        const bool lazy = i % 4 == 1 || i % 4 == 2;
        auto lsn = life.append(history, "s", 20 + static_cast<size_t>(i * 67 % 180),
                               lazy ? Durability::lazy : Durability::forced);
        if (!lsn) return "append: " + lsn.error().message;
        if (i % 4 == 2 && core->force(*lsn)) life.note_durable(history, "s");
        if (i % 5 != 4) continue;
        history["s"].low_water = lsn->value;
        if (auto forced = core->force(*lsn); !forced) return forced.error().message;
        life.note_durable(history, "s");
        if (auto released = life.engine().release(keeper, *lsn); !released)
            return released.error().message;
        explorer.look("after a release");
    }
    return explorer.failure;
}

std::string appending(Life::Options options) {
    return appending_over({.segments = 4}, options);
}

// No header holds yet: none is accepted, whose fence would cover for the ceiling's.
std::string appending_in_new_space(Life::Options options) {
    return appending_over({.segments = 4, .age = Age::zero}, options);
}

// Every segment that is released is prepared again at once.
std::string recycling(Life::Options options) {
    return appending_over({.segments = 2}, options);
}

// kill -9, recovery, use, power loss (trap L1).
std::string killing(Life::Options options) {
    options.spares = 0;  // no later fence of recovery's own covers for a missing one
    SimPool pool({.age = Age::zero});
    pool.add_stream("s", false);
    Life life(pool, options);
    History history;
    if (auto opened = life.open(); !opened) return opened.error().message;
    // Up to the segment's end: no tail is left to erase, whose fence would cover as well.
    for (const size_t length : {150, 150, 150, 150, 150, 150, 150, 90})
        if (!life.append(history, "s", length,
                         history["s"].appended.empty() ? Durability::forced : Durability::lazy))
            return "append";
    CNB_CHECK(life.engine().stream("s")->appended() == 2048 - format::kFramesOffset);
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
std::string failing(Life::Options options) {
    if (options.domain != Domain::page) return "";
    SimPool pool({.segment_bytes = 4096, .age = Age::zero});
    pool.add_stream("s", false);
    Life life(pool, options);
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
        life, [&](auto& image) { return recover_and_compare(pool, image, history, options); });
    explorer.look("after recovery");
    return explorer.failure;
}

// Power loss, recovery, use, power loss (trap L6).
std::string reviving(Life::Options options) {
    options.spares = 0;
    SimPool pool({.segments = 6});
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
        auto survivors = second.read("s");
        History past;
        past["s"].last_number = 1000;
        for (size_t i = 0; i < survivors->size(); ++i)
            past["s"].appended.push_back(history["s"].appended[i]);
        second.note_durable(past, "s");
        Explorer explorer(
            second, [&](auto& again) { return recover_and_compare(copy, again, past, options); });
        if (!second.append(past, "s", 24, Durability::forced)) wrong = "append";
        explorer.look("second crash");
        if (!explorer.failure.empty()) wrong = explorer.failure;
        return wrong.empty();
    });
    return wrong;
}

std::string threads(Life::Options options) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        ThreadRun run({.seed = seed, .threads = 2, .records = 4, .lazy_of_8 = 3, .life = options});
        if (std::string wrong = run.run(); !wrong.empty()) return wrong;
    }
    return "";
}

// A record is copied by one thread, and forced by another.
std::string carrying(Life::Options options) {
    SimPool pool(SimPool::Options{});
    pool.add_stream("s", true);
    Life life(pool, options);
    History history;
    if (auto opened = life.open(); !opened) return opened.error().message;
    auto core = life.engine().stream("s");
    auto lsn = life.append(history, "s", 150, Durability::forced);
    if (!lsn) return "append";
    Result<Lsn> copy = Lsn{};
    sim::run_interleaved(1, {[] {},
                             [&] {
                                 ReaderCore reader(core, 0, Frontier::durable);
                                 copy = core->append_copy(*reader.record_at(*lsn));
                             }});
    if (!copy || !core->force(*copy)) return "copy";
    std::string wrong;
    life.medium().visit_images([&](std::span<const std::byte> image) {
        SimPool crashed(pool, image);
        Life second(crashed, options);
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

std::string any_workload(Life::Options options) {
    for (auto* workload : {appending, appending_in_new_space, recycling, killing, failing, reviving,
                           threads, carrying})
        if (std::string wrong = workload(options); !wrong.empty()) return wrong;
    return "";
}

struct Mutant {
    const char* name;
    std::optional<Site> dropped;
    std::optional<Site> swapped;
    Domain domain = Domain::cache_line;
    bool forced_cached = false;
};

class MutantTest : public testing::TestWithParam<Mutant> {};

TEST_P(MutantTest, IsCaught) {
    const Mutant mutant = GetParam();
    const std::string wrong = any_workload({.domain = mutant.domain,
                                            .forced_cached = mutant.forced_cached,
                                            .dropped = mutant.dropped,
                                            .swapped = mutant.swapped});
    EXPECT_NE(wrong, "") << "no workload notices";
    std::cout << "caught: " << wrong << "\n";
}

Mutant dropped(Site site) {
    return {name_of(site).data(), site, std::nullopt};
}

INSTANTIATE_TEST_SUITE_P(
    Dropped, MutantTest,
    testing::Values(
        dropped(Site::forcer_flush), dropped(Site::forced_fence), dropped(Site::second_flush),
        dropped(Site::second_fence), dropped(Site::ceiling_flush), dropped(Site::ceiling_fence),
        dropped(Site::header_a_flush), dropped(Site::header_a_fence), dropped(Site::header_b_flush),
        dropped(Site::header_b_fence), dropped(Site::attach_flush), dropped(Site::attach_fence),
        dropped(Site::mark_flush), dropped(Site::mark_fence), dropped(Site::accept_flush),
        dropped(Site::accept_fence), dropped(Site::erase_store), dropped(Site::erase_flush),
        dropped(Site::erase_fence),
        Mutant{"forced_frame_flush", Site::forced_frame_flush, std::nullopt, Domain::cache_line,
               true},
        Mutant{"page_sync", Site::page_sync, std::nullopt, Domain::page},
        Mutant{"page_accept_sync", Site::accept_fence, std::nullopt, Domain::page},
        Mutant{"page_accept_store", Site::accept_store, std::nullopt, Domain::page},
        Mutant{"forced_frame_cached", std::nullopt, Site::forced_frame_store},
        Mutant{"lazy_frame_non_temporal", std::nullopt, Site::lazy_frame_store},
        Mutant{"carried_frame_non_temporal", std::nullopt, Site::carried_frame_store}),
    [](const auto& mutant) { return std::string(mutant.param.name); });

TEST(Mutant, TheWholeEngineRaisesNoAlarm) {
    for (const Domain domain : {Domain::cache_line, Domain::page, Domain::byte})
        for (const bool cached : {false, true})
            EXPECT_EQ(any_workload({.domain = domain, .forced_cached = cached}), "")
                << name_of(domain) << (cached ? ", cached" : "");
}

}  // namespace

}  // namespace cinnabar::crash_test
