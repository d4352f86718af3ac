// All streams of one pool over a space: recovery at open, the streams by name, marks, checking,
// closing. The public Log is this over a pool file; tests run it over memory.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "log/check_pool.hpp"
#include "log/holder.hpp"
#include "log/recover.hpp"
#include "log/scan.hpp"
#include "log/segment_pool.hpp"
#include "log/stream_core.hpp"

namespace cinnabar::log {

struct EngineOptions {
    bool read_only = false;
    bool forced_cached = false;
    uint32_t spares_max = 0;
    uint32_t low_space_segments = 0;
    std::function<void(const LowSpace&)> on_low_space;  // may be empty
    std::function<void(std::byte*, size_t)> prefault;   // may be empty
    // With which check() asks before it reads; may be empty.
    std::function<std::vector<Bytes>(const std::byte*, uint64_t)> find_unreadable;
    ParallelFor parallel_for;
};

// A stream's row in the catalogue.
struct StreamEntry {
    uint32_t stream = 0;
    std::string name;
    Writers writers = Writers::one;
    Reserve reserve = Reserve::no;
};

class EngineBase {
  public:
    virtual ~EngineBase() = default;

    virtual std::shared_ptr<StreamCoreBase> stream(const std::string& name) = 0;
    // The tables belong to the pool; the engine keeps the streams in step with them. `change` makes
    // the change in the catalogue and runs under the engine's lock.
    using Change = std::function<Result<void>()>;
    using AddRow = std::function<Result<ServiceId>(uint64_t mark)>;
    using AddStreamRow = std::function<Result<uint32_t>()>;
    // `add` gives the stream its number. Errors: full (segments for its reserve), what `add`
    // returns.
    virtual Result<void> add_stream(StreamEntry entry, const AddStreamRow& add) = 0;
    // Errors: pinned (somebody holds the stream), what `change` returns.
    virtual Result<void> remove_stream(const std::string& name, const Change& change) = 0;
    virtual Result<ServiceId> add_service(uint32_t stream, const AddRow& add) = 0;
    virtual Result<void> remove_service(uint32_t stream, ServiceId service,
                                        const Change& change) = 0;

    // Raises a service's mark. Errors: invalid_argument, read_only, failed, io.
    virtual Result<void> release(ServiceId service, Lsn to) = 0;
    virtual Lsn mark(ServiceId service) const = 0;

    // Errors: failed (a write-back failed; the pool takes no change until it is opened again).
    virtual Result<void> healthy() const = 0;
    virtual uint32_t segments_free() const = 0;
    virtual uint32_t segments_kept_back() const = 0;
    virtual std::vector<Damage> check() const = 0;
    virtual Result<void> close() = 0;
};

template <World W>
class Engine final : public EngineBase {
  public:
    using M = typename W::Medium;

    // Recovers. The space and the medium outlive the engine. On error nothing was written, unless
    // the error is io. Errors: corrupt (not when read_only), io.
    static Result<std::unique_ptr<Engine>> open(const pool::Space& space, M& medium,
                                                EngineOptions options, OpenReport& report) {
        const PoolScan scan = scan_pool(space, options.parallel_for);
        report.damage = scan.damage;
        report.notes.insert(report.notes.end(), scan.notes.begin(), scan.notes.end());
        for (const StreamScan& stream : scan.streams)
            report.streams.push_back(report_of(stream, space));
        if (!scan.damage.empty() && !options.read_only)
            return fail(damage_error(scan.damage.front()));
        auto engine = std::unique_ptr<Engine>(new Engine(space, medium, std::move(options)));
        if (auto done = engine->recover(scan, report); !done) return fail(std::move(done.error()));
        return engine;
    }

    std::shared_ptr<StreamCoreBase> stream(const std::string& name) override {
        return stream_core(name);
    }

    std::shared_ptr<StreamCore<W>> stream_core(const std::string& name) {
        std::lock_guard lock(mutex_);
        const auto found = streams_.find(name);
        return found == streams_.end() ? nullptr : found->second;
    }

