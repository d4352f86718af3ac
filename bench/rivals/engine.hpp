// What is measured, behind one interface. An Engine appends records by one way of making them
// durable; each measured thread has a Worker of it. The interface is virtual per slice, never per
// record: EngineOf<Worker> compiles the one loop of run_slice for each Worker, so that all engines
// pay the same overhead, and as little as a log's own caller would.
//
// An engine owns one file, made in its Setup's path, removed when the engine is destroyed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cinnabar/medium.hpp"
#include "cinnabar/result.hpp"
#include "force/clock.hpp"
#include "force/histogram.hpp"
#include "force/records.hpp"

namespace cinnabar::bench {

enum class Segments : uint8_t {
    warm,      // the space of a slice is ready before its clock starts
    recycled,  // space is reused while the clock runs, whenever the engine is out of it
};

// One point of the measurement.
struct Cell {
    uint32_t record_bytes = 256;  // 0: lengths from the trace
    uint32_t threads = 1;
    uint32_t records_per_force = 1;
    Segments segments = Segments::warm;

    friend bool operator==(const Cell&, const Cell&) = default;
};

struct Setup {
    std::string path;         // of the engine's file; must not exist
    uint64_t area_bytes = 0;  // space for records, all threads together, about
    Emulate emulate = Emulate::no;
    ModelledLatency modelled;
};

// Whence an engine's numbers of fences and lines come.
enum class Counts : uint8_t {
    none,     // not known
    stated,   // what its source does, by rule
    counted,  // counted by the engine in this run
};

// What an engine found its file to be, and what it does there.
struct Taken {
    Domain domain = Domain::page;
    bool emulated = false;  // treated as persistent memory, and is not
    Counts counts = Counts::none;
    std::array<char, 96> how = {};  // "64-byte non-temporal stores, sfence"

    void say(std::string_view text) {
        how = {};
        text.copy(how.data(), how.size() - 1);
    }
};

struct Work {
    uint64_t records = 0;
    uint64_t forces = 0;
    uint64_t bytes = 0;               // of records
    uint64_t fences = 0;              // in the page domain: system calls that make durable
    uint64_t lines = 0;               // flushed or stored non-temporally
    uint64_t medium_bytes = 0;        // what the medium was given to keep, in its own units
    uint64_t maintenance_fences = 0;  // for space, not for records
    Work& operator+=(const Work& other);
    Work& operator-=(const Work& other);
};

struct Slice {
    uint64_t length_ns = 0;
    bool timed = false;  // take the time of every force; the mean is taken from slices without
};

struct SliceResult {
    Work work;
    double thread_ns = 0;  // summed over threads
    std::optional<Error> error;
};

// Walks the records of one thread.
class Cursor {
  public:
    Cursor() = default;
    Cursor(const Records& records, unsigned thread) : records_(&records), thread_(thread) {}
    Bytes next() { return records_->at(thread_, index_++); }
    uint64_t index() const { return index_; }  // of the next record
    uint32_t bytes_max() const { return records_->bytes_max(); }

  private:
    const Records* records_ = nullptr;
    unsigned thread_ = 0;
    uint64_t index_ = 0;
};

class Engine {
  public:
    virtual ~Engine() = default;

