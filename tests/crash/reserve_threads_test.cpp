// Several simulated threads over a full log in one stream with a restart reserve: two append, one
// reserves, draws and gives back, one releases.
#include <algorithm>

#include "crash/harness.hpp"
#include "sim/scheduler.hpp"
#include "trials/one_stream.hpp"

namespace cinnabar::crash_test {

namespace {

class Crowd {
  public:
    explicit Crowd(uint64_t seed) : seed_(seed), life_((add_rows(pool_), pool_), {.spares = 0}) {}

    // Empty, or what was wrong.
    std::string run() {
        if (auto opened = life_.open(); !opened) return opened.error().message;
        core_ = life_.engine().stream("s");
        sim::run_interleaved(seed_, {[this] { append(0); }, [this] { append(1); },
                                     [this] { draw(); }, [this] { release(); }});
        if (!core_->force(Lsn{written_.rbegin()->first})) failure_ = "force";
        if (failure_.empty()) failure_ = read_all();
        core_.reset();
        if (failure_.empty() && life_.engine().segments_kept_back() != kept_back_for_one())
            failure_ = "promises are left over";
        return failure_;
    }

    uint64_t refused = 0, drawn = 0, released = 0;

  private:
    static void add_rows(SimPool& pool) { pool.add_service(pool.add_stream("s", true, true), "k"); }
    static uint32_t kept_back_for_one() { return log::kept_back_for(1); }

    Result<Lsn> put(uint64_t number, const AppendOptions& options) {
        const std::vector<std::byte> bytes = record_bytes(number, 8 + number * 53 % 300);
        const Bytes piece(bytes);
        auto lsn = core_->append({&piece, 1}, bytes.size(), options);
        if (lsn) written_[lsn->value] = number;
        return lsn;
    }

    void append(uint64_t thread) {
        for (uint64_t i = 0; i < 60; ++i) {
            const auto durability = i % 3 == 0 ? Durability::forced : Durability::lazy;
            auto lsn = put(thread * 1000 + i, {.durability = durability});
            if (lsn) continue;
            ++refused;
            if (lsn.error().code != Errc::full) failure_ = "append: " + lsn.error().message;
        }
        --busy_;
    }

    void draw() {
        std::mt19937_64 random(seed_);
        for (uint64_t i = 0; i < 25; ++i) {
            const auto records = static_cast<uint32_t>(1 + random() % 6);
            auto reserved = StreamCoreBase::reserve(core_, 307, records, false);
            if (!reserved) continue;
            for (uint64_t n = random() % (records + 1); n > 0; --n) {
                const auto lsn = put(2000 + i * 10 + n, {.reservation = &*reserved});
                if (!lsn) failure_ = "a reserved record was refused: " + lsn.error().message;
                ++drawn;
            }
        }
        --busy_;
    }

    void release() {
        while (busy_ > 0) {
            for (int wait = 0; wait < 150 && busy_ > 0; ++wait) sim::switch_point();
            auto done = life_.engine().release(ServiceId{1}, Lsn{core_->durable()});
            if (!done) failure_ = "release: " + done.error().message;
            ++released;
        }
    }

    std::string read_all() {
        auto records = life_.read("s");
        if (!records) return records.error().message;
        auto expected = written_.lower_bound(core_->low_water());
        for (const auto& [lsn, told, payload] : *records) {
            if (expected == written_.end() || expected->first != lsn.value ||
                payload != record_bytes(expected->second, 8 + expected->second * 53 % 300))
                return "LSN " + std::to_string(lsn.value) + " is not what was acknowledged";
            ++expected;
        }
        return expected == written_.end() ? "" : "an acknowledged record is gone";
    }

    const uint64_t seed_;
    SimPool pool_{{.segments = 8}};
    Life life_;
    std::shared_ptr<StreamCoreBase> core_;
    std::map<uint64_t, uint64_t> written_;  // numbers, by LSN
    int busy_ = 3;                          // threads that use space
    std::string failure_;
};

TEST(ReserveThreads, AReservedRecordIsNeverRefusedAndNothingIsLost) {
    uint64_t refused = 0, drawn = 0, released = 0;
    for (uint64_t run = 0; run < 60; ++run) {
        const uint64_t seed = seed_of_this_run() + run;
        Crowd crowd(seed);
        ASSERT_EQ(crowd.run(), "") << "CINNABAR_SEED=" << seed;
        refused += crowd.refused;
        drawn += crowd.drawn;
        released += crowd.released;
    }
    std::cout << refused << " refused, " << drawn << " drawn, " << released << " released\n";
    EXPECT_GT(refused, 100u);
    EXPECT_GT(drawn, 100u);
    EXPECT_GT(released, 100u);
}

}  // namespace

}  // namespace cinnabar::crash_test
