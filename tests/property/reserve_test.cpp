// Reservations under random use of a small, mostly full pool: a record with a reservation is never
// refused, and what an earlier life had promised can always be reserved again, whatever ordinary
// records, checkpoints, carried copies, releases and crashes came between. And each record that was
// not released is delivered once, wherever it stands. CINNABAR_SEED gives the run again.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "crash/harness.hpp"

namespace cinnabar::crash_test {

namespace {

constexpr uint64_t kSegmentBytes = 2048;

struct Promise {
    std::string stream;
    uint64_t record_bytes = 0;
    uint32_t records = 0;
    std::optional<Reservation> reservation;
};

// A record, by its origin.
struct Known {
    std::vector<std::byte> bytes;
    uint64_t place = 0;          // of the newest copy, or its own
    bool perhaps_later = false;  // a call that failed may have copied it
};

struct Counts {
    uint64_t refused = 0, reserved = 0, checkpoints = 0, carried = 0, crashes = 0, delivered = 0;
};

class Play {
  public:
    explicit Play(uint64_t seed) : random_(seed) {
        SimPool::Options options{.segment_bytes = kSegmentBytes,
                                 .segments = static_cast<uint32_t>(10 + below(14))};
        pool_ = std::make_unique<SimPool>(options);
        for (const char* name : {"a", "b", "plain"}) {
            const uint32_t stream =
                pool_->add_stream(name, below(2) == 0, name != std::string("plain"));
            pool_->add_service(stream, std::string(name) + "1");
            pool_->add_service(stream, std::string(name) + "2");
        }
        open();
    }

    // One round: everybody takes what he gets until nothing is left, then the promises are drawn
    // on.
    void round() {
        for (uint64_t i = 0, steps = 20 + below(150); i < steps && failure.empty(); ++i) squeeze();
        while (!promises_.empty() && failure.empty()) {
            if (below(3) == 0)
                copy_again(any_stream());
            else if (below(8) == 0)
                squeeze();
            else
                use();
        }
        for (const char* stream : {"a", "b", "plain"})
            if (below(3) != 0) release(stream);
        if (below(2) == 0) carry(any_stream());
        if (failure.empty()) read_all();
    }

    Counts counts;
    std::string failure;

  private:
    void squeeze() {
        switch (below(12)) {
            case 0: ordinary("plain"); break;
            case 1:
            case 2: promise(any_stream()); break;
            case 3: use(); break;
            case 4: forget(); break;
            case 5:
            case 6: checkpoint(any_stream()); break;
            case 7: copy_again(any_stream()); break;
            case 8:
                if (below(8) == 0) crash();
                break;
            default: ordinary(any_stream());
        }
    }

    uint64_t below(uint64_t n) { return random_() % n; }
    std::string any_stream() { return below(2) == 0 ? "a" : "b"; }
    std::shared_ptr<StreamCoreBase> core(const std::string& stream) {
        return life_->engine().stream(stream);
    }
    uint64_t any_size(const std::string& stream) {
        return 1 + below(below(3) == 0 ? core(stream)->record_bytes_max() : 90);
    }

    Result<Lsn> append(const std::string& stream, uint64_t size, const AppendOptions& options) {
        auto bytes = record_bytes(++number_, std::max<uint64_t>(size, 8));
        bytes.resize(size);
        const Bytes piece(bytes);
        auto lsn = core(stream)->append({&piece, 1}, size, options);
        if (lsn) known_[stream][lsn->value] = {std::move(bytes), lsn->value};
        return lsn;
    }

    void ordinary(const std::string& stream) {
        const auto durability = below(2) == 0 ? Durability::lazy : Durability::forced;
        if (append(stream, any_size(stream), {.durability = durability})) return;
        ++counts.refused;
    }