    // Creates the file and touches all of it.
    virtual Result<Taken> open(const Setup& setup) = 0;
    // Starts a cell on an empty log. The records outlive the cell.
    virtual Result<void> configure(const Cell& cell, const Records& records) = 0;
    // Called before each slice, its clock not yet started, no thread running: makes space.
    virtual Result<void> prepare() = 0;
    virtual SliceResult run(unsigned thread, const Slice& slice, const Clock& clock,
                            Histogram& force_ns) = 0;
    // Fences, lines and bytes since the cell began; the loop counts the rest. No thread runs.
    virtual Work work() const = 0;
    // Closes, opens again and compares every record that is still there with what was appended.
    // Only configure() may follow. Error: corrupt.
    virtual Result<void> verify() = 0;
};

// The timed loop. A Worker has
//   void append(Bytes record, bool force)    the force covers all its records so far
//   uint64_t fits(uint64_t bytes) const      records of `bytes` that have room without reuse
//   const std::optional<Error>& error() const
//   Work work() const                        fences, lines and bytes so far
// The clock is read once per batch; batches grow to about a thirtieth of the slice.
template <bool kTimed, class Worker>
SliceResult run_slice(Worker& worker, Cursor& cursor, const Slice& slice, const Cell& cell,
                      const Clock& clock, Histogram& force_ns) {
    const uint32_t group = cell.records_per_force;
    const bool bounded = cell.segments == Segments::warm;
    const uint64_t groups_max = bounded ? worker.fits(cursor.bytes_max()) / group : UINT64_MAX;
    const uint64_t length = clock.ticks_of(slice.length_ns);
    SliceResult result;
    uint64_t groups = 0, batch = 1, now = clock.now();
    const uint64_t started = now;
    while (groups < groups_max && now - started < length && !worker.error()) {
        batch = std::min(batch, groups_max - groups);
        for (uint64_t i = 0; i < batch; ++i) {
            for (uint32_t k = 1; k < group; ++k) {
                const Bytes record = cursor.next();
                result.work.bytes += record.size();
                worker.append(record, false);
            }
            const Bytes record = cursor.next();
            result.work.bytes += record.size();
            if constexpr (kTimed) {
                const uint64_t from = clock.begin();
                worker.append(record, true);
                force_ns.add(static_cast<uint64_t>(clock.ns_of(clock.end() - from)));
            } else {
                worker.append(record, true);
            }
        }
        groups += batch;
        const uint64_t ended = clock.now();
        if (ended - now < length / 32) batch *= 2;
        now = ended;
    }
    result.thread_ns = clock.ns_of(now - started);
    result.work.records = groups * group;
    result.work.forces = groups;
    result.error = worker.error();
    return result;
}

template <class Worker>
class EngineOf : public Engine {
  public:
    SliceResult run(unsigned thread, const Slice& slice, const Clock& clock,
                    Histogram& force_ns) final {
        Seat& seat = *seats_[thread];
        return slice.timed
                   ? run_slice<true>(seat.worker, seat.cursor, slice, cell_, clock, force_ns)
                   : run_slice<false>(seat.worker, seat.cursor, slice, cell_, clock, force_ns);
    }

    Work work() const override {
        Work sum;
        for (const auto& seat : seats_) sum += seat->worker.work();
        return sum;
    }

  protected:
    // A worker with its cursor, in lines of their own.
    struct alignas(128) Seat {
        Worker worker;
        Cursor cursor;
    };

    void start_cell(const Cell& cell, const Records& records) {
        cell_ = cell;
        records_ = &records;
        seats_.clear();
    }
    void add_seat(Worker worker) {
        const auto thread = static_cast<unsigned>(seats_.size());
        seats_.push_back(std::make_unique<Seat>(Seat{std::move(worker), {*records_, thread}}));
    }

    Cell cell_;
    const Records* records_ = nullptr;
    std::vector<std::unique_ptr<Seat>> seats_;
};

// The engines by name; nullptr: no such engine in this build.
std::unique_ptr<Engine> make_engine(std::string_view name);

struct EngineInfo {
    const char* name;
    bool on_disk;         // measured on a disk path, beside the medium
    bool ours;            // there is no run without it, as without the floor, if it does not open
    bool models;          // can add modelled latency
    uint32_t beside_mib;  // of its file, beside the area
    const char* absent;   // why it is not in this build; nullptr if it is
    const char* what;     // it does, in a line for whoever reads its row
};

// Every engine there is, floor first, in the order of the table.
const std::vector<EngineInfo>& engines();

// "floor, cinnabar, ...": for whoever named one that there is not.
std::string engine_names();

// An engine that has nothing of its own to say about a cell is left out of it.
bool measured_in(std::string_view engine, const Cell& cell);

}  // namespace cinnabar::bench
