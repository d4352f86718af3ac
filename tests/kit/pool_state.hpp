// A pool file of cinnabar's with records in it; what changes of its tables are to make of it, and
// what its recovery finds there, in the same words.
#pragma once

#include <cinnabar/crash.hpp>
#include <cinnabar/log.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "format/layout.hpp"
#include "pool/pool.hpp"

namespace kit_test {

template <class T>
T must(cinnabar::Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

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

// What stands in the pool that make_pool makes: three streams of three segments each. Of "audited"
// the first segment is released: service 1, "auditor", needs it from record 9 on, in the second
// one; 2, "billing", and 3, "teller", from record 17 on, in the third. Of "kept" too: its only
// service, 4, "keeper", needs it from record 9 on. "gone" has no service.
inline constexpr uint64_t kPoolSegmentBytes = 256 << 10;
inline constexpr size_t kPoolRecords = 20;
PoolState make_pool(const std::string& path);
std::string pool_record(const std::string& stream, size_t number);

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

// What recover_pool is to find: the state with the first n changes made, for an n that covers every
// acknowledged one; and a new stream's number is greater than any that was acknowledged.
cinnabar::crash::Oracle all_or_none_of_each(PoolState before, std::vector<Change> changes);

// Opens the pool for writing, checks all of it, adds a stream and a service if they are not there
// already, appends to every stream that has records and reads that back. Says what it found apart
// from those; or what went wrong, in one line that begins with "wrong: ".
std::string recover_pool(const std::string& path, const cinnabar::OpenOptions& options = {});

// A change, and the call that makes it.
template <class T>
struct Step {
    Change change;
    std::function<void(T& on)> make;
};

// Makes the changes on what `open` opens, and crashes all of it.
template <class T>
cinnabar::crash::Report crash_steps(const std::string& path, const PoolState& before,
                                    const std::function<T(const std::string& path)>& open,
                                    const std::vector<Step<T>>& steps,
                                    const cinnabar::crash::Options& options) {
    std::vector<Change> changes;
    for (const Step<T>& step : steps) changes.push_back(step.change);
    const cinnabar::crash::Test test{
        .workload =
            [&](cinnabar::crash::History& history) {
                T on = open(path);
                for (const Step<T>& step : steps) {
                    const size_t change = history.begin(step.change.what);
                    step.make(on);
                    history.acknowledge(change);
                }
                must(on.close());
            },
        .recover_file = [](const std::string& image) { return recover_pool(image); },
        .check = all_or_none_of_each(before, changes)};
    return cinnabar::crash::run_file(path, test, options).value();
}

// For a run in which something has to be found: it ends there.
cinnabar::crash::Options until_found();

// The pool under the interposer, which takes the file for persistent memory.
cinnabar::pool::Pool open_emulated(const std::string& path,
                                   const cinnabar::ModelledLatency& modelled = {});

// The pool's catalogue, as its bytes stand while nobody has it open, and where in the file it is.
struct FoundBytes {
    uint64_t offset = 0;
    cinnabar::format::Catalogue catalogue;
};
FoundBytes read_catalogue(const std::string& path);

}  // namespace kit_test
