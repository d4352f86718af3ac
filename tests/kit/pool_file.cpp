#include "kit/pool_file.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <span>
#include <string_view>

#include "kit/bounded.hpp"
#include "pool/tables.hpp"

namespace kit_test {

namespace {

using cinnabar::Bytes;
using cinnabar::Log;
using cinnabar::Lsn;

constexpr const char* kTrial = "trial";          // a stream, a service of it, and a record in any
constexpr std::string_view kRecord = "record ";  // those of make_pool begin so
constexpr size_t kRecords = 20;
constexpr size_t kRecordBytes = 32000;
constexpr uint64_t kFrameBytes = 32064;  // with its header, in whole lines
constexpr uint64_t kLineBytes = cinnabar::format::kLineBytes;
constexpr uint64_t kSpan = cinnabar::format::frame_space(kPoolSegmentBytes);
constexpr uint64_t kRecordsInSegment = (kSpan - kLineBytes) / kFrameBytes;  // behind its link

Bytes bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

}  // namespace

std::string pool_record(const std::string& stream, size_t number) {
    std::string text = std::string(kRecord) + std::to_string(number) + " of " + stream + " ";
    while (text.size() < kRecordBytes) text += text;
    return text.substr(0, kRecordBytes);
}

// --- a pool to start with -----------------------------------------------------------------------

uint64_t pool_record_lsn(size_t number) {
    return number / kRecordsInSegment * kSpan + kLineBytes +
           number % kRecordsInSegment * kFrameBytes;
}

namespace {

PoolState state_to_make() {
    StreamState stream;
    for (size_t i = 0; i < kRecords; ++i) stream.records.push_back(pool_record_lsn(i));
    PoolState state;
    state.streams = {{"audited", stream}, {"gone", stream}, {"kept", stream}};
    state.streams.at("audited").shared = true;
    state.streams_ever = state.streams.size();
    state.services = {{1, {"auditor", "audited", pool_record_lsn(9)}},
                      {2, {"billing", "audited", pool_record_lsn(17)}},
                      {3, {"teller", "audited", pool_record_lsn(17)}},
                      {4, {"keeper", "kept", pool_record_lsn(9)}}};
    return state;
}

void fill(Log& log, const PoolState& state) {
    using cinnabar::Writers;
    const auto expect = [](uint64_t got, uint64_t wanted) {
        if (got != wanted)
            throw std::runtime_error("got " + std::to_string(got) + " and not " +
                                     std::to_string(wanted));
    };
    for (const auto& [name, wanted] : state.streams) {
        const Writers writers = wanted.shared ? Writers::many : Writers::one;
        cinnabar::Stream stream = must(log.add_stream(name, writers));
        for (size_t i = 0; i < kRecords; ++i)
            expect(must(stream.append(bytes_of(pool_record(name, i)))).value, wanted.records[i]);
    }
    for (const auto& [number, wanted] : state.services)
        expect(must(log.add_service(wanted.stream, wanted.name)).value, number);
    for (const auto& [number, wanted] : state.services)
        must(log.release(cinnabar::ServiceId{static_cast<uint16_t>(number)}, Lsn{wanted.mark}));
}

}  // namespace

// In a process of its own: a log that recovers may start threads, and whoever crashes something
// must have but one.
PoolState make_pool(const std::string& path) {
    PoolState state = state_to_make();
    const pid_t child = ::fork();
    if (child == 0) {
        try {
            must(Log::create(path, {.pool_bytes = 8 << 20, .segment_bytes = kPoolSegmentBytes}));
            Log log = must(Log::open(path));
            fill(log, state);
            must(log.close());
            ::_exit(0);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "no pool: %s\n", error.what());
            ::_exit(1);
        }
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child || status != 0)
        throw std::runtime_error("the pool to start with could not be made");
    return state;
}

cinnabar::crash::Options until_found() {
    cinnabar::crash::Options options = bounded(60);
    options.recovery_crashes_max = 0;
    options.violations_max = 1;
    options.reduction_images_max = 0;
    options.fixes_max = 0;
    return options;
}

cinnabar::pool::Pool open_emulated(const std::string& path,
                                   const cinnabar::ModelledLatency& modelled) {
    cinnabar::pool::OpenOptions options;
    options.emulate = cinnabar::Emulate::cache_line;
    options.modelled = modelled;
    return must(cinnabar::pool::Pool::open(path, options));
}

// --- what is there ------------------------------------------------------------------------------

