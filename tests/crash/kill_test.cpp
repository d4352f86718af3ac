// The process is killed amidst a call, a new one recovers and goes on, and then power fails: what
// the killed one had stored and not made durable is relied upon by the new one (trap L1).
#include "crash/one_stream.hpp"

namespace cinnabar::crash_test {

namespace {

class KilledLife {
  public:
    // Before each fence (or msync) of `work`: kill, open, append into what is free, and every
    // crash point of that.
    template <class Work>
    KilledLife(OneStream& setup, Work&& work) : setup_(setup) {
        setup.life.medium().on_crash_point([this](Site site) {
            if (wrong.empty()) go_on_after_kill(site);
        });
        work();
        setup.life.medium().on_crash_point(nullptr);
    }

    uint64_t kills = 0;
    uint64_t images = 0;
    std::string wrong;

  private:
    void go_on_after_kill(Site site) {
        ++kills;
        const std::string where = "kill at " + std::string(name_of(site)) + ": ";
        SimPool pool(setup_.pool, setup_.pool.bytes());
        Life life(pool, setup_.life);
        History history = setup_.history;
        Explorer explorer(life, [&](std::span<const std::byte> image) {
            return recover_and_compare(pool, image, history, setup_.options);
        });
        if (auto opened = life.open(); !opened) {
            wrong = where + "open: " + opened.error().message;
            return;
        }
        if (std::string lost = compare(life, history); !lost.empty()) {
            wrong = where + lost;
            return;
        }
        note_delivered(life, history);
        for (int i = 0; i < kAppends && explorer.failure.empty(); ++i)
            if (!life.append(history, "s", 700, Durability::forced)) break;
        explorer.look("at the end");
        images += explorer.images;
        if (!explorer.failure.empty()) wrong = where + explorer.failure;
    }

    // What the killed life was about to append is there or not; what is there was acknowledged by
    // delivering it.
    static void note_delivered(Life& life, History& history) {
        StreamHistory& past = history["s"];
        const auto records = life.read("s");
        const Lsn last = records->empty() ? Lsn{} : records->back().first;
        if (records->empty()) past.appended.clear();
        while (!past.appended.empty() && past.appended.back().lsn > last) past.appended.pop_back();
        if (!past.appended.empty()) past.appended.back().lsn = last;
        past.last_number += 1000;
        life.note_durable(history, "s");
    }

    static constexpr int kAppends = 4;

    OneStream& setup_;
};

// The mark that a release was about to make durable: the space below it is taken again.
TEST(Kill, L1_AMarkThatAKilledLifeStored) {
    for (const Domain domain : {Domain::cache_line, Domain::page}) {
        OneStream setup({.domain = domain, .spares = 0}, {.segment_bytes = 4096, .segments = 4});
        const ServiceId keeper = setup.add_service();
        ASSERT_TRUE(setup.life.open());
        while (setup.life.append(setup.history, "s", 700, Durability::forced)) {
        }
        const auto& appended = setup.history["s"].appended;
        const Lsn to = appended[appended.size() - 2].lsn;
        KilledLife killed(setup, [&] {
            setup.history["s"].low_water = to.value;
            ASSERT_TRUE(setup.life.engine().release(keeper, to));
        });
        EXPECT_EQ(killed.wrong, "");
        EXPECT_GT(killed.kills, 0u);
        std::cout << killed.kills << " kills, " << killed.images << " images\n";
    }
}

// The ceiling that the first append of a segment was about to make durable, and all else of it.
TEST(Kill, L1_AnywhereInAppending) {
    for (const Domain domain : {Domain::cache_line, Domain::page}) {
        OneStream setup({.domain = domain, .spares = 0}, {.segment_bytes = 4096, .segments = 6});
        KilledLife killed(setup, [&] {
            ASSERT_TRUE(setup.life.open());
            for (int i = 0; i < 7; ++i)
                setup.append(700, i % 3 == 0 ? Durability::forced : Durability::lazy);
        });
        EXPECT_EQ(killed.wrong, "");
        EXPECT_GT(killed.kills, 10u);
        std::cout << killed.kills << " kills, " << killed.images << " images\n";
    }
}

}  // namespace

}  // namespace cinnabar::crash_test
