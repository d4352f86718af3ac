// Who wants to be told when a stream is durable up to some LSN, without a thread that waits.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "cinnabar/result.hpp"

namespace cinnabar::log {

using Announcement = std::function<void(Result<Lsn> durable)>;

// Calls are made by announce() and fail_all(), outside of the lock, each once.
class Announcer {
  public:
    void add(uint64_t lsn, Announcement call) {
        std::lock_guard lock(mutex_);
        waiting_.emplace(lsn, std::move(call));
    }

    // Calls those whose record, at their LSN, is below `durable`. Returns how many it called.
    uint32_t announce(uint64_t durable) {
        std::vector<Announcement> reached;
        {
            std::lock_guard lock(mutex_);
            const auto end = waiting_.lower_bound(durable);
            for (auto at = waiting_.begin(); at != end; ++at)
                reached.push_back(std::move(at->second));
            waiting_.erase(waiting_.begin(), end);
        }
        for (const Announcement& call : reached) call(Lsn{durable});
        return static_cast<uint32_t>(reached.size());
    }

    uint32_t fail_all(const Error& error) {
        std::multimap<uint64_t, Announcement> all;
        {
            std::lock_guard lock(mutex_);
            all.swap(waiting_);
        }
        for (const auto& [lsn, call] : all) call(fail(error));
        return static_cast<uint32_t>(all.size());
    }

  private:
    std::mutex mutex_;
    std::multimap<uint64_t, Announcement> waiting_;  // by LSN
};

}  // namespace cinnabar::log
