#include "kit/pool_state.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

#include "format/codec.hpp"
#include "kit/bounded.hpp"
#include "pool/tables.hpp"

namespace kit_test {

namespace {

using cinnabar::Bytes;
using cinnabar::Log;
using cinnabar::Lsn;

constexpr uint64_t kSpan = cinnabar::format::frame_space(kPoolSegmentBytes);
constexpr size_t kRecordBytes = 32000;   // eight to a segment
constexpr const char* kTrial = "trial";  // a stream, a service of it, and a record in any
constexpr std::string_view kNext = "next stream: ";  // its number; the last line of a digest
constexpr std::string_view kRecord = "record ";      // those of make_pool begin so

Bytes bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

// "9 to 19"; or the numbers, where they are no run.
std::string text_of(const std::vector<size_t>& records) {
    if (records.empty()) return "no record";
    bool is_run = true;
    for (size_t i = 0; i < records.size(); ++i) is_run = is_run && records[i] == records[0] + i;
    if (is_run)
        return "records " + std::to_string(records.front()) + " to " +
               std::to_string(records.back());
    std::string text = "records";
    for (const size_t record : records) text += " " + std::to_string(record);
    return text;
}

std::string line_of_stream(const std::string& name, bool shared, uint64_t low_water,
                           uint64_t segments, const std::vector<size_t>& records) {
    return "stream " + name + (shared ? " of many writers" : " of one writer") + ", from LSN " +
           std::to_string(low_water) + ", in " + std::to_string(segments) + " segments, " +
           text_of(records) + "\n";
}

std::string line_of_service(unsigned number, const ServiceState& service) {
    return "service " + std::to_string(number) + " " + service.name + " of " + service.stream +
           " at LSN " + std::to_string(service.mark) + "\n";
}

}  // namespace

std::string pool_record(const std::string& stream, size_t number) {
    std::string text = std::string(kRecord) + std::to_string(number) + " of " + stream + " ";
    while (text.size() < kRecordBytes) text += text;
    return text.substr(0, kRecordBytes);
}

// --- what is to be there ------------------------------------------------------------------------

uint64_t PoolState::low_water(const std::string& stream) const {
    std::optional<uint64_t> lowest;
    for (const auto& [number, service] : services)
        if (service.stream == stream)
            lowest = std::min(lowest.value_or(service.mark), service.mark);
    return lowest.value_or(streams.at(stream).kept_from);
}

std::string PoolState::text() const {
    std::string text;
    for (const auto& [name, stream] : streams) {
        const uint64_t from = low_water(name);
        std::vector<size_t> needed;
        for (size_t i = 0; i < stream.records.size(); ++i)
            if (stream.records[i] >= from) needed.push_back(i);
        const uint64_t segments =
            stream.records.empty() ? 0 : stream.records.back() / kSpan - from / kSpan + 1;
        text += line_of_stream(name, stream.shared, from, segments, needed);
    }
    for (const auto& [number, service] : services) text += line_of_service(number, service);
    return text;
}

Change adds_stream(const std::string& name, bool shared) {
    return {"add stream " + name, [=](PoolState& state) {
                state.streams[name] = {shared, {}, 0};
                ++state.streams_ever;
            }};
}

Change removes_stream(const std::string& name) {
    return {"remove stream " + name, [=](PoolState& state) { state.streams.erase(name); }};
}

Change adds_service(unsigned number, const ServiceState& service) {
    return {"add service " + service.name,
            [=](PoolState& state) { state.services[number] = service; }};
}

Change removes_service(unsigned number) {
    return {"remove service " + std::to_string(number), [=](PoolState& state) {
                const ServiceState service = state.services.at(number);
                state.services.erase(number);
                const bool is_last = std::ranges::none_of(state.services, [&](const auto& other) {
                    return other.second.stream == service.stream;
                });
                if (is_last) state.streams.at(service.stream).kept_from = service.mark;
            }};
}

cinnabar::crash::Oracle all_or_none_of_each(PoolState before, std::vector<Change> changes) {
    const auto after = [=](size_t n) {
        PoolState state = before;
        for (size_t i = 0; i < n; ++i) changes[i].expect(state);
        return state;
    };
    return [=](std::string_view digest, const cinnabar::crash::History& history) {
        const size_t least = history.acknowledged_prefix(), most = history.operations().size();
        const size_t last_line = digest.rfind(kNext);
        const std::string_view text = digest.substr(0, last_line);
        std::string possible;
        bool is_possible = false;
        for (size_t n = least; n <= most; ++n) {
            is_possible = is_possible || text == after(n).text();
            possible += (n == least ? "" : "or\n") + after(n).text();
        }
        if (!is_possible || last_line == std::string_view::npos)
            return "it is\n" + std::string(digest) + "and not\n" + possible;
        // A number may have been given to a stream that is not there.
        const uint64_t next = std::stoul(std::string(digest.substr(last_line + kNext.size())));
        if (next > after(least).streams_ever && next <= after(most).streams_ever + 1)
            return std::string();
        return "a new stream is given the number " + std::to_string(next);
    };
}

// --- a pool to start with -----------------------------------------------------------------------

namespace {

std::vector<uint64_t> append_records(Log& log, const std::string& name, bool shared) {
    using cinnabar::Writers;
    cinnabar::Stream stream = must(log.add_stream(name, shared ? Writers::many : Writers::one));
    std::vector<uint64_t> at;
    for (size_t i = 0; i < kPoolRecords; ++i)
        at.push_back(must(stream.append(bytes_of(pool_record(name, i)))).value);
    return at;
}

}  // namespace

PoolState make_pool(const std::string& path) {
    cinnabar::CreateOptions options;
    options.pool_bytes = 8 << 20;
    options.segment_bytes = kPoolSegmentBytes;
    must(Log::create(path, options));
    Log log = must(Log::open(path));
    PoolState state;
    for (const auto& [name, shared] :
         {std::pair("kept", false), {"audited", true}, {"gone", false}})
        state.streams[name] = {shared, append_records(log, name, shared), 0};
    state.streams_ever = state.streams.size();
    const auto add = [&](const std::string& name, const std::string& stream, size_t record) {
        const cinnabar::ServiceId service = must(log.add_service(stream, name));
        state.services[service.value] = {name, stream, state.streams.at(stream).records[record]};
    };
    add("auditor", "audited", 9);
    add("billing", "audited", 17);
    add("teller", "audited", 17);
    add("keeper", "kept", 9);
    for (const auto& [number, service] : state.services)
        must(log.release(cinnabar::ServiceId{static_cast<uint16_t>(number)}, Lsn{service.mark}));
    must(log.close());
    return state;
}

cinnabar::crash::Options until_found() {
    cinnabar::crash::Options options = bounded(kImagesOfPools);
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
            const auto record = must(must(stream.read(at)).next());
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
        return text.append(kNext) + std::to_string(number_of_trial(path)) + "\n";
    } catch (const std::exception& error) {
        return std::string("wrong: ") + error.what() + "\n";
    }
}

}  // namespace kit_test
