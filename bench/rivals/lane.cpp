// One thread's part of an area: its share, and the proof of what it holds.
#include "rivals/lane.hpp"

#include <cstring>
#include <string>

namespace cinnabar::bench {

Result<Lane> lane_of(uint64_t area_bytes, unsigned thread, unsigned threads, uint64_t group_bytes) {
    const uint64_t share = area_bytes / threads / 4096 * 4096;
    if (share / 4 < group_bytes) {
        return fail(Errc::disk_full, "an area of " + std::to_string(area_bytes) + " bytes for " +
                                         std::to_string(threads) + " threads is too small for " +
                                         std::to_string(group_bytes) + " bytes per force");
    }
    return Lane(thread * share, share);
}

Result<void> verify_lane(const Lane& lane, const Records& records, unsigned thread,
                         const Framing& framing, const std::byte* area) {
    const std::byte* at = area + lane.begin();
    for (uint64_t index = lane.first_index(); index < lane.next_index(); ++index) {
        const Bytes wanted = records.at(thread, index);
        if (std::memcmp(at + framing.header_bytes, wanted.data(), wanted.size()) != 0) {
            return fail(Errc::corrupt, "record " + std::to_string(index) + " of thread " +
                                           std::to_string(thread) + ", at byte " +
                                           std::to_string(at - area) +
                                           " of the area, is not what was appended");
        }
        at += framing.framed(wanted.size());
    }
    return {};
}

}  // namespace cinnabar::bench
