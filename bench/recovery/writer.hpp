// The process that fills a log and is killed.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>

#include "cinnabar/log.hpp"

namespace cinnabar::bench {

inline constexpr uint32_t kRecoveryRecordBytes = 256;
inline constexpr const char* kRecoveryStream = "log";

// The record with this number.
std::array<uint64_t, kRecoveryRecordBytes / 8> recovery_record(uint64_t number);

struct WriterOrder {
    std::string path;
    Emulate emulate = Emulate::no;
    Durability durability = Durability::forced;
    uint64_t first = 0;  // number of the first record
    uint64_t count = 0;  // records that are acknowledged before the kill
};

// Has a child process append, and kills it once it has acknowledged `count` records, while it goes
// on appending. Errors: io (the child ended by itself; it said why on stderr).
Result<void> write_and_kill(const WriterOrder& order);

}  // namespace cinnabar::bench