namespace {

template <class T>
T read_at(std::ifstream& file, uint64_t offset) {
    T value;
    file.seekg(static_cast<std::streamoff>(offset));
    if (!file.read(reinterpret_cast<char*>(&value), sizeof value))
        throw std::runtime_error("the file ends too early");
    return value;
}

}  // namespace

// The way that FORMAT.md 3.1 calls the engine's.
FoundBytes read_catalogue(const std::string& path) {
    constexpr uint64_t root_at = 6144, page = cinnabar::format::kPageBytes;
    std::ifstream file(path, std::ios::binary);
    const auto root = read_at<uint64_t>(file, root_at);
    const auto allocation = read_at<uint64_t>(file, root + 8);
    const uint64_t offset = (allocation + page - 1) / page * page;
    return {offset, read_at<cinnabar::format::Catalogue>(file, offset)};
}

namespace {

// Of one recovered log: what it holds, and whether it can go on.
class Inspector {
  public:
    explicit Inspector(Log& log) : log_(log) {}

    std::string text() {
        const std::vector<cinnabar::Damage> damage = must(log_.check());
        if (!damage.empty()) wrong("damage: " + damage.front().verdict);
        uint32_t held = 0;
        std::map<std::string, std::string> lines;  // by name
        for (const cinnabar::StreamReport& report : log_.report().streams) {
            held += report.segments;
            if (report.name == kTrial) continue;
            lines[report.name] = line_of(report);
        }
        if (held + log_.segments_free() != log_.segments_total())
            wrong(std::to_string(held) + " segments held and " +
                  std::to_string(log_.segments_free()) + " free, of " +
                  std::to_string(log_.segments_total()));
        std::string text;
        for (const auto& [name, line] : lines) text += line;
        for (const cinnabar::ServiceInfo& service : log_.services())
            if (service.name != kTrial)
                text += line_of_service(service.service.value,
                                        {service.name, service.stream, service.low_water.value});
        return text;
    }

    void go_on() {
        if (!log_.stream(kTrial)) must(log_.add_stream(kTrial, cinnabar::Writers::many));
        bool served = false;
        for (const cinnabar::ServiceInfo& service : log_.services())
            served = served || service.name == kTrial;
        if (!served) must(log_.add_service(kTrial, kTrial));
        with_records_.emplace_back(kTrial);
        for (const std::string& name : with_records_) {
            cinnabar::Stream stream = must(log_.stream(name));
            const Lsn at = must(stream.append(bytes_of(kTrial)));
            cinnabar::Reader reader = must(stream.read(at));
            const auto record = must(reader.next());
            if (!record || record->lsn != at ||
                !std::ranges::equal(record->payload, bytes_of(kTrial)))
                wrong("what was appended to " + name + " is not read back");
        }
    }

  private:
    [[noreturn]] static void wrong(const std::string& what) { throw std::runtime_error(what); }

    std::string line_of(const cinnabar::StreamReport& report) {
        const cinnabar::Stream stream = must(log_.stream(report.name));
        std::vector<size_t> records;
        cinnabar::Reader reader = must(stream.read());
        while (const auto record = must(reader.next())) {
            const std::string text(reinterpret_cast<const char*>(record->payload.data()),
                                   record->payload.size());
            if (text == kTrial) continue;
            const size_t number =
                text.starts_with(kRecord) ? std::stoul(text.substr(kRecord.size())) : 0;
            if (text != pool_record(report.name, number))
                wrong("a foreign record in " + report.name);
            records.push_back(number);
        }
        // An append may have been cut short behind the link of its segment.
        const uint64_t segments = records.empty() ? 0 : report.segments;
        if (!records.empty()) with_records_.push_back(report.name);
        return line_of_stream(report.name, stream.writers() == cinnabar::Writers::many,
                              stream.low_water().value, segments, records);
    }

    Log& log_;
    std::vector<std::string> with_records_;
};

uint32_t number_of_trial(const std::string& path) {
    const FoundBytes found = read_catalogue(path);
    const auto row = cinnabar::pool::find_named(found.catalogue.streams, kTrial);
    return row ? found.catalogue.streams[*row].stream : 0;
}

}  // namespace

std::string recover_pool(const std::string& path, const cinnabar::OpenOptions& options) {
    try {
        std::string text;
        {
            Log log = must(Log::open(path, options));
            Inspector inspector(log);
            text = inspector.text();
            inspector.go_on();
            must(log.close());
        }
        return text.append(kNextStream) + std::to_string(number_of_trial(path)) + "\n";
    } catch (const std::exception& error) {
        return std::string("wrong: ") + error.what() + "\n";
    }
}

}  // namespace kit_test