    Result<void> add_stream(StreamEntry entry, const AddStreamRow& add) override {
        std::lock_guard lock(mutex_);
        const bool reserve = entry.reserve == Reserve::yes;
        // Beside what is kept back, the stream stands in one segment and crosses into the next.
        const uint32_t base = kept_back_for(streams_with_reserve() + 1);
        if (reserve && !segments_.keep_back(base, base + 2))
            return fail(Errc::full, "a restart reserve for stream '" + entry.name + "' needs " +
                                        std::to_string(base + 2) + " free segments, and " +
                                        std::to_string(segments_.free_count()) +
                                        " are free: release space, or create a larger pool");
        auto number = add();
        if (!number) {
            keep_back();
            return fail(std::move(number.error()));
        }
        StreamStart start;
        start.stream = *number;
        start.name = entry.name;
        start.writers = entry.writers;
        start.reserve = reserve;
        adopt(start);
        return {};
    }

    Result<void> remove_stream(const std::string& name, const Change& change) override {
        std::lock_guard lock(mutex_);
        const auto found = streams_.find(name);
        if (found == streams_.end())
            return fail(Errc::not_found,
                        "no stream named '" + name + "' in this pool; see which there are");
        if (found->second.use_count() > 1)
            return fail(Errc::pinned, "stream '" + name + "' is in use: drop its Streams first");
        if (auto done = change(); !done) return done;
        found->second->give_back_all();
        streams_.erase(found);
        keep_back();
        return {};
    }

    Result<ServiceId> add_service(uint32_t stream, const AddRow& add) override {
        std::lock_guard lock(mutex_);
        return add(lowest_mark(stream));
    }

    Result<void> remove_service(uint32_t stream, ServiceId service, const Change& change) override {
        std::lock_guard lock(mutex_);
        if (auto done = change(); !done) return done;
        for (auto& [name, core] : streams_) {
            if (core->stream() != stream) continue;
            core->forget_checkpoint(service);
            core->release_below(lowest_mark(stream));
        }
        return fill_spares();
    }

    Result<void> release(ServiceId service, Lsn to) override {
        std::lock_guard lock(mutex_);
        const uint32_t row = row_of(service);
        const uint32_t stream = medium_.space().catalogue->services[row].stream;
        for (auto& [name, core] : streams_)
            if (core->stream() == stream) return raise_mark(*core, row, to);
        return fail(Errc::not_found, "the service's stream is gone");
    }

    Lsn mark(ServiceId service) const override {
        std::lock_guard lock(mutex_);
        return Lsn{mark_of(row_of(service))};
    }

    Result<void> healthy() const override {
        if (medium_.failed()) return fail(PoolMedium<W>::failure());
        return {};
    }

    uint32_t segments_free() const override { return segments_.free_count(); }
    uint32_t segments_kept_back() const override { return segments_.kept_back_count(); }

    std::vector<Damage> check() const override {
        std::lock_guard lock(mutex_);
        std::vector<CheckedStream> streams;
        for (const auto& [name, core] : streams_) streams.push_back(core->pin_all());
        pool::Space space = medium_.space();
        space.find_unreadable = options_.find_unreadable;
        std::vector<Damage> damage = check_tables(space);
        segments_.stand_still([&] { check_headers(space, streams, damage); });
        for (const CheckedStream& stream : streams) check_frames(space, stream, damage);
        for (const CheckedStream& stream : streams) streams_.at(stream.name)->unpin_all(stream);
        return damage;
    }

    Result<void> close() override {
        std::lock_guard lock(mutex_);
        Result<void> done = healthy();
        for (auto& [name, core] : streams_) {
            auto closed = core->write_close_frame();
            if (!closed && done) done = std::move(closed);
            core->close();
        }
        return done;
    }

    PoolMedium<W>& medium() { return medium_; }

