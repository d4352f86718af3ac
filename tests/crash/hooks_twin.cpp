#include "crash/hooks_twin.hpp"

namespace cinnabar::crash_test {

uint64_t load_from_plain_file(const uint64_t* word) {
    return load_inline(word);
}

CNB_RANDOM_READS(random_reads_plain)

}  // namespace cinnabar::crash_test
