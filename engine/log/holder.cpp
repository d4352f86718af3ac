#include "log/holder.hpp"

#include <algorithm>
#include <tuple>

namespace cinnabar::log {

std::string holder_words(const std::vector<Holding>& holdings, const std::string& asking,
                         uint32_t segments_total) {
    const auto rank = [&](const Holding& holding) {
        return std::tuple(holding.segments, holding.stream == asking);
    };
    const auto most =
        std::max_element(holdings.begin(), holdings.end(),
                         [&](const Holding& a, const Holding& b) { return rank(a) < rank(b); });
    if (most == holdings.end() || most->segments <= 1)
        return "no stream holds more than the segment it writes to; copy the pool into a larger "
               "one";
    const std::string held = "stream '" + most->stream + "' holds " +
                             std::to_string(most->segments) + " of " +
                             std::to_string(segments_total) + " segments: ";
    if (most->oldest_end <= most->mark)
        return held + "a reader stands on the oldest of them, LSN " + std::to_string(most->oldest) +
               " to " + std::to_string(most->oldest_end) + "; move it on, or drop it";
    if (most->service.empty())
        return held + "it has no service, and so releases nothing; add one, and release with it";
    return held + "its service '" + most->service + "' holds everything from LSN " +
           std::to_string(most->mark) +
           " on; release what it no longer needs; the oldest of them ends at LSN " +
           std::to_string(most->oldest_end);
}

}  // namespace cinnabar::log