  private:
    Engine(const pool::Space& space, M& medium, EngineOptions options)
        : options_(std::move(options)),
          medium_(space, medium),
          segments_(medium_, {options_.read_only ? 0 : options_.spares_max, options_.prefault}) {}

    static StreamReport report_of(const StreamScan& stream, const pool::Space& space) {
        const uint64_t span = format::frame_space(space.segment_bytes);
        StreamReport report;
        report.name = stream.name;
        report.segments = static_cast<uint32_t>(stream.kept.size());
        report.begin = Lsn{stream.first_ordinal * span};
        report.low_water = Lsn{stream.mark};
        report.testified = Lsn{stream.testified};
        report.end = Lsn{stream.cut};
        report.end_verdict = stream.end_verdict == format::Verdict::valid
                                 ? std::string("end of segment")
                                 : std::string(format::name_of(stream.end_verdict));
        report.frames_verified = stream.frames;
        report.bytes_verified = stream.cut - std::min(stream.cut, stream.verified_from);
        return report;
    }

    Result<void> recover(const PoolScan& scan, OpenReport& report) {
        const bool heeded = !M::mutant(Mutant::ceiling_not_heeded);
        segments_.adopt(std::max(scan.greatest_generation, heeded ? scan.ceiling : 0), scan.ceiling,
                        scan.free);
        Recovery<W> recovery(medium_, segments_, scan);
        if (!options_.read_only)
            if (auto done = recovery.accept_what_streams_stand_on(); !done) return done;
        for (size_t i = 0; i < scan.streams.size(); ++i) {
            const StreamScan& stream = scan.streams[i];
            const bool left_out = M::mutant(Mutant::first_stream_recovered) && i > 0;
            if (!options_.read_only && !left_out)
                if (auto done = recovery.apply(stream, report.streams[i]); !done) return done;
            adopt(start_of(scan, stream));
        }
        keep_back();
        return options_.read_only ? Result<void>{} : fill_spares();
    }

    StreamStart start_of(const PoolScan& scan, const StreamScan& stream) const {
        StreamStart start;
        start.stream = stream.stream;
        start.name = stream.name;
        start.writers = stream.writers;
        start.reserve = stream.reserve;
        start.mark = stream.mark;
        start.first_ordinal = stream.first_ordinal;
        start.end = stream.cut;
        start.known_durable = UINT64_MAX;
        if (options_.read_only)
            start.known_durable =
                medium_.testimony_counts() ? std::min(stream.testified, stream.cut) : 0;
        for (const uint32_t segment : stream.kept)
            start.segments.push_back({segment, scan.segments[segment].header.generation});
        return start;
    }

    void adopt(const StreamStart& start) {
        streams_[start.name] = std::make_shared<StreamCore<W>>(
            medium_, segments_, start, StreamMode{options_.read_only, options_.forced_cached},
            hooks());
    }

    uint32_t streams_with_reserve() const {
        uint32_t count = 0;
        for (const auto& [name, core] : streams_) count += core->has_reserve() ? 1 : 0;
        return count;
    }

    void keep_back() { segments_.keep_back(kept_back_for(streams_with_reserve()), 0); }

    static uint32_t row_of(ServiceId service) {
        CNB_CHECK(service.value >= 1 && service.value <= format::kServiceRows,
                  {"service", service.value});
        return service.value - 1u;
    }

    typename StreamCore<W>::Hooks hooks() {
        return {[this](const StreamCore<W>& core) { return holder_for(core.name()); },
                [this](const StreamCore<W>& core) {
                    const uint32_t free = segments_.open_count();
                    if (options_.on_low_space && free < options_.low_space_segments)
                        options_.on_low_space({core.name(), free, holder_for(core.name())});
                },
                [this](uint32_t stream, ServiceId service) { return owns(stream, service); }};
    }

