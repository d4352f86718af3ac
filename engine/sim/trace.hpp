// What was done to a medium, call by call, for the page of a violation. Recorded only where pages
// are asked for: it grows with the run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cinnabar/types.hpp"
#include "sim/pending_line.hpp"

namespace cinnabar::sim {

// Of a line, as the cache and the medium have it. In flight: everything stored there waits for
// nothing but a fence.
enum class LineState : uint8_t { clean, dirty, in_flight, durable };
LineState state_of(const PendingLine& pending, Domain domain);

struct Trace {
    enum class Kind : uint8_t { store, flush, fence, sync, begin, acknowledge, print };

    struct Change {
        uint64_t line = 0;
        LineState state = LineState::clean;  // from here on
        uint8_t words = 0;                   // that were stored
        Line value = {};                     // of a store: what the workload sees from here on
    };
    struct Event {
        Kind kind = Kind::store;
        std::string where;  // by name; or what was printed
        std::vector<Change> changes;
    };

    // A call was just made, and concerned these lines; a fence or sync, all that are not durable.
    void add(Kind kind, std::string where, std::vector<uint64_t> lines, const PendingLines& pending,
             Domain domain);

    std::vector<Event> events;

  private:
    void add_change(Event& event, uint64_t line, const PendingLines& pending, Domain domain);

    std::map<uint64_t, LineState> states_;  // of lines that are not clean
};

}  // namespace cinnabar::sim
