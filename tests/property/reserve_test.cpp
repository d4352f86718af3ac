// Reservations under random use of a small, mostly full pool, against a plain model: a record with
// a reservation is never refused; what an earlier life had promised can always be reserved again,
// whatever ordinary records, checkpoints, carried copies, releases and crashes came between; and in
// each life reading delivers what the model holds, each record once. CINNABAR_SEED gives the run
// again.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "crash/harness.hpp"
#include "property/stream_model.hpp"

namespace cinnabar::crash_test {

namespace {

constexpr uint64_t kSegmentBytes = 2048;
constexpr const char* kStreams[] = {"a", "b", "plain"};  // "plain" has no reserve

struct Promise {
    std::string stream;
    uint64_t record_bytes = 0;
    uint32_t records = 0;
    std::optional<Reservation> reservation;
};

struct Counts {
    uint64_t refused = 0, reserved = 0, reserved_when_full = 0, checkpoints = 0,
             checkpoints_when_full = 0, carried = 0, crashes = 0, reads = 0, records_read = 0,
             copies_read = 0, shared_streams = 0;

    void add(const Counts& other) {
        refused += other.refused;
        reserved += other.reserved;
        reserved_when_full += other.reserved_when_full;
        checkpoints += other.checkpoints;
        checkpoints_when_full += other.checkpoints_when_full;
        carried += other.carried;
        crashes += other.crashes;
        reads += other.reads;
        records_read += other.records_read;
        copies_read += other.copies_read;
        shared_streams += other.shared_streams;
    }
};

class Play {
  public:
    explicit Play(uint64_t seed) : random_(seed) {
        SimPool::Options options{.segment_bytes = kSegmentBytes,
                                 .segments = static_cast<uint32_t>(10 + below(14))};
        pool_ = std::make_unique<SimPool>(options);
        for (const char* name : kStreams) {
            const bool shared = below(2) == 0;
            counts.shared_streams += shared ? 1 : 0;
            const uint32_t stream = pool_->add_stream(name, shared, name != std::string("plain"));
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
            else if (below(16) == 0)
                crash();  // with promises, at a full log
            else
                use();
        }
        if (!failure.empty()) return;
        check_all();
        for (const char* stream : kStreams)
            if (below(3) != 0) release(stream);
        if (below(2) == 0) carry(any_stream());
    }

