// Who holds the space of a full pool, in words: for the error of a full log and its warning.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cinnabar::log {

// What one stream holds, and why.
struct Holding {
    std::string stream;
    uint32_t segments = 0;     // it writes to the last of them, and keeps that
    uint64_t oldest = 0;       // LSNs of the oldest one: from here
    uint64_t oldest_end = 0;   // to here
    uint64_t mark = 0;         // nothing below it is needed
    std::string service = {};  // whose mark that is; empty: the stream has none
};

// Of the stream that holds most; of `asking`, where others hold as much.
std::string holder_words(const std::vector<Holding>& holdings, const std::string& asking,
                         uint32_t segments_total);

}  // namespace cinnabar::log
