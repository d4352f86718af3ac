#include "sim/trace.hpp"

#include <algorithm>

namespace cinnabar::sim {

LineState state_of(const PendingLine& pending, Domain domain) {
    if (domain == Domain::page) return LineState::dirty;
    if (domain == Domain::byte) return LineState::in_flight;
    size_t flushed = 0;
    for (const auto& [thread, units] : pending.flushed) flushed = std::max(flushed, units);
    const bool waits_for_flush =
        std::any_of(pending.units.begin() + static_cast<long>(flushed), pending.units.end(),
                    [](const Unit& unit) { return unit.kind != Unit::Kind::non_temporal; });
    return waits_for_flush ? LineState::dirty : LineState::in_flight;
}

void Trace::add_change(Event& event, uint64_t line, const PendingLines& pending, Domain domain) {
    const auto stores = pending.find(line);
    const bool is_durable = stores == pending.end();
    if (is_durable && !states_.contains(line)) return;  // a flush of a line never stored to
    Change change;
    change.line = line;
    change.state = is_durable ? LineState::durable : state_of(stores->second, domain);
    if (event.kind == Kind::store && !is_durable) {
        change.words = stores->second.units.back().mask;
        change.value = stores->second.newest();
    }
    if (event.kind != Kind::store && states_[line] == change.state) return;
    if (is_durable)
        states_.erase(line);
    else
        states_[line] = change.state;
    event.changes.push_back(change);
}

void Trace::add(Kind kind, std::string where, std::vector<uint64_t> lines,
                const PendingLines& pending, Domain domain) {
    if (kind == Kind::fence || kind == Kind::sync)
        for (const auto& [line, state] : states_) lines.push_back(line);
    Event event{kind, std::move(where), {}};
    for (const uint64_t line : lines) add_change(event, line, pending, domain);
    events.push_back(std::move(event));
}

}  // namespace cinnabar::sim
