// Gaps: runs of a stream that a salvage could not save. Counted and told of in one way by every
// verb: what touches is one gap, however many gap frames it takes.
#pragma once

#include <string>
#include <vector>

#include "cinnabar/copy.hpp"
#include "output.hpp"

namespace cinnabar::tool {

// The gaps of a stream among what a check found.
std::vector<Gap> gaps_of(const std::vector<Damage>& found, const std::string& stream);

// "gap in stream 's' from LSN 64 to 128, bytes 8192 to 8256 of 'file'".
std::string text_of(const Gap& gap, const std::string& stream, const std::string& file);
// "2 gaps: what stood there is lost".
std::string gaps_text(size_t count);

}  // namespace cinnabar::tool