    // The end of the last life.
    void finish() {
        for (const char* stream : kStreams) {
            const uint64_t end = core(stream)->appended();
            if (end > 0 && core(stream)->durable() < end)
                if (auto forced = core(stream)->force(Lsn{end - 1}); !forced)
                    fails("force", forced.error());
        }
        check_all();
        if (const auto damage = life_->engine().check(); !damage.empty())
            fails("check finds " + damage.front().verdict + " in " + damage.front().stream);
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
    void fails(const std::string& what) {
        if (failure.empty()) failure = what;
    }
    void fails(const std::string& what, const Error& error) { fails(what + ": " + error.message); }
    // A full log may refuse what has no reservation, and for no other reason.
    void refused(const std::string& what, const Error& error) {
        if (error.code != Errc::full) fails(what, error);
    }

    Result<Lsn> append(const std::string& stream, uint64_t size, AppendOptions options) {
        auto bytes = record_bytes(++number_, size);
        bytes.resize(size);
        options.kind = static_cast<uint16_t>(random_());
        if (!options.checkpoint && below(2) == 0) options.service = service(stream);
        StreamModel& model = models_[stream];
        if (below(3) == 0) options.previous = any_origin(model);
        const Bytes piece(bytes);
        auto lsn = core(stream)->append({&piece, 1}, size, options);
        if (lsn)
            model.append(*lsn, {std::move(bytes), options.durability, options.service, options.kind,
                                options.previous});
        return lsn;
    }

    std::optional<Lsn> any_origin(const StreamModel& model) {
        if (model.frames().empty()) return {};
        const auto frame = model.frames().lower_bound(below(model.frames().rbegin()->first + 1));
        return Lsn{frame->second};
    }

    void ordinary(const std::string& stream) {
        const auto durability = below(2) == 0 ? Durability::lazy : Durability::forced;
        const auto lsn = append(stream, any_size(stream), {.durability = durability});
        if (lsn) return;
        refused("ordinary", lsn.error());
        ++counts.refused;
        full_.insert(stream);
    }

    void promise(const std::string& stream) {
        Promise made{
            stream, any_size(stream), static_cast<uint32_t>(1 + below(below(3) == 0 ? 24 : 4)), {}};
        auto reserved =
            StreamCoreBase::reserve(core(stream), made.record_bytes, made.records, false);
        if (!reserved) return refused("reserve", reserved.error());
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
        if (!lsn) return fails("a reserved record was refused", lsn.error());
        ++counts.reserved;
        counts.reserved_when_full += full_.contains(promise.stream) ? 1 : 0;
        if (--promise.records == 0) {
            std::swap(promise, promises_.back());
            promises_.pop_back();
        }
    }

    void forget() {
        if (promises_.empty()) return;
        std::swap(promises_[below(promises_.size())], promises_.back());
        promises_.pop_back();
        full_.clear();
    }

    static uint16_t first_service(const std::string& stream) {
        return stream == "a" ? 1 : stream == "b" ? 3 : 5;
    }
    ServiceId service(const std::string& stream) {
        return ServiceId{static_cast<uint16_t>(first_service(stream) + below(2))};
    }

    void checkpoint(const std::string& stream) {
        const auto lsn =
            append(stream, any_size(stream), {.service = service(stream), .checkpoint = true});
        if (!lsn) return refused("checkpoint", lsn.error());
        ++counts.checkpoints;
        counts.checkpoints_when_full += full_.contains(stream) ? 1 : 0;
    }

    // Copies that release nothing: the worst that carrying can do.
    void copy_again(const std::string& stream) {
        const uint64_t from = core(stream)->low_water();
        const auto all = models_[stream].delivered(from, core(stream)->durable());
        if (all.empty()) return;
        carry_records(stream, {Lsn{all[below(3) == 0 ? below(all.size()) : 0].lsn}});
    }

    // True where all stand above what is to be released, or are copied once more.
    bool carry_records(const std::string& stream, const std::vector<Lsn>& records,
                       std::optional<Lsn> release_to = {}) {
        StreamModel& model = models_[stream];
        std::vector<Lsn> to_copy;
        for (const Lsn lsn : records)
            if (!release_to || *model.newest(model.frames().at(lsn.value)) < release_to->value)
                to_copy.push_back(lsn);
        const uint64_t before = core(stream)->appended();
        auto places = core(stream)->copies().carry_forward(core(stream), records, release_to);
        if (!places) refused("carry_forward", places.error());
        const std::vector<Lsn> copies = copies_behind(stream, before);
        counts.carried += copies.size();
        if (copies.size() > to_copy.size() || (places && copies.size() < to_copy.size()))
            fails(std::to_string(copies.size()) + " copies of " + std::to_string(to_copy.size()));
        for (size_t i = 0; i < copies.size() && failure.empty(); ++i)
            model.carry(to_copy[i], copies[i]);
        for (size_t i = 0; places && i < records.size(); ++i)
            if ((*places)[i].value != *model.newest(model.frames().at(records[i].value)))
                fails("carry_forward says LSN " + std::to_string((*places)[i].value) +
                      " of what does not stand there");
        return places.has_value();
    }

    // Also those that were made before a full log refused the next.
    std::vector<Lsn> copies_behind(const std::string& stream, uint64_t before) {
        std::vector<Lsn> copies;
        auto reader = ReaderCore::open(core(stream), std::nullopt, Frontier::published);
        for (;;) {
            auto copy = (*reader)->next_copy();
            if (!copy) fails("copies", copy.error());
            if (!copy || !*copy) return copies;
            if ((*copy)->lsn.value >= before) copies.push_back((*copy)->lsn);
        }
    }

    // Carries some of what stands in the oldest segment, and releases it. What was carried must
    // be found again, what was not is gone.
    void carry(const std::string& stream) {
        std::vector<Lsn> records;
        const Lsn end{core(stream)->oldest_end()};
        if (end.value > core(stream)->durable()) return;
        for (const auto& met : models_[stream].delivered(core(stream)->low_water(), end.value))
            if (below(3) == 0) records.push_back(Lsn{met.lsn});
        const auto to = below(2) == 0 ? std::optional<Lsn>(end) : std::nullopt;
        if (carry_records(stream, records, to)) release_to(stream, end);
    }

    void release(const std::string& stream) {
        const uint64_t durable = core(stream)->durable();
        const uint64_t low = core(stream)->low_water();
        if (durable > low) release_to(stream, Lsn{low + below((durable - low) / 64 + 1) * 64});
    }

    void release_to(const std::string& stream, Lsn to) {
        if (to.value > core(stream)->durable()) return;
        full_.clear();
        for (uint16_t i = 0; i < 2; ++i) {
            const ServiceId one{static_cast<uint16_t>(first_service(stream) + i)};
            uint64_t& mark = marks_[one.value];
            if (mark >= to.value) continue;
            if (auto done = life_->engine().release(one, to); !done)
                return fails("release", done.error());
            mark = to.value;
        }
    }

    // kill -9, or a power loss.
    void crash() {
        ++counts.crashes;
        full_.clear();
        std::map<std::string, uint64_t> durable, published;
        for (const char* stream : kStreams) {
            durable[stream] = core(stream)->durable();
            published[stream] = core(stream)->published();
        }
        for (Promise& promise : promises_) promise.reservation.reset();
        life_->kill();
        const bool power = below(2) == 0;
        if (power) {
            pool_ = std::make_unique<SimPool>(*pool_, image_after_power_loss());
            life_.reset();
        }
        open();
        if (!failure.empty()) return;
        for (const char* stream : kStreams) {
            const uint64_t end = core(stream)->appended();
            if (end < (power ? durable : published)[stream])
                return fails(std::string(stream) + ": what a crash may not take is gone from LSN " +
                             std::to_string(end) + " on");
            models_[stream].cut(end);
        }
        check_all();
        if (failure.empty()) promise_again();
    }

    // What was proven durable and no more, or one of the other images that can be left.
    std::vector<std::byte> image_after_power_loss() {
        std::vector<std::byte> image = life_->medium().durable_image();
        uint64_t steps = below(2) == 0 ? 0 : below(12);
        if (steps > 0)
            life_->medium().visit_images([&](std::span<const std::byte> one) {
                image.assign(one.begin(), one.end());
                return --steps > 0;
            });
        return image;
    }

    void promise_again() {
        for (Promise& promise : promises_) {
            auto reserved = StreamCoreBase::reserve(core(promise.stream), promise.record_bytes,
                                                    promise.records, true);
            if (!reserved) return fails("not reserved again", reserved.error());
            promise.reservation = std::move(*reserved);
        }
    }

    void open() {
        if (!life_) life_ = std::make_unique<Life>(*pool_, Life::Options{});
        if (auto opened = life_->open(); !opened) fails("open", opened.error());
    }

    // --- what reading delivers ------------------------------------------------------------------
    void check_all() {
        for (const char* stream : kStreams) {
            const uint16_t first = first_service(stream);
            const uint64_t mark = std::min(marks_[first], marks_[static_cast<uint16_t>(first + 1)]);
            if (core(stream)->low_water() != mark)
                return fails(std::string(stream) + ": the mark stands at " +
                             std::to_string(core(stream)->low_water()) + ", not at " +
                             std::to_string(mark));
            check_read(stream, std::nullopt, Frontier::durable);
            check_read(stream, std::nullopt, Frontier::published);
            const auto& frames = models_[stream].frames();
            const auto from = frames.lower_bound(mark + below(core(stream)->durable() - mark + 1));
            if (from != frames.end() && from->first < core(stream)->durable())
                check_read(stream, Lsn{from->first}, Frontier::durable);
            check_locate(stream);
        }
    }

    void check_read(const std::string& stream, std::optional<Lsn> from, Frontier frontier) {
        ++counts.reads;
        const StreamModel& model = models_[stream];
        const auto expected = model.delivered(
            from ? from->value : core(stream)->low_water(),
            frontier == Frontier::durable ? core(stream)->durable() : core(stream)->published());
        auto reader = ReaderCore::open(core(stream), from, frontier);
        if (!reader) return fails("read", reader.error());
        for (size_t i = 0;; ++i) {
            const auto record = (*reader)->next();
            if (!record) return fails(stream, record.error());
            if (!*record) {
                if (i < expected.size())
                    fails(stream + ": LSN " + std::to_string(expected[i].lsn) +
                          " is not delivered");
                return;
            }
            if (i == expected.size())
                return fails(stream + ": LSN " + std::to_string((*record)->lsn.value) +
                             " is delivered once too often");
            if (auto wrong = model.differs(expected[i], **record); !wrong.empty())
                return fails(stream + ": " + wrong);
            ++counts.records_read;
            counts.copies_read += (*record)->lsn != (*record)->origin ? 1 : 0;
        }
    }

    void check_locate(const std::string& stream) {
        const StreamModel& model = models_[stream];
        const auto origin = any_origin(model);
        if (!origin) return;
        const uint64_t mark = core(stream)->low_water();
        const uint64_t newest = *model.newest(origin->value);
        const auto found = core(stream)->copies().locate(core(stream), *origin);
        const uint64_t expected = origin->value >= mark ? origin->value : newest;
        if (expected < mark ? found || found.error().code != Errc::below_low_water
                            : !found || found->value != expected)
            fails(stream + ": LSN " + std::to_string(origin->value) + " is not located at " +
                  std::to_string(expected));
    }

    std::mt19937_64 random_;
    uint64_t number_ = 0;
    std::unique_ptr<SimPool> pool_;
    std::unique_ptr<Life> life_;
    std::vector<Promise> promises_;
    std::map<std::string, StreamModel> models_;
    std::map<uint16_t, uint64_t> marks_;  // by service
    std::set<std::string> full_;          // refused an ordinary record, and nothing was released
};

TEST(ReserveModel, WhatWasPromisedIsNeverRefusedAndWhatWasWrittenIsReadOnce) {
    const uint64_t seed = seed_of_this_run();
    std::cout << "CINNABAR_SEED=" << seed << "\n";
    Counts all;
    for (uint64_t run = 0; run < 400; ++run) {
        Play play(seed + run);
        for (int i = 0; i < 8 && play.failure.empty(); ++i) play.round();
        if (play.failure.empty()) play.finish();
        ASSERT_EQ(play.failure, "") << "CINNABAR_SEED=" << seed + run << " gives it at once";
        all.add(play.counts);
    }
    std::cout << all.refused << " refused; " << all.reserved << " reserved records, "
              << all.reserved_when_full << " at a full log; " << all.checkpoints << " checkpoints, "
              << all.checkpoints_when_full << " at a full log; " << all.carried << " copies; "
              << all.crashes << " crashes; " << all.reads << " reads of " << all.records_read
              << " records, " << all.copies_read << " of them copies; " << all.shared_streams
              << " streams of many writers\n";
    // Without a full log nothing of this is shown.
    EXPECT_GT(all.refused, 10'000u);
    EXPECT_GT(all.reserved_when_full, 2'000u);
    EXPECT_GT(all.checkpoints_when_full, 1'000u);
    EXPECT_GT(all.carried, 10'000u);
    EXPECT_GT(all.crashes, 1'000u);
    EXPECT_GT(all.records_read, 100'000u);
    EXPECT_GT(all.copies_read, 1'000u);
    EXPECT_GT(all.shared_streams, 400u);
}

}  // namespace

}  // namespace cinnabar::crash_test
