#include "format/verdict.hpp"

#include <array>

#include "base/check.hpp"

namespace cinnabar::format {

namespace {

using V = Verdict;
constexpr Ask any = Ask::any, no = Ask::no, yes = Ask::yes;
constexpr int zero = static_cast<int>(GenerationSeen::zero);
constexpr int same = static_cast<int>(GenerationSeen::same);
constexpr int other = static_cast<int>(GenerationSeen::other);

// clang-format off
constexpr std::array kVerdictTable = {
    //          label                below read   gen    len  sum  lsn
    VerdictRow{"unreadable",        any,  no,    -1,    any, any, any, V::corrupt_unreadable},
    VerdictRow{"valid",             any,  yes,   same,  yes, yes, yes, V::valid},
    VerdictRow{"foreign",           any,  yes,   same,  yes, yes, no,  V::corrupt_foreign},
    VerdictRow{"future",            any,  yes,   other, yes, yes, any, V::corrupt_future},
    VerdictRow{"below: unwritten",  yes,  yes,   zero,  any, any, any, V::corrupt_unwritten},
    VerdictRow{"below: stale",      yes,  yes,   other, any, no,  any, V::corrupt_stale},
    VerdictRow{"below: length",     yes,  yes,   same,  no,  no,  any, V::corrupt_length},
    VerdictRow{"below: sum",        yes,  yes,   same,  yes, no,  any, V::corrupt_sum},
    VerdictRow{"above: unwritten",  no,   yes,   zero,  any, any, any, V::unwritten},
    VerdictRow{"above: stale",      no,   yes,   other, any, no,  any, V::stale},
    VerdictRow{"above: torn length",no,   yes,   same,  no,  no,  any, V::torn},
    VerdictRow{"above: torn sum",   no,   yes,   same,  yes, no,  any, V::torn},
};
// clang-format on

constexpr bool answers(Ask ask, bool value) {
    return ask == Ask::any || (ask == Ask::yes) == value;
}

constexpr bool row_matches(const VerdictRow& row, const Observation& seen) {
    return answers(row.below_testimony, seen.below_testimony) &&
           answers(row.readable, seen.readable) &&
           (row.generation < 0 || row.generation == static_cast<int>(seen.generation)) &&
           answers(row.length_ok, seen.length_ok) && answers(row.sum_ok, seen.sum_ok) &&
           answers(row.lsn_ok, seen.lsn_ok);
}

// The table, worked out for every observation: recovery asks it for every frame.
constexpr Verdict kNone{0xFF};
constexpr size_t kObservations = 3u << 5;

constexpr size_t number_of(const Observation& seen) {
    return static_cast<size_t>(seen.generation) << 5 | size_t{seen.below_testimony} << 4 |
           size_t{seen.readable} << 3 | size_t{seen.length_ok} << 2 | size_t{seen.sum_ok} << 1 |
           size_t{seen.lsn_ok};
}

constexpr std::array<Verdict, kObservations> kJudgements = [] {
    std::array<Verdict, kObservations> judgements = {};
    for (size_t n = 0; n < kObservations; ++n) {
        const Observation seen{(n & 16) != 0, (n & 8) != 0, static_cast<GenerationSeen>(n >> 5),
                               (n & 4) != 0,  (n & 2) != 0, (n & 1) != 0};
        judgements[number_of(seen)] = kNone;
        for (const VerdictRow& row : kVerdictTable)
            if (row_matches(row, seen)) {
                judgements[number_of(seen)] = row.verdict;
                break;
            }
    }
    return judgements;
}();

// The full generation that a frame of another generation could only mean if it were later than
// the segment's own: the smallest greater number with the same low 32 bits.
uint64_t later_generation(uint64_t own, uint32_t low) {
    const uint64_t candidate = (own & ~uint64_t{0xFFFFFFFF}) | low;
    return candidate > own ? candidate : candidate + (uint64_t{1} << 32);
}

// Bytes that the frame takes, or 0 when its type or length cannot be.
uint64_t frame_bytes(const SegmentLife& life, uint64_t offset, const FrameHeader& header) {
    const uint64_t room = life.segment_bytes - offset;
    const uint64_t payload = header.payload_bytes();
    const uint64_t payload_max = payload_bytes_max(life.segment_bytes);
    const uint64_t padded = padded_bytes(payload);
    const bool first = offset == kFramesOffset;
    bool possible = false;
    switch (header.type()) {
        case FrameType::link: possible = first && payload == sizeof(LinkPayload); break;
        case FrameType::pad: possible = payload == room - kHeaderBytes; break;
        case FrameType::close: possible = !first && payload == 0; break;
        case FrameType::record: possible = !first && payload != 0 && payload <= payload_max; break;
        case FrameType::carried:
            possible = !first && payload > sizeof(CarriedPrefix) &&
                       payload - sizeof(CarriedPrefix) <= payload_max;
            break;
        case FrameType::gap:
            possible = !first && payload == padded - kHeaderBytes && payload <= payload_max;
            break;
    }
    return possible && padded <= room ? padded : 0;
}

// Answers the table's questions about a line that can be read.
void observe(const SegmentLife& life, uint64_t offset, Seen& seen, Observation& now) {
    const std::byte* at = life.base + offset;
    seen.header = read_frame_header(at);
    const uint32_t low = static_cast<uint32_t>(life.generation);
    if (seen.header.generation != 0)
        now.generation =
            seen.header.generation == low ? GenerationSeen::same : GenerationSeen::other;
    seen.frame_bytes = frame_bytes(life, offset, seen.header);
    now.length_ok = seen.frame_bytes != 0;
    now.lsn_ok = seen.header.lsn == life.lsn_at(offset);
    if (!now.length_ok || now.generation == GenerationSeen::zero) return;
    const uint64_t summed = summed_bytes(seen.header.type(), seen.frame_bytes);
    if (!life.readable(at, summed)) {
        // A frame of another life may have any length: only one of this life has lost bytes.
        now.readable = now.generation != GenerationSeen::same;
        return;
    }
    const uint32_t seed =
        now.generation == GenerationSeen::same
            ? life.seed
            : frame_seed(life.pool, life.segment,
                         later_generation(life.generation, seen.header.generation));
    now.sum_ok = frame_sum(seed, at, summed) == seen.header.checksum;
}

}  // namespace

std::string_view name_of(Verdict verdict) {
    switch (verdict) {
        case Verdict::valid: return "valid";
        case Verdict::unwritten: return "unwritten";
        case Verdict::stale: return "stale";
        case Verdict::torn: return "torn";
        case Verdict::corrupt_unwritten: return "corrupt_unwritten";
        case Verdict::corrupt_stale: return "corrupt_stale";
        case Verdict::corrupt_sum: return "corrupt_sum";
        case Verdict::corrupt_length: return "corrupt_length";
        case Verdict::corrupt_foreign: return "corrupt_foreign";
        case Verdict::corrupt_future: return "corrupt_future";
        case Verdict::corrupt_unreadable: return "corrupt_unreadable";
    }
    return "unknown";
}

std::span<const VerdictRow> verdict_table() {
    return kVerdictTable;
}

bool matches(const VerdictRow& row, const Observation& seen) {
    return row_matches(row, seen);
}

Verdict judge(const Observation& seen) {
    const Verdict verdict = kJudgements[number_of(seen)];
    CNB_CHECK(verdict != kNone, {"below_testimony", seen.below_testimony},
              {"generation", static_cast<uint64_t>(seen.generation)}, {"sum_ok", seen.sum_ok});
    return verdict;
}

Seen look(const SegmentLife& life, uint64_t offset, bool below_testimony) {
    CNB_CHECK(offset >= kFramesOffset && offset + kLineBytes <= life.segment_bytes &&
                  offset % kLineBytes == 0,
              {"offset", offset});
    Observation now;
    now.below_testimony = below_testimony;
    Seen seen;
    now.readable = life.readable(life.base + offset, kLineBytes);
    if (now.readable) observe(life, offset, seen, now);
    seen.verdict = judge(now);
    return seen;
}

}  // namespace cinnabar::format
