// Several simulated threads that append to one stream, and what an image of a crash amidst them
// must hold: of each thread an exact prefix of its records, everything acknowledged to anybody,
// everything below an acknowledged record, and everything below the durable frontier.
#pragma once

#include <random>

#include "sim/scheduler.hpp"
#include "trials/trial.hpp"

namespace cinnabar::trials {

class ThreadRun {
  public:
    struct Options {
        uint64_t seed = 1;
        size_t threads = 2;
        int records = 5;  // of each thread
        uint32_t lazy_of_8 = 3;
        size_t length_max = 307;
        bool crash = true;         // or only look at what is published
        bool force_apart = false;  // append lazily, then force what is to be durable
        SimPool::Options pool = {.segments = 5};
    };

    ThreadRun(Trial& trial, const Options& options)
        : trial_(trial),
          options_(options),
          pool_(options.pool),
          life_((pool_.add_stream("s", true), pool_), trial.life),
          threads_(options.threads) {}

    // Runs to the end; returns what was wrong with an image, or nothing.
    std::string run() {
        if (auto opened = life_.open(); !opened) return "open: " + opened.error().message;
        Explorer explorer(trial_, life_, [this](auto& image) { return check(image); });
        core_ = life_.engine().stream("s");
        if (!options_.crash) life_.medium().on_crash_point(nullptr);
        std::vector<std::function<void()>> bodies;
        for (size_t i = 0; i < threads_.size(); ++i)
            bodies.push_back([this, i, &explorer] { append_all(i, explorer); });
        sim::run_interleaved(options_.seed, bodies);
        if (options_.crash) explorer.look("at the end");
        return explorer.failure;
    }

  private:
    struct Own {
        std::vector<std::optional<Lsn>> lsn;  // by record; absent while the append runs
        size_t acknowledged = 0;              // so many of its records
    };

    std::vector<std::byte> bytes_of(size_t thread, size_t number) const {
        return record_bytes(thread * 1000 + number,
                            8 + (thread * 37 + number * 53) % (options_.length_max - 7));
    }

    void append_all(size_t thread, Explorer& explorer) {
        std::mt19937_64 random(options_.seed * 100 + thread);
        Own& own = threads_[thread];
        auto core = life_.engine().stream("s");
        for (int i = 0; i < options_.records && explorer.failure.empty(); ++i) {
            const bool lazy = random() % 8 < options_.lazy_of_8;
            const std::vector<std::byte> bytes = bytes_of(thread, own.lsn.size());
            own.lsn.emplace_back();
            const Bytes piece(bytes);
            auto lsn =
                core->append({&piece, 1}, bytes.size(),
                             {.durability = lazy || options_.force_apart ? Durability::lazy
                                                                         : Durability::forced});
            CNB_CHECK(lsn.has_value());
            if (!lazy && options_.force_apart) CNB_CHECK(core->force(*lsn).has_value());
            ++trial_.appends;
            own.lsn.back() = *lsn;
            if (explorer.failure.empty()) explorer.failure = check_published();
            if (!lazy) {
                own.acknowledged = own.lsn.size();
                acknowledged_lsn_ = std::max(acknowledged_lsn_, lsn->value);
            }
        }
    }

    // Below the published frontier every frame is written, however slow its thread is (trap L2).
    std::string check_published() const {
        const log::PoolScan scan = log::scan_pool(pool_.space(), sim::run_serially);
        const uint64_t published = core_->published();
        if (scan.streams[0].cut >= published) return "";
        return "published up to " + std::to_string(published) + ", and written up to " +
               std::to_string(scan.streams[0].cut);
    }

    std::string check(sim::Image& image) {
        // Whoever looks at the durable frontier now may act on what is below it.
        acknowledged_lsn_ = std::max(acknowledged_lsn_, core_->durable());
        Crashed crashed(pool_, image, trial_.life);
        Life& life = crashed.life;
        if (auto opened = life.open(); !opened) return "open: " + opened.error().message;
        auto records = life.read("s");
        if (!records) return "read: " + records.error().message;
        std::vector<size_t> found(threads_.size(), 0);
        for (const auto& [lsn, payload] : *records) {
            uint64_t tag = 0;
            std::memcpy(&tag, payload.data(), sizeof tag);
            const size_t thread = tag / 1000;
            const std::string at = "LSN " + std::to_string(lsn.value) + ": ";
            if (thread >= threads_.size() || found[thread] >= threads_[thread].lsn.size())
                return at + "never appended";
            if (payload != bytes_of(thread, found[thread])) return at + "not its thread's next";
            const auto& appended = threads_[thread].lsn[found[thread]];
            if (appended && *appended != lsn) return at + "appended elsewhere";
            ++found[thread];
        }
        for (size_t thread = 0; thread < threads_.size(); ++thread) {
            const Own& own = threads_[thread];
            if (found[thread] < own.acknowledged)
                return "thread " + std::to_string(thread) + ": an acknowledged record is gone";
            for (size_t i = found[thread]; i < own.lsn.size(); ++i)
                if (own.lsn[i] && own.lsn[i]->value < acknowledged_lsn_)
                    return "LSN " + std::to_string(own.lsn[i]->value) +
                           " is gone, and a later record was acknowledged";
        }
        return "";
    }

    Trial& trial_;
    const Options options_;
    SimPool pool_;
    Life life_;
    std::vector<Own> threads_;
    uint64_t acknowledged_lsn_ = 0;
    std::shared_ptr<StreamCoreBase> core_;
};

}  // namespace cinnabar::trials
