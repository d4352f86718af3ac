// Cinnabar itself, through its public interface: a stream of one writer for each thread, or one
// stream for all.
#include <algorithm>
#include <bit>
#include <mutex>

#include "cinnabar/log.hpp"
#include "rivals/mapping.hpp"
#include "rivals/registry.hpp"
#include "rivals/walk.hpp"

namespace cinnabar::bench {

namespace {

constexpr uint64_t kPoolOverhead = 7u << 20;  // with the segments beside: kLogBeside_mib
constexpr uint64_t kSegmentsBeside = 8;       // the restart reserve, tails, links

// A stream with the service that releases it. Lives through all cells.
struct Lane {
    Stream stream;
    ServiceId service;
    std::mutex releasing;
    Lsn from;  // records of the present cell that are still there start here

    explicit Lane(Stream s) : stream(std::move(s)) {}

    Result<void> release(Log& log) {
        const std::lock_guard lock(releasing);
        const Lsn to = stream.durable();
        if (to == from) return {};
        if (auto released = log.release(service, to); !released) return released;
        from = to;
        return {};
    }
};

class CinnabarWorker {
  public:
    CinnabarWorker(Log* log, Lane* lane, uint64_t share_bytes, bool recycles)
        : log_(log),
          lane_(lane),
          stream_(lane->stream),
          share_bytes_(share_bytes),
          release_bytes_(recycles ? share_bytes / 4 : UINT64_MAX) {}

    void append(Bytes record, bool force) {
        auto lsn = stream_.append(record, force ? forced_ : lazy_);
        if (!lsn) [[unlikely]] {
            error_ = std::move(lsn.error());
            return;
        }
        bytes_ += frame_bytes(record.size());
        if (force && bytes_ > release_bytes_) [[unlikely]]
            release();
    }

    uint64_t fits(uint64_t bytes) const {
        return (share_bytes_ - std::min(bytes_, share_bytes_)) / frame_bytes(bytes);
    }
    const std::optional<Error>& error() const { return error_; }
    Work work() const { return {}; }
    void release() {
        if (auto released = lane_->release(*log_); !released) error_ = released.error();
        bytes_ = 0;
    }

  private:
    static uint64_t frame_bytes(uint64_t record_bytes) { return (record_bytes + 32 + 63) & ~63u; }

    Log* log_;
    Lane* lane_;
    Stream stream_;
    uint64_t share_bytes_;
    uint64_t release_bytes_;
    uint64_t bytes_ = 0;  // since the last release
    AppendOptions forced_{
        .durability = Durability::forced, .service = {}, .kind = 0, .previous = {}};
    AppendOptions lazy_{.durability = Durability::lazy, .service = {}, .kind = 0, .previous = {}};
    std::optional<Error> error_;
};

class CinnabarEngine final : public EngineOf<CinnabarWorker> {
  public:
    CinnabarEngine(Writers writers, bool forced_cached) : writers_(writers) {
        options_.forced_cached = forced_cached;
    }

    Result<Taken> open(const Setup& setup) override {
        file_.own(setup.path);
        area_bytes_ = setup.area_bytes;
        CreateOptions create;
        create.segment_bytes =
            std::clamp<uint64_t>(std::bit_floor(area_bytes_ / 64), 512u << 10, 4u << 20);
        create.pool_bytes = area_bytes_ + kSegmentsBeside * create.segment_bytes + kPoolOverhead;
        if (auto made = Log::create(setup.path, create); !made) return fail(made.error());
        options_.emulate = setup.emulate;
        options_.modelled = setup.modelled;
        options_.spare_segments = static_cast<uint32_t>(create.pool_bytes / create.segment_bytes);
        if (auto ok = open_log(); !ok) return fail(ok.error());
        Taken taken;
        taken.domain = log_->medium().domain;
        taken.emulated = log_->medium().emulated;
        taken.counts = Counts::counted;
        taken.say((options_.forced_cached ? "cached stores, " : "checksummed frames, ") +
                  log_->medium().sentence());
        return taken;
    }

