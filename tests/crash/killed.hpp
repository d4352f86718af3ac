// Lives that are killed amidst a call, and what the next one does with what they left.
#pragma once

#include "crash/one_stream.hpp"

namespace cinnabar::crash_test {

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
        Explorer explorer(life, [&](auto& image) {
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
        images += explorer.explored.images;
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

// Power failed and left a hole and frames behind it; recovery is killed at each of its crash
// points; the next life recovers, appends `fill` (a record into the hole, or up to the segment's
// end), and power fails.
class KilledRecovery {
  public:
    KilledRecovery(const Life::Options& options, int records)
        : options_(options),
          pool_({.segments = 6}),
          first_((pool_.add_stream("s", false), pool_), options) {
        CNB_CHECK(first_.open().has_value());
        for (int i = 0; i < records; ++i)
            CNB_CHECK(first_
                          .append(history_, "s", i % 5 == 4 ? 150 : 24,
                                  i == 0 ? Durability::forced : Durability::lazy)
                          .has_value());
    }

    // One image of `stride`.
    template <class Fill>
    void run(uint64_t stride, Fill&& fill) {
        uint64_t turn = 0;
        first_.medium().visit_images([&](std::span<const std::byte> image) {
            if (turn++ % stride != 0) return true;
            SimPool pool(pool_, image);
            Life second(pool, options_);
            second.medium().on_crash_point([&](Site site) {
                if (wrong.empty()) go_on_after_kill(pool, second, site, fill);
            });
            if (auto opened = second.open(); !opened) wrong = opened.error().message;
            second.medium().on_crash_point(nullptr);
            return wrong.empty();
        });
    }

    uint64_t kills = 0;
    uint64_t images = 0;
    std::string wrong;

  private:
    template <class Fill>
    void go_on_after_kill(SimPool& killed, const Life& second, Site site, Fill& fill) {
        ++kills;
        SimPool pool(killed, killed.bytes());
        Life third(pool, second);
        History past;
        if (auto opened = third.open(); !opened) {
            wrong = opened.error().message;
            return;
        }
        wrong = deliver(third, history_, past);
        if (!wrong.empty()) return;
        fill(third, past);
        Explorer explorer(
            third, [&](auto& image) { return recover_and_compare(pool, image, past, options_); });
        explorer.look("kill at " + std::string(name_of(site)) + ", then power loss");
        images += explorer.explored.images;
        wrong = explorer.failure;
    }

    const Life::Options options_;
    SimPool pool_;
    Life first_;
    History history_;
};

}  // namespace cinnabar::crash_test
