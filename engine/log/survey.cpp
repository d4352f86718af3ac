#include "log/survey.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "format/verdict.hpp"
#include "log/scan.hpp"
#include "log/segment_pool.hpp"
#include "pool/tables.hpp"

namespace cinnabar::log {

namespace {

using format::kFramesOffset;
using format::kLineBytes;
using format::SegmentLife;
using format::ServiceRow;
using format::StreamRow;
using format::Verdict;

using Ordinals = std::map<uint64_t, uint32_t>;  // of a stream's segments

constexpr uint64_t kUnknown = UINT64_MAX;  // kept_from of a stream whose row is lost

std::string text(uint64_t number) {
    return std::to_string(number);
}

// The greatest generation under which a line of a segment verifies, whose header is lost.
uint64_t find_generation(const pool::Space& space, uint32_t segment, uint64_t ceiling) {
    uint64_t best = 0;
    for (uint64_t at = kFramesOffset; at < space.segment_bytes; at += kLineBytes)
        best = std::max(best, generation_at(space, segment, at, ceiling));
    return best;
}

class Surveyor {
  public:
    Surveyor(const pool::Space& space, Condition condition, const ParallelFor& parallel_for)
        : space_(space),
          catalogue_(*space.catalogue),
          damaged_(condition == Condition::damaged),
          parallel_for_(parallel_for),
          span_(format::frame_space(space.segment_bytes)) {}

    PoolSurvey run() {
        read_segments();
        read_streams();
        read_services();
        read_last_stream();
        read_chains();
        find_lost_links();
        for (StreamSurvey& stream : found_.streams) {
            set_begin(stream);
            set_testimony(stream);
            find_end(stream);
        }
        return std::move(found_);
    }

  private:
    void read_segments();
    void read_streams();
    void read_services();
    void read_last_stream();
    void read_chains();
    void find_lost_links();
    void set_begin(StreamSurvey& stream);
    void set_testimony(StreamSurvey& stream);
    void find_end(StreamSurvey& stream);

    // tables
    uint64_t ceiling() const;
    bool is_good(const StreamRow& row) const;
    bool is_good(const ServiceRow& row, uint32_t index) const;
    std::set<uint32_t> streams_without_row() const;
    void make_up_stream(uint32_t number, const std::vector<uint32_t>& damaged_rows);
    void make_up_service(uint32_t row);
    StreamSurvey* stream_of(uint32_t number);
    bool has_service(const StreamSurvey& stream) const {
        return std::any_of(
            found_.services.begin(), found_.services.end(),
            [&](const ServiceRow& row) { return row.stream == stream.entry.stream; });
    }
    std::optional<uint64_t> mark_of(uint32_t row) const;
    template <class Row, size_t kRows>
    std::string made_up_name(const std::array<Row, kRows>& rows, std::string name) const;

    // segments
    std::optional<uint32_t> owner_by_successor(uint32_t segment) const;
    std::vector<uint32_t> owners_by_ordinal(uint64_t ordinal);
    bool ends_in(uint32_t segment) const;
    uint64_t begin_of_mark(uint64_t mark, const Ordinals& chain) const;
    uint64_t oldest(const StreamSurvey& stream, const Ordinals& chain) const;
    SegmentLife life(const OldSegment& segment, uint64_t ordinal) const {
        return life_of(space_, segment.segment, segment.generation, ordinal * span_);
    }
    struct SegmentPlan {
        std::vector<Hole> holes;
        std::optional<uint64_t> end;  // where the log ends in it
    };
    SegmentPlan plan_segment(const OldSegment& segment, uint64_t ordinal, uint64_t testified) const;
    SegmentPlan plan_missing(uint64_t ordinal, uint64_t testified) const;

    void note(std::string sentence) { found_.notes.push_back(std::move(sentence)); }

