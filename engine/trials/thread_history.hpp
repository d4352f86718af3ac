// What several threads appended to one stream, and what an image of a crash amidst them must hold:
// of each thread an exact prefix of its records, everything acknowledged to anybody, everything
// below a record that is there or is acknowledged, and everything below the durable frontier.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trials/oracle.hpp"

namespace cinnabar::trials {

class ThreadHistory {
  public:
    ThreadHistory(size_t threads, size_t length_max) : length_max_(length_max), threads_(threads) {}

    // The next record of a thread, which is in flight until it is appended().
    std::vector<std::byte> next(size_t thread);
    void appended(size_t thread, Lsn lsn) { threads_[thread].lsn.back() = lsn; }
    // The last record of a thread, and all that stands below it.
    void acknowledge(size_t thread);
    // Whoever looks at the durable frontier may act on what is below it.
    void acknowledge_below(uint64_t lsn) { acknowledged_ = std::max(acknowledged_, lsn); }

    // Empty, or what is wrong with what was read after a crash.
    std::string compare(const Records& records) const;
    // What was read, and found to be right, is acknowledged by that; the rest is gone. Whoever
    // appends now is a thread more: its number.
    size_t deliver(const Records& records);

  private:
    struct Own {
        std::vector<std::optional<Lsn>> lsn;  // by record; absent while the append is in flight
        size_t acknowledged = 0;              // so many of its records
    };

    std::vector<std::byte> bytes_of(size_t thread, size_t number) const;

    size_t length_max_;
    std::vector<Own> threads_;
    uint64_t acknowledged_ = 0;  // everything below this LSN
};

// The next life after a crash: recovers what it left, delivers it, and appends a few records, each
// forced.
std::string go_on(const SimPool& crashed, Life& next, ThreadHistory& history);
// Recovers what a crash left, and compares.
std::string recover_and_compare(Crashed& crashed, const ThreadHistory& history);

}  // namespace cinnabar::trials
