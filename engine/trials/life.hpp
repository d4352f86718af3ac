// A small engine over the crash medium, and the history of what it was asked to do.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "log/engine.hpp"
#include "log/reader_core.hpp"
#include "sim/image.hpp"
#include "sim/sim_pool.hpp"
#include "sim/sim_world.hpp"

namespace cinnabar::log {
extern template class Engine<sim::SimWorld>;
}

namespace cinnabar::trials {

using log::Engine;
using sim::Age;
using sim::CrashMedium;
using sim::SimPool;
using sim::SimWorld;

// How often a log is opened where it is opened many times. A sanitizer looks at memory and not at
// images: it is done with fewer.
#ifdef __SANITIZE_ADDRESS__
inline constexpr int kManyLives = 1'000;
#else
inline constexpr int kManyLives = 10'000;
#endif

// The nth record of a stream: its number and filler that depends on it.
std::vector<std::byte> record_bytes(uint64_t number, size_t length);

// What the log keeps with a record.
struct Told {
    Durability durability = Durability::forced;
    ServiceId service = {};
    uint16_t kind = 0;
    std::optional<Lsn> previous = {};

    bool operator==(const Told&) const = default;
};

struct Appended {
    uint64_t number = 0;
    size_t length = 0;
    Lsn lsn;                 // while the append is in flight: where it began to look for space
    bool in_flight = false;  // or it failed: the record may be there, or there further on
    Told told = {};
};

// What a reader was given.
struct ReadRecord {
    Lsn lsn;
    Told told;
    std::vector<std::byte> payload;
};

inline Told told_of(const Record& record) {
    return {record.durability, record.service, record.kind, record.previous};
}

// Of a service: up to where it has released, and up to where it has asked to.
struct Mark {
    uint64_t released = 0;
    uint64_t asked = 0;
};

// What one stream was asked to hold.
struct StreamHistory {
    std::vector<Appended> appended;  // in LSN order, from the oldest that was not released
    uint64_t acknowledged = 0;       // everything below this LSN was acknowledged durable
    uint64_t released = 0;           // everything below this LSN was, and that was acknowledged
    uint64_t low_water = 0;          // the same, or what a release in flight asks for
    std::map<uint16_t, Mark> marks;  // of the services that have released; these are the lowest
    uint64_t last_number = 0;
};

using History = std::map<std::string, StreamHistory>;
using Records = std::vector<ReadRecord>;

// One life of an engine over a pool.
class Life {
  public:
    struct Options {
        Domain domain = Domain::cache_line;
        uint32_t spares = 1;
        bool forced_cached = false;
        std::optional<Site> dropped = {};  // mutants
        std::optional<Site> swapped = {};
        std::optional<Site> doubled = {};
        std::optional<Site> fenced = {};  // a mend
        bool traced = false;              // what is called, and what is appended, for a page
        uint64_t* appends = nullptr;  // counts what is asked of lives that are no crash's next one
    };

    Life(SimPool& pool, const Options& options);
    // A life over an image: what it stores is taken back with the image's undo().
    Life(SimPool& pool, const Options& options, sim::Image& image);
    // The next life after kill -9 of `killed`, over a copy of its memory; also amidst a call of it.
    Life(SimPool& pool, const Life& killed);

    // The process dies, the machine does not: caches keep what was stored. Open again to recover.
    void kill();
    // Power fails, with an image that is drawn from `random`. Open again to recover.
    void lose_power(std::mt19937_64& random);
    // It failed at an earlier moment of this life, and left this.
    void go_back_to(std::span<const std::byte> image);

    SimPool& pool() { return pool_; }
    const Options& options() const { return options_; }
    CrashMedium& medium() { return medium_; }
    const OpenReport& report() const { return report_; }
    // What the last open() asked of the medium.
    struct Work {
        uint64_t stores = 0;
        uint64_t fences = 0;
    };
    const Work& work_of_open() const { return work_of_open_; }
    Engine<SimWorld>& engine() const { return *engine_; }
    const sim::Trace& trace() const { return trace_; }

    Result<void> open(bool read_only = false);

    // Appends the next record of a stream and keeps the history. What `options` do not say of kind,
    // service and previous record is made up, another one for each.
    Result<Lsn> append(History& history, const std::string& stream, size_t length,
                       Durability durability);
    Result<Lsn> append(History& history, const std::string& stream, size_t length,
                       const AppendOptions& options);

    void note_durable(History& history, const std::string& stream);

    Result<void> release(History& history, ServiceId service, Lsn to,
                         const std::string& stream = "s");

    // All records of a stream from the low-water mark on, or the error that ended reading.
    Result<Records> read(const std::string& stream);

  private:
    void mutate();
    // What is acknowledged from now on is not pending, and is not stored to before it is released.
    void seal(const StreamHistory& past, const std::string& stream);
    void tell(sim::Trace::Kind kind, const Appended& record, const std::string& stream);
    template <class Call>
    void for_bytes(const std::string& stream, const Appended& record, Call&& call);

    SimPool& pool_;
    Options options_;
    CrashMedium medium_;
    sim::Trace trace_;
    OpenReport report_;
    Work work_of_open_;
    std::unique_ptr<Engine<SimWorld>> engine_;
    std::map<std::string, uint64_t> sealed_to_;  // LSN, by stream
};

}  // namespace cinnabar::trials
