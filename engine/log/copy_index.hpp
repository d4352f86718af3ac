// Where the copies of carried records stand, for back distances that lead below the low-water mark.
// Nothing on the medium says so but the copies themselves: the index reads the log, once, and then
// what was appended since.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "cinnabar/log.hpp"

namespace cinnabar::log {

class CopyIndex {
  public:
    // See Stream::locate.
    Result<Lsn> locate(const std::shared_ptr<StreamCoreBase>& stream, Lsn origin);

  private:
    Result<void> catch_up(const std::shared_ptr<StreamCoreBase>& stream);

    std::mutex mutex_;
    std::map<uint64_t, uint64_t> newest_;  // by origin
    uint64_t read_to_ = 0;
};

}  // namespace cinnabar::log
