// A pool file of cinnabar's with records in it, changes of it that are crashed, and its recovery,
// which says what it finds in the words of pool_state.hpp.
#pragma once

#include <cinnabar/crash.hpp>
#include <cinnabar/log.hpp>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "format/layout.hpp"
#include "kit/pool_state.hpp"
#include "pool/pool.hpp"

namespace kit_test {

template <class T>
T must(cinnabar::Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Makes a pool in which three streams of three segments each stand. Of "audited" the first segment
// is released: service 1, "auditor", needs it from record 9 on, in the second one; 2, "billing",
// and 3, "teller", from record 17 on, in the third. Of "kept" too: its only service, 4, "keeper",
// needs it from record 9 on. "gone" has no service.
PoolState make_pool(const std::string& path);
// A record of it, and where it stands in its stream.
std::string pool_record(const std::string& stream, size_t number);
uint64_t pool_record_lsn(size_t number);

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
