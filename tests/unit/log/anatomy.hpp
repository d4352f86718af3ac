// Where things lie in a pool file, for tests that damage them; and everything that a stream gives,
// for tests that compare two pools.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "cinnabar/copy.hpp"
#include "fixture.hpp"
#include "format/layout.hpp"
#include "log/parallel.hpp"
#include "log/scan.hpp"
#include "pool/raw_pool.hpp"

namespace cinnabar::log_test {

struct Anatomy {
    uint64_t catalogue = 0;
    uint64_t segment_bytes = 0;
    std::map<std::pair<std::string, uint64_t>, uint64_t> segments;  // {stream, ordinal}: offset
    std::map<std::pair<std::string, uint64_t>, format::SegmentLife> lives;  // not their bytes
    std::map<std::string, uint64_t> end;                                    // where streams end
    std::vector<uint64_t> all_segments;

    explicit Anatomy(const std::filesystem::path& path) {
        auto pool = must(pool::RawPool::open(path, milliseconds(0)));
        const pool::Space& space = pool.space();
        catalogue = space.offset_of(space.catalogue);
        segment_bytes = space.segment_bytes;
        for (const std::byte* segment : space.segments)
            all_segments.push_back(space.offset_of(segment));
        const log::PoolScan scan = log::scan_pool(space, log::parallel_for);
        for (const log::StreamScan& stream : scan.streams) {
            for (size_t i = 0; i < stream.kept.size(); ++i) {
                const uint64_t ordinal = stream.first_ordinal + i;
                const uint32_t segment = stream.kept[i];
                segments[{stream.name, ordinal}] = all_segments[segment];
                lives[{stream.name, ordinal}] = log::life_of(
                    space, segment, scan.segments[segment].header.generation, ordinal * span());
            }
            end[stream.name] = stream.cut;
        }
    }

    uint64_t span() const { return format::frame_space(segment_bytes); }
    uint64_t segment(const std::string& stream, uint64_t ordinal) const {
        return segments.at({stream, ordinal});
    }
    uint64_t frame(const std::string& stream, uint64_t lsn) const {
        return segment(stream, lsn / span()) + format::kFramesOffset + lsn % span();
    }
    uint64_t stream_row(uint32_t row) const {
        return catalogue + offsetof(format::Catalogue, streams) + row * sizeof(format::StreamRow);
    }
    uint64_t service_row(uint32_t row) const {
        return catalogue + offsetof(format::Catalogue, services) + row * sizeof(format::ServiceRow);
    }
    uint64_t mark(uint32_t row) const {
        return catalogue + offsetof(format::Catalogue, marks) + row * sizeof(format::RegisterLine);
    }
};

inline void overwrite(const std::filesystem::path& path, uint64_t offset,
                      const std::vector<std::byte>& bytes) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    ASSERT_TRUE(file.good());
}

inline void zero(const std::filesystem::path& path, uint64_t offset, uint64_t length) {
    overwrite(path, offset, std::vector<std::byte>(length));
}

struct Kept {
    Lsn lsn;
    Lsn origin;
    std::optional<Lsn> previous;
    ServiceId service;
    uint16_t kind = 0;
    Durability durability = Durability::lazy;
    std::vector<std::byte> payload;
    friend bool operator==(const Kept&, const Kept&) = default;
};

struct Lost {
    uint64_t begin = 0;
    uint64_t end = 0;
    friend bool operator==(const Lost&, const Lost&) = default;
};

inline void PrintTo(const Lost& lost, std::ostream* out) {
    *out << "[" << lost.begin << ", " << lost.end << ")";
}

struct Contents {
    std::vector<Kept> records;
    std::vector<Lost> gaps;  // those that touch are one
    uint64_t end = 0;
    friend bool operator==(const Contents&, const Contents&) = default;
};

inline Contents contents_of(const Stream& stream) {
    Contents all;
    Reader reader = must(stream.read());
    for (;;) {
        const auto next = reader.next();
        if (code_of(next) == Errc::gap) {
            const uint64_t begin = next.error().lsn->value;
            const uint64_t end = begin + next.error().range->length_bytes;
            if (!all.gaps.empty() && all.gaps.back().end == begin)
                all.gaps.back().end = end;
            else
                all.gaps.push_back({begin, end});
            continue;
        }
        const auto& record = must(next);
        if (!record) break;
        all.records.push_back({record->lsn, record->origin, record->previous, record->service,
                               record->kind, record->durability, copy_of(record->payload)});
    }
    all.end = reader.position().value;
    return all;
}

inline std::vector<Lost> gaps_of(const CopyReport& report, const std::string& stream) {
    std::vector<Lost> gaps;
    for (const StreamCopy& copy : report.streams)
        if (copy.name == stream)
            for (const Gap& gap : copy.gaps) gaps.push_back({gap.begin.value, gap.end.value});
    return gaps;
}

}  // namespace cinnabar::log_test
