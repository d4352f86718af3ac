// The proof of a log that several threads share: what it holds must be, thread by thread, a run of
// consecutive records that ends with the thread's last.
#pragma once

#include <optional>
#include <vector>

#include "cinnabar/result.hpp"
#include "force/records.hpp"

namespace cinnabar::bench {

class Walk {
  public:
    explicit Walk(const Records& records) : records_(records), last_(records.threads()) {}

    // One record or more, as they follow each other in the log. Error: corrupt.
    Result<void> take(Bytes stored);
    // `appended` records were appended by the thread. The log may have been emptied since its last
    // one; a thread of which anything is left must be left with its last record.
    Result<void> ends_at(unsigned thread, uint64_t appended) const;
    uint64_t records() const { return taken_; }

  private:
    const Records& records_;
    std::vector<std::optional<size_t>> last_;  // place in the cycle
    uint64_t taken_ = 0;
    uint64_t bytes_ = 0;
};

}  // namespace cinnabar::bench
