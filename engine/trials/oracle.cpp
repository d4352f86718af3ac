#include "trials/oracle.hpp"

#include "log/scan.hpp"

namespace cinnabar::trials {

namespace {

std::string lsn_of(const Appended& appended) {
    return std::to_string(appended.lsn.value);
}

// Which of the appended ones the first of `records` is. A release that was under way may or may not
// have raised the mark; one that was acknowledged has.
size_t first_delivered(const StreamHistory& past, const Records& records) {
    size_t released = 0;
    while (released < past.appended.size() && past.appended[released].lsn.value < past.low_water)
        ++released;
    if (records.empty()) return released;
    size_t at = 0;
    while (at < released && past.appended[at].lsn < records.front().first) ++at;
    return at;
}

std::string compare(const StreamHistory& past, const Records& records) {
    if (!records.empty() && records.front().first.value < past.released)
        return "LSN " + std::to_string(records.front().first.value) + " is there again: up to " +
               std::to_string(past.released) + " was released";
    size_t at = first_delivered(past, records);
    uint64_t end = 0;
    for (const auto& [lsn, payload] : records) {
        if (at == past.appended.size())
            return "a record at LSN " + std::to_string(lsn.value) + " that was never appended";
        const Appended& expected = past.appended[at];
        if (payload != record_bytes(expected.number, expected.length))
            return "LSN " + std::to_string(lsn.value) + " is not record " +
                   std::to_string(expected.number);
        // The last record may have crossed into a new segment before the crash.
        const bool last = at + 1 == past.appended.size();
        if (lsn != expected.lsn && !last)
            return "record " + std::to_string(expected.number) + " stands at LSN " +
                   std::to_string(lsn.value) + " and was appended at " + lsn_of(expected);
        end = lsn.value + format::padded_bytes(payload.size());
        ++at;
    }
    if (at < past.appended.size() && past.appended[at].lsn.value < past.acknowledged)
        return "acknowledged record " + std::to_string(past.appended[at].number) + " at LSN " +
               lsn_of(past.appended[at]) + " is gone; the log ends at " + std::to_string(end);
    return "";
}

}  // namespace

std::string compare(Life& life, const History& history) {
    for (const auto& [stream, past] : history) {
        const auto records = life.read(stream);
        if (!records)
            return stream + ": " + std::string(name_of(records.error().code)) + ": " +
                   records.error().message;
        if (std::string wrong = compare(past, *records); !wrong.empty())
            return stream + ": " + wrong;
    }
    return "";
}

std::string deliver(Life& life, History& history) {
    if (std::string wrong = compare(life, history); !wrong.empty()) return wrong;
    for (auto& [stream, past] : history) {
        const auto records = life.read(stream);
        const Lsn last = records->empty() ? Lsn{} : records->back().first;
        if (records->empty()) past.appended.clear();
        while (!past.appended.empty() && past.appended.back().lsn > last) past.appended.pop_back();
        if (!past.appended.empty()) past.appended.back().lsn = last;
        past.last_number += 1000;  // what comes is told from what is gone
        life.note_durable(history, stream);
    }
    return "";
}

std::string check_structure(const SimPool& pool) {
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

std::string recover_and_compare(const SimPool& crashed, Life& life, const History& history) {
    if (std::string wrong = check_structure(crashed); !wrong.empty()) return wrong;
    if (auto opened = life.open(); !opened)
        return "open: " + std::string(name_of(opened.error().code)) + ": " + opened.error().message;
    return compare(life, history);
}

std::string recover_and_compare(const SimPool& pool, std::span<const std::byte> image,
                                const History& history, const Life::Options& options) {
    SimPool copy(pool, image);
    Life life(copy, options);
    return recover_and_compare(copy, life, history);
}

std::string recover_and_compare(const SimPool& pool, sim::Image& image, const History& history,
                                const Life::Options& options) {
    Crashed crashed(pool, image, options);
    return recover_and_compare(crashed.pool, crashed.life, history);
}

}  // namespace cinnabar::trials