    void promise(const std::string& stream) {
        Promise made{
            stream, any_size(stream), static_cast<uint32_t>(1 + below(below(3) == 0 ? 24 : 4)), {}};
        auto reserved =
            StreamCoreBase::reserve(core(stream), made.record_bytes, made.records, false);
        if (!reserved) return;
        made.reservation = std::move(*reserved);
        promises_.push_back(std::move(made));
    }

    // Draws on a promise: must not be refused.
    void use() {
        if (promises_.empty()) return;
        Promise& promise = promises_[below(promises_.size())];
        const uint64_t size =
            below(2) == 0 ? promise.record_bytes : 1 + below(promise.record_bytes);
        auto lsn = append(promise.stream, size, {.reservation = &*promise.reservation});
        if (!lsn) {
            failure = "a reserved record was refused: " + lsn.error().message;
            return;
        }
        ++counts.reserved;
        if (--promise.records == 0) {
            std::swap(promise, promises_.back());
            promises_.pop_back();
        }
    }

    void forget() {
        if (promises_.empty()) return;
        std::swap(promises_[below(promises_.size())], promises_.back());
        promises_.pop_back();
    }

    ServiceId service(const std::string& stream) {
        const uint16_t first = stream == "a" ? 1 : stream == "b" ? 3 : 5;
        return ServiceId{static_cast<uint16_t>(first + below(2))};
    }

    void checkpoint(const std::string& stream) {
        if (append(stream, any_size(stream), {.service = service(stream), .checkpoint = true}))
            ++counts.checkpoints;
    }

    // Copies that release nothing: the worst that carrying can do.
    void copy_again(const std::string& stream) {
        auto reader = ReaderCore::open(core(stream), std::nullopt, Frontier::durable);
        auto record = (*reader)->next();
        if (!record || !*record) return;
        const Stands first{(*record)->lsn, (*record)->origin};
        reader->reset();
        (void)carry_all(stream, {first});
    }

    struct Stands {
        Lsn lsn;
        Lsn origin;
    };

    bool carry_all(const std::string& stream, const std::vector<Stands>& records) {
        std::vector<Lsn> lsns;
        for (const Stands& record : records) lsns.push_back(record.lsn);
        auto places = core(stream)->copies().carry_forward(core(stream), lsns);
        for (size_t i = 0; i < records.size(); ++i) {
            Known& known = known_[stream].at(records[i].origin.value);
            known.perhaps_later = known.perhaps_later || !places;
            if (places) known.place = (*places)[i].value;
        }
        if (places) counts.carried += places->size();
        return places.has_value();
    }

    // Carries what stands in the oldest segment, or some of it, and releases it.
    void carry(const std::string& stream) {
        std::vector<Stands> records;
        const Lsn end{core(stream)->oldest_end()};
        auto reader = ReaderCore::open(core(stream), std::nullopt, Frontier::durable);
        for (;;) {
            auto record = (*reader)->next();
            if (!record || !*record || (*record)->lsn >= end) break;
            if (below(3) == 0) records.push_back({(*record)->lsn, (*record)->origin});
        }
        reader->reset();
        if (carry_all(stream, records)) release_to(stream, end);
    }

    // Everything durable from the mark on is delivered once, and nothing else.
    void read_all() {
        for (auto& [stream, known] : known_) {
            std::map<uint64_t, int> times;
            auto reader = ReaderCore::open(core(stream), std::nullopt, Frontier::durable);
            for (;;) {
                auto record = (*reader)->next();
                if (!record) failure = stream + ": " + record.error().message;
                if (!record || !*record) break;
                const uint64_t origin = (*record)->origin.value;
                const auto found = known.find(origin);
                if (found == known.end() ||
                    !std::ranges::equal((*record)->payload, found->second.bytes))
                    failure = stream + ": LSN " + std::to_string(origin) + " was never appended";
                ++times[origin];
            }
            const uint64_t low = core(stream)->low_water();
            const uint64_t durable = core(stream)->durable();
            for (const auto& [origin, record] : known) {
                const int wanted = record.place >= low && record.place < durable ? 1 : 0;
                const int most = std::max(wanted, record.perhaps_later ? 1 : 0);
                if (times[origin] < wanted || times[origin] > most)
                    failure = stream + ": LSN " + std::to_string(origin) + " is delivered " +
                              std::to_string(times[origin]) + " times";
            }
            counts.delivered += times.size();
            std::erase_if(known, [&](const auto& entry) {
                return entry.second.place < low && !entry.second.perhaps_later;
            });
        }
    }