    const pool::Space& space_;
    const format::Catalogue& catalogue_;
    const bool damaged_;
    const ParallelFor& parallel_for_;
    const uint64_t span_;
    std::vector<SegmentReading> segments_;
    std::map<uint32_t, Ordinals> chains_;  // by stream
    std::set<uint32_t> lost_marks_;        // service rows whose mark does not verify
    bool service_row_lost_ = false;
    std::set<uint32_t> old_marks_;  // streams whose mark was raised to their oldest segment
    PoolSurvey found_;
};

// --- tables -------------------------------------------------------------------------------------

bool Surveyor::is_good(const StreamRow& row) const {
    return row.sum == format::row_sum(space_.id, row) && pool::in_use(row) &&
           pool::check_name(pool::name_in(row)).has_value();
}

bool Surveyor::is_good(const ServiceRow& row, uint32_t index) const {
    return row.sum == format::row_sum(space_.id, row) && pool::in_use(row) &&
           row.service == index + 1 && pool::check_name(pool::name_in(row)).has_value();
}

StreamSurvey* Surveyor::stream_of(uint32_t number) {
    for (StreamSurvey& stream : found_.streams)
        if (stream.entry.stream == number) return &stream;
    return nullptr;
}

std::optional<uint64_t> Surveyor::mark_of(uint32_t row) const {
    const auto mark = format::read_register(
        space_.id, format::register_key(format::RegisterRole::mark, row), catalogue_.marks[row]);
    if (!mark) return std::nullopt;
    return mark->value;
}

template <class Row, size_t kRows>
std::string Surveyor::made_up_name(const std::array<Row, kRows>& rows, std::string name) const {
    while (pool::find_named(rows, name)) name += "-salvaged";
    return name;
}

// Streams that segments or services name, and no row.
std::set<uint32_t> Surveyor::streams_without_row() const {
    std::set<uint32_t> named;
    for (const SegmentReading& reading : segments_)
        if (reading.linked) named.insert(reading.link.stream);
    for (const StreamRow& row : catalogue_.streams)
        if (is_good(row)) named.erase(row.stream);
    return named;
}

// A stream that has segments and no row was removed, or its row is lost. It is lost if a service
// names it; and where rows are damaged, the one that such a row still names, or else all of them.
void Surveyor::read_streams() {
    std::vector<uint32_t> damaged_rows;
    for (uint32_t i = 0; i < format::kStreamRows; ++i) {
        const StreamRow& row = catalogue_.streams[i];
        if (is_good(row)) {
            StreamSurvey stream;
            stream.row = i;
            stream.entry = row;
            found_.streams.push_back(std::move(stream));
        } else if (row != StreamRow{}) {
            damaged_rows.push_back(i);
        }
    }
    const std::set<uint32_t> rowless = streams_without_row();
    std::set<uint32_t> lost;
    for (const uint32_t i : damaged_rows) {
        const uint32_t stated = catalogue_.streams[i].stream;
        if (rowless.contains(stated))
            lost.insert(stated);
        else
            lost.insert(rowless.begin(), rowless.end());
    }
    for (uint32_t i = 0; i < format::kServiceRows; ++i)
        if (is_good(catalogue_.services[i], i) && !stream_of(catalogue_.services[i].stream))
            lost.insert(catalogue_.services[i].stream);
    for (const uint32_t i : damaged_rows)
        note("stream row " + text(i) + " does not verify" +
             (lost.empty() ? ", and no segment or service belongs to a stream without a row: "
                             "there is nothing of it to save"
                           : ""));
    for (const uint32_t number : lost) make_up_stream(number, damaged_rows);
    for (const uint32_t number : rowless)
        if (!damaged_rows.empty() && !lost.contains(number))
            note("segments of stream " + text(number) +
                 " are there, too; it is taken for one that was removed, and not saved");
}

void Surveyor::make_up_stream(uint32_t number, const std::vector<uint32_t>& damaged_rows) {
    StreamSurvey stream;
    const auto taken = [&](uint32_t row) {
        return std::any_of(found_.streams.begin(), found_.streams.end(),
                           [&](const StreamSurvey& other) { return other.row == row; });
    };
    while (stream.row < format::kStreamRows && taken(stream.row)) ++stream.row;
    if (stream.row == format::kStreamRows) {
        note("stream " + text(number) + " is not saved: the table of streams is full");
        return;
    }
    // What the damaged row says of how the stream is used is taken only for the better.
    stream.entry.stream = number;
    stream.entry.flags = format::kStreamShared;
    for (const uint32_t row : damaged_rows)
        if (catalogue_.streams[row].stream == number)
            stream.entry.flags |= catalogue_.streams[row].flags & format::kStreamReserve;
    const std::string name = made_up_name(catalogue_.streams, "stream-" + text(number));
    pool::put_name(stream.entry, name);
    stream.entry.kept_from = kUnknown;
    note("the row of stream " + text(number) + " is lost: it is saved as '" + name +
         "', for many writers");
    found_.streams.push_back(std::move(stream));
}

void Surveyor::read_services() {
    for (uint32_t row = 0; row < format::kServiceRows; ++row) {
        const ServiceRow& service = catalogue_.services[row];
        if (service == ServiceRow{}) continue;
        if (!is_good(service, row)) {
            make_up_service(row);
            continue;
        }
        const StreamSurvey* stream = stream_of(service.stream);
        if (stream == nullptr) continue;
        found_.services[row] = service;
        if (const auto mark = mark_of(row)) {
            found_.marks[row] = *mark;
            continue;
        }
        lost_marks_.insert(row);
        note("the low-water mark of service '" + pool::name_in(service) +
             "' does not verify: stream '" + pool::name_in(stream->entry) +
             "' is kept from its oldest segment");
    }
}

// The number of a service follows from the place of its row. Of which stream it was may be wrong
// in a damaged row: so it holds what is there, and a stream without a sound one gives up nothing.
void Surveyor::make_up_service(uint32_t row) {
    service_row_lost_ = true;
    const ServiceRow& damaged = catalogue_.services[row];
    const StreamSurvey* stream = stream_of(damaged.stream);
    const std::string what = "service row " + text(row) + " does not verify: ";
    if (stream == nullptr) {
        note(what + "service " + text(row + 1) +
             " is lost; streams without another one are kept from their oldest segment");
        return;
    }
    ServiceRow& made = found_.services[row];
    made.stream = damaged.stream;
    made.service = static_cast<uint16_t>(row + 1);
    const std::string name = made_up_name(catalogue_.services, "service-" + text(row + 1));
    pool::put_name(made, name);
    lost_marks_.insert(row);
    note(what + "service " + text(row + 1) + " is saved as '" + name + "', and its stream '" +
         pool::name_in(stream->entry) + "' kept from its oldest segment");
}

void Surveyor::read_last_stream() {
    const auto last = format::read_register(
        space_.id, format::register_key(format::RegisterRole::last_stream), catalogue_.last_stream);
    if (last) found_.last_stream = last->value;
    if (!last)
        note(
            "the number of the last stream does not verify: the greatest that is named "
            "anywhere stands for it");
    for (const SegmentReading& reading : segments_)
        if (reading.linked && !last)
            found_.last_stream = std::max<uint64_t>(found_.last_stream, reading.link.stream);
    for (const StreamSurvey& stream : found_.streams)
        found_.last_stream = std::max<uint64_t>(found_.last_stream, stream.entry.stream);
}

// --- segments -----------------------------------------------------------------------------------

uint64_t Surveyor::ceiling() const {
    const auto kept = format::read_register(
        space_.id, format::register_key(format::RegisterRole::generation_ceiling),
        catalogue_.generation_ceiling);
    if (kept) return kept->value;
    uint64_t greatest = 0;
    for (const SegmentReading& reading : segments_)
        greatest = std::max(greatest, reading.header.generation);
    return greatest;
}

void Surveyor::read_segments() {
    segments_.resize(space_.segments.size());
    parallel_for_(segments_.size(),
                  [&](size_t i) { segments_[i] = read_segment(space_, static_cast<uint32_t>(i)); });
    if (!damaged_) return;
    const uint64_t ceiling = this->ceiling();
    std::vector<uint8_t> header_lost(segments_.size());
    parallel_for_(segments_.size(), [&](size_t i) {
        const uint32_t segment = static_cast<uint32_t>(i);
        if (segments_[i].header.state == format::HeaderState::valid) return;
        const uint64_t generation = find_generation(space_, segment, ceiling);
        if (generation == 0) return;
        segments_[i] =
            read_segment_as(space_, segment, {format::HeaderState::valid, generation, false});
        header_lost[i] = 1;
    });
    for (size_t i = 0; i < segments_.size(); ++i) {
        if (segments_[i].linked && segments_[i].header.one_copy)
            note("segment " + text(i) + ": one of its two header copies does not verify");
        if (header_lost[i] != 0)
            note("segment " + text(i) +
                 ": neither copy of its header verifies; its frames do, "
                 "under generation " +
                 text(segments_[i].header.generation));
        else if (segments_[i].header.state == format::HeaderState::corrupt)
            note("segment " + text(i) +
                 ": neither copy of its header verifies, and no frame in it does");
    }
}

// Of two lives with one ordinal the later one is the stream's.
void Surveyor::read_chains() {
    for (uint32_t i = 0; i < segments_.size(); ++i) {
        const SegmentReading& reading = segments_[i];
        if (!reading.linked) continue;
        const auto [at, added] = chains_[reading.link.stream].emplace(reading.base_lsn / span_, i);
        if (!added && segments_[at->second].header.generation < reading.header.generation)
            at->second = i;
    }
}

// The stream whose next segment names this one as its predecessor.
std::optional<uint32_t> Surveyor::owner_by_successor(uint32_t segment) const {
    for (const SegmentReading& next : segments_)
        if (next.linked && next.link.predecessor_segment == segment &&
            next.link.predecessor_generation == segments_[segment].header.generation &&
            next.base_lsn == segments_[segment].base_lsn + span_)
            return next.link.stream;
    return std::nullopt;
}

// The streams that miss this ordinal, and whose next segment, if it is there, does not say that
// another one stood before it.
std::vector<uint32_t> Surveyor::owners_by_ordinal(uint64_t ordinal) {
    std::vector<uint32_t> owners;
    for (StreamSurvey& stream : found_.streams) {
        set_begin(stream);
        const Ordinals& chain = chains_[stream.entry.stream];
        if (ordinal < stream.first_ordinal || chain.contains(ordinal)) continue;
        const auto next = chain.find(ordinal + 1);
        const bool other = next != chain.end() && segments_[next->second].linked;
        const bool ended = chain.empty()
                               ? ordinal != stream.first_ordinal
                               : chain.rbegin()->first < ordinal && ends_in(chain.rbegin()->second);
        if (!other && !ended) owners.push_back(stream.entry.stream);
    }
    return owners;
}

// Does a log end in this segment, for all that can be seen of it?
bool Surveyor::ends_in(uint32_t segment) const {
    const SegmentReading& reading = segments_[segment];
    const SegmentLife life = life_of(space_, segment, reading.header.generation, reading.base_lsn);
    const SegmentScan scan = scan_segment(life, kFramesOffset + kLineBytes);
    return (scan.verdict == Verdict::unwritten || scan.verdict == Verdict::stale) &&
           next_valid(life, scan.end_offset) == space_.segment_bytes;
}

// A segment whose link frame is lost, and whose other frames verify.
void Surveyor::find_lost_links() {
    std::vector<uint32_t> unlinked;
    for (uint32_t i = 0; i < segments_.size(); ++i)
        if (segments_[i].frames_unlinked && segments_[i].base_lsn % span_ == 0)
            unlinked.push_back(i);
    std::sort(unlinked.begin(), unlinked.end(), [&](uint32_t a, uint32_t b) {
        const SegmentReading &x = segments_[a], &y = segments_[b];
        return x.base_lsn != y.base_lsn ? x.base_lsn < y.base_lsn
                                        : x.header.generation > y.header.generation;
    });
    std::vector<uint32_t> ownerless;
    for (const uint32_t segment : unlinked) {
        const auto owner = owner_by_successor(segment);
        if (!owner) {
            ownerless.push_back(segment);
            continue;
        }
        if (stream_of(*owner) != nullptr)
            note("segment " + text(segment) +
                 ": its link frame is lost; the next segment names it");
        chains_[*owner].emplace(segments_[segment].base_lsn / span_, segment);
    }
    for (const uint32_t segment : ownerless) {
        const uint64_t ordinal = segments_[segment].base_lsn / span_;
        const std::vector<uint32_t> owners = owners_by_ordinal(ordinal);
        const std::string what = "segment " + text(segment) + ": its link frame is lost; ";
        if (owners.size() != 1) {
            note(what + (owners.empty()
                             ? "no stream misses it, so it counts as released"
                             : text(owners.size()) + " streams may own it: it is not saved"));
            continue;
        }
        note(what + "stream '" + pool::name_in(stream_of(owners[0])->entry) +
             "' alone misses LSN " + text(segments_[segment].base_lsn));
        chains_[owners[0]].emplace(ordinal, segment);
    }
}

// --- one stream ---------------------------------------------------------------------------------

// A full last segment is kept though the mark lies at its end.
uint64_t Surveyor::begin_of_mark(uint64_t mark, const Ordinals& chain) const {
    if (!chain.empty() && (chain.rbegin()->first + 1) * span_ == mark) return chain.rbegin()->first;
    return mark / span_;
}

// Where a stream begins whose mark is lost. Segments that were released long ago may still be
// there; of those only as many count as the pool has segments.
uint64_t Surveyor::oldest(const StreamSurvey& stream, const Ordinals& chain) const {
    if (chain.empty()) return stream.entry.kept_from == kUnknown ? 0 : stream.entry.kept_from;
    const uint64_t newest = chain.rbegin()->first;
    for (const auto& [ordinal, segment] : chain)
        if (newest - ordinal < segments_.size()) return ordinal * span_;
    return newest * span_;
}

// Sets the begin, and the marks that are lost to it. Done again, it does the same with the segments
// that were found meanwhile.
void Surveyor::set_begin(StreamSurvey& stream) {
    const Ordinals& chain = chains_[stream.entry.stream];
    uint64_t mark = kUnknown;
    bool lost = false;
    for (uint32_t row = 0; row < format::kServiceRows; ++row) {
        if (found_.services[row].stream != stream.entry.stream) continue;
        if (lost_marks_.contains(row))
            lost = true;
        else
            mark = std::min(mark, found_.marks[row]);
    }
    if (!has_service(stream) && !service_row_lost_) mark = stream.entry.kept_from;
    if (lost || mark == kUnknown) mark = std::min(mark, oldest(stream, chain));
    // More ordinals than the pool has segments were never kept: a mark that asks for them is old.
    if (!chain.empty() &&
        chain.rbegin()->first - std::min(chain.rbegin()->first, mark / span_) >= segments_.size()) {
        mark = oldest(stream, chain);
        if (old_marks_.insert(stream.entry.stream).second)
            note("the low-water mark of stream '" + pool::name_in(stream.entry) +
                 "' is too old to be right: it is kept from its oldest segment");
    }
    stream.mark = mark;
    stream.first_ordinal = begin_of_mark(mark, chain);
    for (uint32_t row = 0; row < format::kServiceRows; ++row)
        if (found_.services[row].stream == stream.entry.stream)
            found_.marks[row] =
                lost_marks_.contains(row) ? mark : std::max(found_.marks[row], mark);
}

// The greatest testimony, and the segments up to it.
void Surveyor::set_testimony(StreamSurvey& stream) {
    const Ordinals& chain = chains_[stream.entry.stream];
    const uint64_t first = stream.first_ordinal;
    if (!has_service(stream)) {
        if (stream.entry.kept_from == kUnknown)
            note("no low-water mark of stream '" + pool::name_in(stream.entry) +
                 "' is left: it is kept from its oldest segment");
        stream.entry.kept_from = stream.mark;
    }
    if (stream.entry.kept_from == kUnknown) stream.entry.kept_from = stream.mark;
    for (const auto& [ordinal, segment] : chain) {
        if (ordinal < first) continue;
        stream.segments.resize(ordinal - first + 1);
        stream.segments.back() = OldSegment{segment, segments_[segment].header.generation};
    }
    std::vector<uint64_t> testified(stream.segments.size());
    parallel_for_(stream.segments.size(), [&](size_t i) {
        if (const auto& segment = stream.segments[i])
            testified[i] = scan_segment(life(*segment, first + i), kFramesOffset).testified;
    });
    stream.testified = stream.mark;
    for (uint32_t row = 0; row < format::kServiceRows; ++row)
        if (found_.services[row].stream == stream.entry.stream)
            stream.testified = std::max(stream.testified, found_.marks[row]);
    for (size_t i = 0; i < testified.size(); ++i) {
        stream.testified = std::max(stream.testified, testified[i]);
        // A segment is attached behind a durable link: one that is missing before it was there.
        if (i != 0 && stream.segments[i] && !stream.segments[i - 1])
            stream.testified = std::max(stream.testified, (first + i) * span_);
    }
    const uint64_t last = (stream.testified + span_ - 1) / span_;  // ordinals up to it are needed
    if (last > first + stream.segments.size()) stream.segments.resize(last - first);
}

// Below the testimony what does not verify is a hole, up to the next line that does. At or above it
// the first position that is not valid ends the log. The link frame is made anew in any case.
Surveyor::SegmentPlan Surveyor::plan_segment(const OldSegment& segment, uint64_t ordinal,
                                             uint64_t testified) const {
    const SegmentLife life = this->life(segment, ordinal);
    const uint64_t room_end = std::min(std::max(testified, life.base_lsn), life.end_lsn());
    SegmentPlan plan;
    uint64_t offset = kFramesOffset + kLineBytes;
    while (offset < life.segment_bytes) {
        const uint64_t lsn = life.lsn_at(offset);
        const format::Seen seen = format::look(life, offset, lsn < testified);
        if (seen.verdict == Verdict::valid) {
            offset += seen.frame_bytes;
            continue;
        }
        if (lsn >= testified) {
            plan.end = lsn;
            return plan;
        }
        const uint64_t next =
            std::min(next_valid(life, offset + kLineBytes), life.offset_of(room_end));
        plan.holes.push_back({lsn,
                              life.lsn_at(next),
                              std::string(name_of(seen.verdict)),
                              {space_.offset_of(life.base + offset), next - offset}});
        offset = next;
    }
    return plan;
}

Surveyor::SegmentPlan Surveyor::plan_missing(uint64_t ordinal, uint64_t testified) const {
    const uint64_t base = ordinal * span_;
    SegmentPlan plan;
    if (testified <= base) {
        plan.end = base;
        return plan;
    }
    const uint64_t end = std::min(testified, base + span_);
    if (end > base + kLineBytes)
        plan.holes.push_back({base + kLineBytes, end, "missing_segment", {}});
    if (end < base + span_) plan.end = end;
    return plan;
}

void Surveyor::find_end(StreamSurvey& stream) {
    std::vector<SegmentPlan> plans(stream.segments.size());
    parallel_for_(plans.size(), [&](size_t i) {
        const uint64_t ordinal = stream.first_ordinal + i;
        plans[i] = stream.segments[i] ? plan_segment(*stream.segments[i], ordinal, stream.testified)
                                      : plan_missing(ordinal, stream.testified);
    });
    stream.end = (stream.first_ordinal + plans.size()) * span_;
    for (size_t i = 0; i < plans.size(); ++i) {
        for (Hole& hole : plans[i].holes) stream.holes.push_back(std::move(hole));
        if (!plans[i].end) continue;
        stream.end = *plans[i].end;
        const bool empty = stream.end == (stream.first_ordinal + i) * span_;
        stream.segments.resize(empty ? i : i + 1);
        return;
    }
}

}  // namespace

uint32_t PoolSurvey::segments_needed() const {
    size_t needed = 0;
    uint32_t with_reserve = 0;
    for (const StreamSurvey& stream : streams) {
        needed += stream.segments.size();
        with_reserve += (stream.entry.flags & format::kStreamReserve) != 0 ? 1 : 0;
    }
    return static_cast<uint32_t>(needed) + kept_back_for(with_reserve);
}

PoolSurvey survey_pool(const pool::Space& space, Condition condition,
                       const ParallelFor& parallel_for) {
    return Surveyor(space, condition, parallel_for).run();
}

}  // namespace cinnabar::log