    bool owns(uint32_t stream, ServiceId service) const {
        if (service.value < 1 || service.value > format::kServiceRows) return false;
        std::lock_guard lock(mutex_);
        return medium_.space().catalogue->services[row_of(service)].stream == stream;
    }

    uint64_t mark_of(uint32_t row) const {
        const auto value = format::read_register(
            medium_.id(), format::register_key(format::RegisterRole::mark, row),
            medium_.space().catalogue->marks[row]);
        return value ? value->value : 0;
    }

    uint64_t lowest_mark(uint32_t stream) const {
        std::optional<uint64_t> lowest;
        for (uint32_t row = 0; row < format::kServiceRows; ++row)
            if (medium_.space().catalogue->services[row].stream == stream)
                lowest = std::min(lowest.value_or(mark_of(row)), mark_of(row));
        if (lowest) return *lowest;
        for (const format::StreamRow& row : medium_.space().catalogue->streams)
            if (row.stream == stream) return row.kept_from;
        return 0;
    }

    Result<void> raise_mark(StreamCore<W>& core, uint32_t row, Lsn to) {
        if (options_.read_only)
            return fail(Errc::read_only,
                        "release: the log was opened read-only; open it for writing");
        const uint64_t present = mark_of(row);
        const uint64_t limit =
            M::mutant(Mutant::mark_above_durable) ? core.published() : core.durable();
        if (to.value < present || to.value > limit || to.value % format::kLineBytes != 0)
            return fail(Errc::invalid_argument,
                        "release to LSN " + std::to_string(to.value) +
                            ": it must be an LSN, a multiple of 64, between the present mark " +
                            std::to_string(present) + " and the durable frontier " +
                            std::to_string(core.durable()));
        if (M::mutant(Mutant::reuse_before_mark)) {
            core.release_below(to.value);
            if (auto done = fill_spares(); !done) return done;
        }
        Maintenance maintenance;
        auto raised =
            medium_.raise_register(Site::mark_store, {Site::mark_flush, Site::mark_fence},
                                   format::register_key(format::RegisterRole::mark, row),
                                   medium_.space().catalogue->marks[row], to.value, maintenance);
        core.count(maintenance);
        if (!raised) return raised;
        const bool own = M::mutant(Mutant::own_mark_releases);
        core.release_below(own ? to.value : lowest_mark(core.stream()));
        return fill_spares();
    }

    Result<void> fill_spares() {
        Maintenance maintenance;
        return segments_.fill_spares(maintenance);
    }

    std::string holder_for(const std::string& asking) const {
        std::lock_guard lock(mutex_);
        std::vector<Holding> holdings;
        for (const auto& [name, core] : streams_) {
            holdings.push_back(core->holding());
            holdings.back().service = lowest_service(core->stream());
        }
        const auto total = static_cast<uint32_t>(medium_.space().segments.size());
        return holder_words(holdings, asking, total);
    }

    // The name of the service with the stream's lowest mark; empty where there is none.
    std::string lowest_service(uint32_t stream) const {
        const format::Catalogue& catalogue = *medium_.space().catalogue;
        std::optional<uint32_t> lowest;
        for (uint32_t row = 0; row < format::kServiceRows; ++row)
            if (catalogue.services[row].stream == stream &&
                (!lowest || mark_of(row) < mark_of(*lowest)))
                lowest = row;
        return lowest ? std::string(catalogue.services[*lowest].name.data()) : std::string();
    }

    static Error damage_error(const Damage& damage) {
        return {Errc::corrupt,
                words_of(damage) +
                    "; nothing of the log was changed. Open read-only to read what verifies",
                damage.lsn, damage.range};
    }

    const EngineOptions options_;
    PoolMedium<W> medium_;
    SegmentPool<W> segments_;
    // The map of streams, the rows, the marks. Taken before a stream's own.
    mutable typename W::Mutex mutex_;
    std::map<std::string, std::shared_ptr<StreamCore<W>>> streams_;
};

}  // namespace cinnabar::log