    void release(const std::string& stream) {
        const uint64_t durable = core(stream)->durable();
        const uint64_t low = core(stream)->low_water();
        if (durable > low) release_to(stream, Lsn{low + below((durable - low) / 64 + 1) * 64});
    }

    void release_to(const std::string& stream, Lsn to) {
        const ServiceId first = service(stream);
        if (to.value > core(stream)->durable()) return;
        for (uint16_t i = 0; i < 2; ++i) {
            const ServiceId other{static_cast<uint16_t>((first.value - 1) / 2 * 2 + 1 + i)};
            if (life_->engine().mark(other) < to) (void)life_->engine().release(other, to);
        }
    }

    // kill -9, or a power loss that takes whatever was not durable.
    void crash() {
        ++counts.crashes;
        std::map<std::string, uint64_t> durable;
        for (const auto& [stream, known] : known_) durable[stream] = core(stream)->durable();
        for (Promise& promise : promises_) promise.reservation.reset();
        life_->kill();
        if (below(2) == 0) {
            pool_ = std::make_unique<SimPool>(*pool_, life_->medium().durable());
            life_.reset();
        }
        open();
        for (auto& [stream, known] : known_) {
            const uint64_t end = core(stream)->appended();
            if (end < durable[stream]) failure = stream + ": ends below what was durable";
            std::erase_if(known, [&](const auto& entry) { return entry.first >= end; });
        }
        read_all();
        for (Promise& promise : promises_) {
            auto reserved = StreamCoreBase::reserve(core(promise.stream), promise.record_bytes,
                                                    promise.records, true);
            if (!reserved) {
                failure = "not reserved again: " + reserved.error().message;
                return;
            }
            promise.reservation = std::move(*reserved);
        }
    }

    void open() {
        if (!life_) life_ = std::make_unique<Life>(*pool_, Life::Options{});
        if (auto opened = life_->open(); !opened) failure = "open: " + opened.error().message;
    }

    std::mt19937_64 random_;
    uint64_t number_ = 0;
    std::map<std::string, std::map<uint64_t, Known>> known_;
    std::unique_ptr<SimPool> pool_;
    std::unique_ptr<Life> life_;
    std::vector<Promise> promises_;
};

TEST(ReserveModel, WhatWasPromisedIsNeverRefused) {
    const uint64_t seed = seed_of_this_run();
    std::cout << "CINNABAR_SEED=" << seed << "\n";
    Counts all;
    for (uint64_t run = 0; run < 600; ++run) {
        Play play(seed + run);
        for (int i = 0; i < 8 && play.failure.empty(); ++i) play.round();
        ASSERT_EQ(play.failure, "") << "run " << run << " of seed " << seed;
        all.refused += play.counts.refused;
        all.reserved += play.counts.reserved;
        all.checkpoints += play.counts.checkpoints;
        all.carried += play.counts.carried;
        all.crashes += play.counts.crashes;
        all.delivered += play.counts.delivered;
    }
    std::cout << all.refused << " refused, " << all.reserved << " reserved, " << all.checkpoints
              << " checkpoints, " << all.carried << " carried, " << all.crashes << " crashes, "
              << all.delivered << " delivered\n";
    // Without a full log nothing of this is shown.
    EXPECT_GT(all.refused, 1000u);
    EXPECT_GT(all.reserved, 1000u);
    EXPECT_GT(all.carried, 100u);
    EXPECT_GT(all.crashes, 100u);
    EXPECT_GT(all.delivered, 100'000u);
}

}  // namespace

}  // namespace cinnabar::crash_test
