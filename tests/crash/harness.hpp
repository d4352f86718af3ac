// A small engine over the crash medium, what it was asked to do, and what a recovered image must
// then hold. The oracle, for each stream: what is recovered is an exact prefix of what was
// appended, in LSN order, with nothing acknowledged missing and nothing else.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "log/engine.hpp"
#include "log/reader_core.hpp"
#include "sim/explore.hpp"
#include "sim/image.hpp"
#include "sim/sim_pool.hpp"
#include "sim/sim_world.hpp"

namespace cinnabar::crash_test {

using log::Engine;
using sim::Age;
using sim::CrashMedium;
using sim::SimPool;
using sim::SimWorld;

inline uint64_t seed_of_this_run() {
    const char* given = std::getenv("CINNABAR_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : 20260101;
}

// The nth record of a stream: its number and filler that depends on it.
inline std::vector<std::byte> record_bytes(uint64_t number, size_t length) {
    std::vector<std::byte> bytes(std::max(length, sizeof number));
    std::memcpy(bytes.data(), &number, sizeof number);
    uint64_t word = number;
    for (size_t at = sizeof number; at < bytes.size(); at += sizeof word) {
        word = (word + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
        word ^= word >> 29;
        std::memcpy(bytes.data() + at, &word, std::min(sizeof word, bytes.size() - at));
    }
    return bytes;
}

struct Appended {
    uint64_t number = 0;
    size_t length = 0;
    Lsn lsn;
};

// What one stream was asked to hold.
struct StreamHistory {
    std::vector<Appended> appended;  // in LSN order, from the oldest that was not released
    uint64_t acknowledged = 0;       // everything below this LSN was acknowledged durable
    uint64_t low_water = 0;
    uint64_t last_number = 0;
};

using History = std::map<std::string, StreamHistory>;

// One life of an engine over a pool.
class Life {
  public:
    struct Options {
        Domain domain = Domain::cache_line;
        uint32_t spares = 1;
        bool forced_cached = false;
        std::optional<Site> dropped = {};  // mutants
        std::optional<Site> swapped = {};
    };

    Life(SimPool& pool, const Options& options)
        : pool_(pool), options_(options), medium_(pool.bytes(), options.domain) {
        mutate();
    }

    // A life over an image: what it stores is taken back with the image's undo().
    Life(SimPool& pool, const Options& options, sim::Image& image) : Life(pool, options) {
        medium_.on_store(
            [&image](uint64_t offset, Bytes value) { image.stored(offset, value.size()); });
    }

    // The next life after kill -9 of `killed`, over a copy of its memory; also amidst a call of it.
    Life(SimPool& pool, const Life& killed)
        : pool_(pool), options_(killed.options_), medium_(pool.bytes(), killed.medium_) {
        mutate();
    }

    // The process dies, the machine does not: caches keep what was stored. Open again to recover.
    void kill() {
        engine_.reset();
        medium_.kill();
    }

    CrashMedium& medium() { return medium_; }
    const OpenReport& report() const { return report_; }
    Engine<SimWorld>& engine() { return *engine_; }

    Result<void> open(bool read_only = false) {
        log::EngineOptions options;
        options.read_only = read_only;
        options.spares_max = options_.spares;
        options.forced_cached = options_.forced_cached;
        options.parallel_for = sim::run_serially;
        report_ = {};
        auto engine = Engine<SimWorld>::open(pool_.space(), medium_, options, report_);
        if (!engine) return fail(engine.error());
        engine_ = std::move(*engine);
        return {};
    }

    // Appends the next record of a stream and keeps the history.
    Result<Lsn> append(History& history, const std::string& stream, size_t length,
                       Durability durability) {
        return append(history, stream, length, AppendOptions{.durability = durability});
    }
    Result<Lsn> append(History& history, const std::string& stream, size_t length,
                       const AppendOptions& options) {
        StreamHistory& past = history[stream];
        const uint64_t number = ++past.last_number;
        const std::vector<std::byte> bytes = record_bytes(number, length);
        auto core = engine_->stream(stream);
        // A crash inside the call may keep the record: the history has it from its start.
        past.appended.push_back({number, bytes.size(), Lsn{core->appended()}});
        const Bytes piece(bytes);
        auto lsn = core->append({&piece, 1}, bytes.size(), options);
        if (!lsn) {
            if (Lsn{core->appended()} > past.appended.back().lsn) return lsn;  // it may survive
            past.appended.pop_back();
            --past.last_number;
            return lsn;
        }
        past.appended.back().lsn = *lsn;
        past.acknowledged = std::max(past.acknowledged, core->durable());
        return lsn;
    }

    void note_durable(History& history, const std::string& stream) {
        history[stream].acknowledged =
            std::max(history[stream].acknowledged, engine_->stream(stream)->durable());
    }

    // All records of a stream from the low-water mark on, or the error that ended reading.
    Result<std::vector<std::pair<Lsn, std::vector<std::byte>>>> read(const std::string& stream) {
        auto reader = ReaderCore::open(engine_->stream(stream), std::nullopt, Frontier::durable);
        if (!reader) return fail(reader.error());
        std::vector<std::pair<Lsn, std::vector<std::byte>>> records;
        for (;;) {
            auto record = (*reader)->next();
            if (!record) return fail(record.error());
            if (!*record) return records;
            records.emplace_back((*record)->lsn, std::vector<std::byte>((*record)->payload.begin(),
                                                                        (*record)->payload.end()));
        }
    }

  private:
    void mutate() {
        if (options_.dropped) medium_.drop(*options_.dropped);
        if (options_.swapped) medium_.swap_kind(*options_.swapped);
    }

    SimPool& pool_;
    Options options_;
    CrashMedium medium_;
    OpenReport report_;
    std::unique_ptr<Engine<SimWorld>> engine_;
};

// Empty when a recovered life agrees with the history, else what is wrong.
inline std::string compare(Life& life, const History& history) {
    for (const auto& [stream, past] : history) {
        auto records = life.read(stream);
        if (!records)
            return stream + ": " + std::string(name_of(records.error().code)) + ": " +
                   records.error().message;
        // A release that was under way may or may not have raised the mark.
        size_t needed = 0;
        while (needed < past.appended.size() && past.appended[needed].lsn.value < past.low_water)
            ++needed;
        size_t at = 0;
        while (at < needed && !records->empty() && past.appended[at].lsn < records->front().first)
            ++at;
        if (records->empty()) at = needed;
        uint64_t end = 0;
        for (const auto& [lsn, payload] : *records) {
            if (at == past.appended.size())
                return stream + ": a record at LSN " + std::to_string(lsn.value) +
                       " that was never appended";
            const Appended& expected = past.appended[at];
            // The last record may have crossed into a new segment before the crash.
            const bool last = at + 1 == past.appended.size();
            if (payload != record_bytes(expected.number, expected.length))
                return stream + ": LSN " + std::to_string(lsn.value) + " is not record " +
                       std::to_string(expected.number);
            if (lsn != expected.lsn && !last)
                return stream + ": record " + std::to_string(expected.number) + " stands at LSN " +
                       std::to_string(lsn.value) + " and was appended at " +
                       std::to_string(expected.lsn.value);
            end = lsn.value + format::padded_bytes(payload.size());
            ++at;
        }
        if (at < past.appended.size() && past.appended[at].lsn.value < past.acknowledged)
            return stream + ": acknowledged record " + std::to_string(past.appended[at].number) +
                   " at LSN " + std::to_string(past.appended[at].lsn.value) +
                   " is gone; the log ends at " + std::to_string(end);
    }
    return "";
}

// What `life` recovered after the crash of another one: nothing that `before` promises is missing,
// and what was delivered is what `after` goes on from. Empty, or what is wrong.
inline std::string deliver(Life& life, const History& before, History& after) {
    if (std::string wrong = compare(life, before); !wrong.empty()) return wrong;
    const auto& appended = before.at("s").appended;
    const size_t survivors = life.read("s")->size();
    StreamHistory& past = after["s"];
    past.appended.assign(appended.begin(), appended.begin() + static_cast<ptrdiff_t>(survivors));
    past.last_number = 1000;
    life.note_durable(after, "s");
    return "";
}

// What holds of the segments of every image, whatever was appended. Empty, or what is wrong.
inline std::string check_structure(const SimPool& pool) {
    const log::PoolScan scan = log::scan_pool(pool.space(), sim::run_serially);
    for (size_t i = 0; i < scan.segments.size(); ++i)
        if (scan.segments[i].header.generation > scan.ceiling)
            return "segment " + std::to_string(i) + ": its generation is above the ceiling";
    for (const log::StreamScan& stream : scan.streams)
        for (const uint32_t segment : stream.kept)
            if (scan.segments[segment].header.one_copy)
                return "segment " + std::to_string(segment) + ": attached with one header copy";
    return "";
}

// Recovers `crashed` by `life` and compares. Empty, or what is wrong.
inline std::string recover_and_compare(const SimPool& crashed, Life& life, const History& history) {
    if (std::string wrong = check_structure(crashed); !wrong.empty()) return wrong;
    if (auto opened = life.open(); !opened)
        return "open: " + std::string(name_of(opened.error().code)) + ": " + opened.error().message;
    return compare(life, history);
}

// Of an image of `pool`, in memory of its own.
inline std::string recover_and_compare(const SimPool& pool, std::span<const std::byte> image,
                                       const History& history, const Life::Options& options) {
    SimPool copy(pool, image);
    Life life(copy, options);
    return recover_and_compare(copy, life, history);
}

// An image of a crash of `origin`, where it stands, and the life that recovers it.
struct Crashed {
    Crashed(const SimPool& origin, sim::Image& image, const Life::Options& options)
        : pool(SimPool::in_place(origin, image.bytes())), life(pool, options, image) {}

    SimPool pool;
    Life life;
};

inline std::string recover_and_compare(const SimPool& pool, sim::Image& image,
                                       const History& history, const Life::Options& options) {
    Crashed crashed(pool, image, options);
    return recover_and_compare(crashed.pool, crashed.life, history);
}

// Checks every image of every crash point of a life, from now on.
class Explorer {
  public:
    using Check = std::function<std::string(sim::Image&)>;

    Explorer(Life& life, Check check, const sim::ExploreOptions& levels = {})
        : life_(life),
          check_(std::move(check)),
          levels_(levels),
          image_(life.medium().live().size()) {
        life.medium().on_crash_point(
            [this](Site site) { look("crash at " + std::string(name_of(site))); });
    }
    Explorer(const Explorer&) = delete;
    Explorer& operator=(const Explorer&) = delete;
    ~Explorer() { life_.medium().on_crash_point(nullptr); }

    // Also where no fence is due, for example at the end.
    void look(const std::string& where) {
        if (!failure.empty()) return;
        const CrashMedium& medium = life_.medium();
        explored.add(sim::explore(medium.live(), medium.pending(), image_, levels_, [&] {
            const std::string wrong = check_(image_);
            if (!wrong.empty()) failure = where + ": " + wrong;
            return wrong.empty();
        }));
    }

    sim::Explored explored;
    std::string failure;

  private:
    Life& life_;
    Check check_;
    const sim::ExploreOptions levels_;
    sim::Image image_;
};

}  // namespace cinnabar::crash_test
