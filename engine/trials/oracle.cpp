#include "trials/oracle.hpp"

#include <algorithm>

#include "log/scan.hpp"

namespace cinnabar::trials {

namespace {

std::string lsn_of(const Appended& appended) {
    return std::to_string(appended.lsn.value);
}

std::string compare_mark(const StreamHistory& past, uint64_t mark) {
    if (mark == past.released || mark == past.low_water) return "";
    return "the low-water mark is " + std::to_string(mark) + ": up to " +
           std::to_string(past.released) + " was released" +
           (past.low_water == past.released
                ? ""
                : ", and up to " + std::to_string(past.low_water) + " asked for");
}

std::string compare_marks(const StreamHistory& past, const Life& life) {
    for (const auto& [service, mark] : past.marks) {
        const uint64_t now = life.engine().mark(ServiceId{service}).value;
        if (now != mark.released && now != mark.asked)
            return "the mark of service " + std::to_string(service) + " is " + std::to_string(now) +
                   ", and " + std::to_string(mark.released) + " was released";
    }
    return "";
}

std::string compare(const StreamHistory& past, const Records& records, uint64_t mark) {
    if (std::string wrong = compare_mark(past, mark); !wrong.empty()) return wrong;
    auto at = std::ranges::lower_bound(past.appended, Lsn{mark}, {}, &Appended::lsn);
    uint64_t end = mark;
    for (const auto& [lsn, told, payload] : records) {
        if (at == past.appended.end())
            return "a record at LSN " + std::to_string(lsn.value) + " that was never appended";
        if (payload != record_bytes(at->number, at->length))
            return "LSN " + std::to_string(lsn.value) + " is not record " +
                   std::to_string(at->number);
        if (told != at->told)
            return "record " + std::to_string(at->number) + " at LSN " + std::to_string(lsn.value) +
                   " was appended with another durability, service, kind or previous record";
        // One that is in flight may have crossed into a new segment.
        if (at->in_flight ? lsn < at->lsn : lsn != at->lsn)
            return "record " + std::to_string(at->number) + " stands at LSN " +
                   std::to_string(lsn.value) + " and was appended at " + lsn_of(*at);
        end = lsn.value + format::padded_bytes(payload.size());
        ++at;
    }
    if (at != past.appended.end() && at->lsn.value < past.acknowledged)
        return "acknowledged record " + std::to_string(at->number) + " at LSN " + lsn_of(*at) +
               " is gone; the log ends at " + std::to_string(end);
    return "";
}

}  // namespace

std::string compare(Life& life, const History& history) {
    for (const auto& [stream, past] : history) {
        const auto records = life.read(stream);
        if (!records)
            return stream + ": " + std::string(name_of(records.error().code)) + ": " +
                   records.error().message;
        const uint64_t mark = life.engine().stream(stream)->low_water();
        std::string wrong = compare(past, *records, mark);
        if (wrong.empty()) wrong = compare_marks(past, life);
        if (!wrong.empty()) return stream + ": " + wrong;
    }
    return "";
}

std::string deliver(Life& life, History& history) {
    if (std::string wrong = compare(life, history); !wrong.empty()) return wrong;
    if (std::string wrong = check_structure(life.pool()); !wrong.empty()) return wrong;
    for (auto& [stream, past] : history) {
        past.released = past.low_water = life.engine().stream(stream)->low_water();
        for (auto& [service, mark] : past.marks)
            mark.released = mark.asked = life.engine().mark(ServiceId{service}).value;
        std::erase_if(past.appended,
                      [&](const Appended& one) { return one.lsn.value < past.released; });
        const auto records = life.read(stream);
        const Lsn last = records->empty() ? Lsn{} : records->back().lsn;
        if (records->empty()) past.appended.clear();
        while (!past.appended.empty() && past.appended.back().lsn > last) past.appended.pop_back();
        if (!past.appended.empty()) {
            past.appended.back().lsn = last;
            past.appended.back().in_flight = false;
        }
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

std::string check_work(const pool::Space& space, const Life::Work& work,
                       std::span<const StreamReport> streams) {
    const uint64_t segments = space.segments.size();
    const uint64_t tail_lines = (space.segment_bytes - format::kFramesOffset) / format::kLineBytes;
    const uint64_t pages = segments * (1 + space.segment_bytes / format::kPageBytes);
    const auto& [stores, fences] = work;
    uint64_t flushed = 0;
    for (const StreamReport& stream : streams) {
        flushed += stream.bytes_flushed;
        if (stream.lines_erased > tail_lines) return "recovery erases more than one tail";
    }
    if (fences > 8 + 3 * segments) return "recovery fences " + std::to_string(fences) + " times";
    if (stores > streams.size() * tail_lines + pages + 8 + 3 * segments)
        return "recovery stores " + std::to_string(stores) + " times";
    if (flushed > segments * space.segment_bytes) return "recovery flushes more than there is";
    return "";
}

std::string recover(const SimPool& crashed, Life& life) {
    if (std::string wrong = check_structure(crashed); !wrong.empty()) return wrong;
    if (auto opened = life.open(); !opened)
        return "open: " + std::string(name_of(opened.error().code)) + ": " + opened.error().message;
    return check_work(crashed.space(), life.work_of_open(), life.report().streams);
}

std::string recover_and_compare(const SimPool& crashed, Life& life, const History& history) {
    std::string wrong = recover(crashed, life);
    return wrong.empty() ? compare(life, history) : wrong;
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
