// The copies of carried records: making them, and where they stand. Nothing on the medium says so
// but the copies themselves: the index reads the log, once, and then what was appended since.
//
// All copies of a record form one chain: each names the newest before it, whatever frame its maker
// was given. So from any start exactly one of those behind it names none of them, and a reader
// delivers that one alone; also where a crash came between a copy and its release, and the record
// is carried again.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "cinnabar/log.hpp"

namespace cinnabar::log {

class CopyIndex {
  public:
    // See Stream::locate.
    Result<Lsn> locate(const std::shared_ptr<StreamCoreBase>& stream, Lsn origin);

    // See Stream::carry_forward. One thread at a time.
    Result<std::vector<Lsn>> carry_forward(const std::shared_ptr<StreamCoreBase>& stream,
                                           std::span<const Lsn> records,
                                           std::optional<Lsn> release_to = {});

  private:
    Result<void> catch_up(const std::shared_ptr<StreamCoreBase>& stream);
    Result<void> read_on(const std::shared_ptr<StreamCoreBase>& stream, uint64_t low_water);

    std::mutex mutex_;
    std::map<uint64_t, uint64_t> newest_;  // by origin
    uint64_t read_to_ = 0;
};

}  // namespace cinnabar::log
