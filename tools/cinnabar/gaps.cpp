#include "gaps.hpp"

#include <algorithm>

namespace cinnabar::tool {

namespace {

uint64_t end_of(const ByteRange& range) {
    return range.offset_bytes + range.length_bytes;
}

}  // namespace

std::vector<Gap> gaps_of(const std::vector<Damage>& found, const std::string& stream) {
    std::vector<Gap> gaps;
    for (const Damage& one : found)
        if (one.verdict == "gap" && one.stream == stream && one.lsn)
            gaps.push_back({*one.lsn, Lsn{one.lsn->value + one.range.length_bytes}, one.range});
    std::sort(gaps.begin(), gaps.end(),
              [](const Gap& a, const Gap& b) { return a.begin < b.begin; });
    std::vector<Gap> runs;
    for (const Gap& gap : gaps) {
        if (!runs.empty() && runs.back().end == gap.begin &&
            end_of(runs.back().range) == gap.range.offset_bytes) {
            runs.back().end = gap.end;
            runs.back().range.length_bytes += gap.range.length_bytes;
        } else {
            runs.push_back(gap);
        }
    }
    return runs;
}

std::string text_of(const Gap& gap, const std::string& stream, const std::string& file) {
    const std::string text = "gap in stream '" + stream + "' from LSN " +
                             std::to_string(gap.begin.value) + " to " +
                             std::to_string(gap.end.value) + ", ";
    if (gap.range.length_bytes == 0) return text + "in a segment that is missing in '" + file + "'";
    return text + "bytes " + std::to_string(gap.range.offset_bytes) + " to " +
           std::to_string(end_of(gap.range)) + " of '" + file + "'";
}

std::string gaps_text(size_t count) {
    return count_text(count, "gap") + ": what stood there is lost";
}

}  // namespace cinnabar::tool
