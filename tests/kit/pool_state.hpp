// What a pool of cinnabar's holds, in words: what it is to hold after changes of its tables, and
// the oracle that compares what a recovery found.
#pragma once

#include <cinnabar/crash.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kit_test {

struct StreamState {
    bool shared = false;
    std::vector<uint64_t> records;  // the LSN of each that was ever appended
    uint64_t kept_from = 0;         // the low-water mark while there is no service
};

struct ServiceState {
    std::string name;
    std::string stream;
    uint64_t mark = 0;
};

struct PoolState {
    std::map<std::string, StreamState> streams;
    std::map<unsigned, ServiceState> services;  // by number
    uint64_t streams_ever = 0;                  // the greatest number that a stream was given

    uint64_t low_water(const std::string& stream) const;
    std::string text() const;
};

// How a digest says it: the streams, the services, and last the number that a new stream is given.
std::string line_of_stream(const std::string& name, bool shared, uint64_t low_water,
                           uint64_t segments, const std::vector<size_t>& records);
std::string line_of_service(unsigned number, const ServiceState& service);
inline constexpr std::string_view kNextStream = "next stream: ";

inline constexpr uint64_t kPoolSegmentBytes = 256 << 10;

// What a change makes of the state.
struct Change {
    std::string what;
    std::function<void(PoolState&)> expect;
};
Change adds_stream(const std::string& name, bool shared);
Change removes_stream(const std::string& name);
Change adds_service(unsigned number, const ServiceState& service);
// Where it is the stream's last service, the stream keeps its mark.
Change removes_service(unsigned number);

// What a recovery is to find: the state with the first n changes made, for an n that covers every
// acknowledged one; and a new stream's number is greater than any that was acknowledged.
cinnabar::crash::Oracle all_or_none_of_each(PoolState before, std::vector<Change> changes);

}  // namespace kit_test