    Result<void> configure(const Cell& cell, const Records& records) override {
        start_cell(cell, records);
        const unsigned streams = writers_ == Writers::many ? 1 : cell.threads;
        for (auto i = static_cast<unsigned>(lanes_.size()); i < streams; ++i) {
            if (auto added = add_lane(i); !added) return added;
        }
        // A stream that is not measured in this cell still holds a segment.
        const uint64_t kept = (lanes_.size() + 2) * log_->segment_bytes();
        const uint64_t room = area_bytes_ - std::min(area_bytes_ / 2, kept);
        const uint64_t group = uint64_t{records.bytes_max() + 96} * cell.records_per_force;
        if (room / cell.threads / 4 < group) {
            return fail(Errc::full, "the pool is too small for the groups of this cell");
        }
        // What the cell before left, in streams that this one does not measure too.
        for (auto& lane : lanes_) {
            if (auto released = lane->release(*log_); !released) return released;
        }
        for (unsigned thread = 0; thread < cell.threads; ++thread) {
            add_seat(CinnabarWorker(&*log_, lane_of(thread), room / cell.threads,
                                    cell.segments == Segments::recycled));
        }
        return {};
    }

    // A slice of the warm kind starts with everything released and prepared.
    Result<void> prepare() override {
        if (cell_.segments == Segments::recycled) return {};
        for (auto& seat : seats_) {
            seat->worker.release();
            if (seat->worker.error()) return fail(*seat->worker.error());
        }
        return {};
    }

    Work work() const override {
        Work work;
        for (const auto& lane : lanes_) {
            const Counters c = lane->stream.counters();
            work.fences += c.fences;
            work.lines += c.lines;
            work.medium_bytes += c.bytes + c.maintenance_bytes;
            work.maintenance_fences += c.maintenance_fences;
        }
        return work;
    }

    Result<void> verify() override {
        std::vector<uint64_t> appended;
        for (const auto& seat : seats_) appended.push_back(seat->cursor.index());
        std::vector<Lsn> from;
        for (const auto& lane : lanes_) from.push_back(lane->from);
        seats_.clear();  // a stream keeps its log alive, and the file locked
        lanes_.clear();
        if (auto closed = log_->close(); !closed) return closed;
        log_.reset();
        if (auto ok = open_log(); !ok) return ok;
        for (unsigned i = 0; i < from.size(); ++i) {
            if (auto ok = reopen_lane(i, from[i]); !ok) return ok;
        }
        return compare(appended);
    }

  private:
    static std::string stream_name(unsigned i) { return "stream-" + std::to_string(i); }
    Lane* lane_of(unsigned thread) { return lanes_[writers_ == Writers::many ? 0 : thread].get(); }

    Result<void> open_log() {
        auto log = Log::open(file_.path(), options_);
        if (!log) return fail(log.error());
        log_.emplace(std::move(*log));
        return {};
    }

    Result<void> add_lane(unsigned i) {
        auto stream = log_->add_stream(stream_name(i), writers_);
        if (!stream) return fail(stream.error());
        auto service = log_->add_service(stream_name(i), stream_name(i));
        if (!service) return fail(service.error());
        lanes_.push_back(std::make_unique<Lane>(std::move(*stream)));
        lanes_.back()->service = *service;
        return {};
    }

    Result<void> reopen_lane(unsigned i, Lsn from) {
        auto stream = log_->stream(stream_name(i));
        if (!stream) return fail(stream.error());
        lanes_.push_back(std::make_unique<Lane>(std::move(*stream)));
        lanes_.back()->from = from;
        for (const ServiceInfo& info : log_->services()) {
            if (info.name == stream_name(i)) lanes_.back()->service = info.service;
        }
        return {};
    }

    Result<void> compare(const std::vector<uint64_t>& appended) {
        Walk walk(*records_);
        const size_t streams = writers_ == Writers::many ? 1 : appended.size();
        for (size_t i = 0; i < streams; ++i) {
            auto reader = lanes_[i]->stream.read(lanes_[i]->from);
            if (!reader) return fail(reader.error());
            for (;;) {
                auto record = reader->next();
                if (!record) return fail(record.error());
                if (!*record) break;
                if (auto same = walk.take((*record)->payload); !same) return same;
            }
        }
        for (unsigned thread = 0; thread < appended.size(); ++thread) {
            if (auto ends = walk.ends_at(thread, appended[thread]); !ends) return ends;
        }
        if (walk.records() == 0) return fail(Errc::corrupt, "the log is empty");
        return {};
    }

    Writers writers_;
    OpenOptions options_;
    FileGuard file_;
    uint64_t area_bytes_ = 0;
    std::optional<Log> log_;
    std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace

std::unique_ptr<Engine> make_cinnabar(Writers writers, bool forced_cached) {
    return std::make_unique<CinnabarEngine>(writers, forced_cached);
}

}  // namespace cinnabar::bench
