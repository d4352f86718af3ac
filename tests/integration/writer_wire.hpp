// What the process that is killed tells the test on its pipe. A message is shorter than what a pipe
// takes in one piece, so messages of several threads never mix and none is ever half there.
#pragma once

#include <cstdint>

namespace cinnabar::integration {

enum class Said : uint32_t {
    opened,        // lsn: where the log ends, as this life's recovery found it
    acknowledged,  // thread's record number `record`, at lsn, is durable
    releasing,     // the mark is about to be raised to lsn
    released,      // and has been
    was_full,      // an append was refused for want of space
};

struct Message {
    Said said = Said::opened;
    uint32_t thread = 0;
    uint64_t record = 0;
    uint64_t lsn = 0;
};

// A longer line of the text becomes several records.
inline constexpr uint64_t kRecordBytesMax = 4000;
inline constexpr uint64_t kTextBytes = uint64_t{6} << 20;

}  // namespace cinnabar::integration
