// Lives that are killed amidst a call, and what the next one does with what they left.
#pragma once

#include <functional>
#include <random>

#include "trials/one_stream.hpp"

namespace cinnabar::trials {

// Calls back wherever a life is killed: before each of its fences (or msyncs), and amidst one store
// of `stride`, whose words are there in part.
class KillPoints {
  public:
    struct Word {
        uint64_t offset = 0;
        uint64_t value = 0;
    };
    struct Kill {
        std::string where;
        std::vector<Word> stored = {};  // by the last store, before it was cut short

        // The next life, over `memory`, a copy of what the killed one used.
        void put(CrashMedium& next, std::span<std::byte> memory) const {
            for (const auto& [offset, value] : stored)
                next.store8(Site::none, reinterpret_cast<uint64_t*>(memory.data() + offset), value);
        }
    };
    using Call = std::function<void(const Kill&)>;

    KillPoints(CrashMedium& medium, uint64_t stride, uint64_t seed, Call call) : medium_(medium) {
        medium.on_crash_point(
            [call](Site site) { call({"kill at " + std::string(name_of(site))}); });
        medium.on_store(
            [=, random = std::mt19937_64(seed), turn = seed](uint64_t offset, Bytes value) mutable {
                if (++turn % stride == 0)
                    call({"kill amidst a store at " + std::to_string(offset),
                          some_words(random, offset, value)});
            });
    }
    KillPoints(const KillPoints&) = delete;
    KillPoints& operator=(const KillPoints&) = delete;
    ~KillPoints() {
        medium_.on_crash_point(nullptr);
        medium_.on_store(nullptr);
    }

  private:
    // Any of them: a copy goes in any order. One word is there or not.
    static std::vector<Word> some_words(std::mt19937_64& random, uint64_t offset, Bytes value) {
        std::vector<Word> words;
        for (size_t at = 0; at < value.size(); at += sizeof(uint64_t)) {
            if (random() % 2 == 0) continue;
            words.push_back({offset + at, 0});
            std::memcpy(&words.back().value, value.data() + at, sizeof(uint64_t));
        }
        return words;
    }

    CrashMedium& medium_;
};

class KilledLife {
  public:
    // Wherever `work` is killed: open, append into what is free, and every crash point of that.
    template <class Work>
    KilledLife(Trial& trial, OneStream& setup, uint64_t stride, Work&& work)
        : trial_(trial), setup_(setup) {
        const KillPoints points(setup.life.medium(), stride, trial.seed, [this](const auto& kill) {
            ++kills;
            if (!wrong.empty()) return;
            go_on_after(kill);
            if (!wrong.empty()) wrong = kill.where + ": " + wrong;
        });
        work();
    }

    uint64_t kills = 0;
    std::string wrong;

  private:
    void go_on_after(const KillPoints::Kill& kill) {
        SimPool pool(setup_.pool, setup_.pool.bytes());
        Life life(pool, setup_.life);
        kill.put(life.medium(), pool.bytes());
        History history = setup_.history;
        Explorer explorer(trial_, life, [&](auto& image) {
            return recover_and_compare(pool, image, history, setup_.options);
        });
        if (auto opened = life.open(); !opened) {
            wrong = "open: " + opened.error().message;
            return;
        }
        wrong = deliver(life, history);
        if (!wrong.empty()) return;
        for (int i = 0; i < kAppends && explorer.failure.empty(); ++i)
            if (!life.append(history, "s", 700, Durability::forced)) break;
        explorer.look("at the end");
        wrong = explorer.failure;
    }

    static constexpr int kAppends = 4;

    Trial& trial_;
    OneStream& setup_;
};

// Power failed and left a hole and frames behind it; recovery is killed; the next life recovers,
// appends `fill` (a record into the hole, or up to the segment's end), and power fails.
class KilledRecovery {
  public:
    KilledRecovery(Trial& trial, const Life::Options& options, int records)
        : trial_(trial),
          options_(options),
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
        Explorer explorer(trial_, first_, [&](sim::Image& image) {
            if (turn++ % stride == 0) kill_recovery(image, turn, fill);
            return wrong;
        });
        explorer.look("power loss");
    }

    uint64_t kills = 0;
    std::string wrong;

  private:
    static constexpr uint64_t kStores = 5;  // one of them is cut short

    template <class Fill>
    void kill_recovery(const sim::Image& image, uint64_t turn, Fill& fill) {
        SimPool pool(pool_, image.image());
        Life second(pool, options_);
        const KillPoints points(second.medium(), kStores, turn, [&](const auto& kill) {
            ++kills;
            if (!wrong.empty()) return;
            go_on_after(kill, pool, second, fill);
            if (!wrong.empty()) wrong = kill.where + ": " + wrong;
        });
        if (auto opened = second.open(); !opened) wrong = opened.error().message;
    }

    template <class Fill>
    void go_on_after(const KillPoints::Kill& kill, SimPool& killed, const Life& second,
                     Fill& fill) {
        SimPool pool(killed, killed.bytes());
        Life third(pool, second);
        kill.put(third.medium(), pool.bytes());
        History past = history_;
        if (auto opened = third.open(); !opened) {
            wrong = opened.error().message;
            return;
        }
        wrong = deliver(third, past);
        if (!wrong.empty()) return;
        fill(third, past);
        Explorer explorer(trial_, third, [&](auto& image) {
            return recover_and_compare(pool, image, past, options_);
        });
        explorer.look("power loss");
        wrong = explorer.failure;
    }

    Trial& trial_;
    const Life::Options options_;
    SimPool pool_;
    Life first_;
    History history_;
};

}  // namespace cinnabar::trials
