#include "kit/pool_state.hpp"

#include <algorithm>
#include <optional>

#include "format/layout.hpp"

namespace kit_test {

namespace {

constexpr uint64_t kSpan = cinnabar::format::frame_space(kPoolSegmentBytes);

// "9 to 19"; or the numbers, where they are no run.
std::string text_of(const std::vector<size_t>& records) {
    if (records.empty()) return "no record";
    bool is_run = true;
    for (size_t i = 0; i < records.size(); ++i) is_run = is_run && records[i] == records[0] + i;
    if (is_run)
        return "records " + std::to_string(records.front()) + " to " +
               std::to_string(records.back());
    std::string text = "records";
    for (const size_t record : records) text += " " + std::to_string(record);
    return text;
}

}  // namespace

std::string line_of_stream(const std::string& name, bool shared, uint64_t low_water,
                           uint64_t segments, const std::vector<size_t>& records) {
    return "stream " + name + (shared ? " of many writers" : " of one writer") + ", from LSN " +
           std::to_string(low_water) + ", in " + std::to_string(segments) + " segments, " +
           text_of(records) + "\n";
}

std::string line_of_service(unsigned number, const ServiceState& service) {
    return "service " + std::to_string(number) + " " + service.name + " of " + service.stream +
           " at LSN " + std::to_string(service.mark) + "\n";
}

uint64_t PoolState::low_water(const std::string& stream) const {
    std::optional<uint64_t> lowest;
    for (const auto& [number, service] : services)
        if (service.stream == stream)
            lowest = std::min(lowest.value_or(service.mark), service.mark);
    return lowest.value_or(streams.at(stream).kept_from);
}

std::string PoolState::text() const {
    std::string text;
    for (const auto& [name, stream] : streams) {
        const uint64_t from = low_water(name);
        std::vector<size_t> needed;
        for (size_t i = 0; i < stream.records.size(); ++i)
            if (stream.records[i] >= from) needed.push_back(i);
        const uint64_t segments =
            stream.records.empty() ? 0 : stream.records.back() / kSpan - from / kSpan + 1;
        text += line_of_stream(name, stream.shared, from, segments, needed);
    }
    for (const auto& [number, service] : services) text += line_of_service(number, service);
    return text;
}

Change adds_stream(const std::string& name, bool shared) {
    return {"add stream " + name, [=](PoolState& state) {
                state.streams[name] = {shared, {}, 0};
                ++state.streams_ever;
            }};
}

Change removes_stream(const std::string& name) {
    return {"remove stream " + name, [=](PoolState& state) { state.streams.erase(name); }};
}

Change adds_service(unsigned number, const ServiceState& service) {
    return {"add service " + service.name,
            [=](PoolState& state) { state.services[number] = service; }};
}

Change removes_service(unsigned number) {
    return {"remove service " + std::to_string(number), [=](PoolState& state) {
                const ServiceState service = state.services.at(number);
                state.services.erase(number);
                const bool is_last = std::ranges::none_of(state.services, [&](const auto& other) {
                    return other.second.stream == service.stream;
                });
                if (is_last) state.streams.at(service.stream).kept_from = service.mark;
            }};
}

cinnabar::crash::Oracle all_or_none_of_each(PoolState before, std::vector<Change> changes) {
    const auto after = [=](size_t n) {
        PoolState state = before;
        for (size_t i = 0; i < n; ++i) changes[i].expect(state);
        return state;
    };
    return [=](std::string_view digest, const cinnabar::crash::History& history) {
        const size_t least = history.acknowledged_prefix(), most = history.operations().size();
        const size_t last_line = digest.rfind(kNextStream);
        const std::string_view text = digest.substr(0, last_line);
        std::string possible;
        std::optional<size_t> made;  // so many changes, at least
        for (size_t n = least; n <= most; ++n) {
            if (!made && text == after(n).text()) made = n;
            possible += (n == least ? "" : "or\n") + after(n).text();
        }
        if (!made || last_line == std::string_view::npos)
            return "it is\n" + std::string(digest) + "and not\n" + possible;
        // A number may have been given to a stream that is not there.
        const uint64_t next =
            std::stoul(std::string(digest.substr(last_line + kNextStream.size())));
        if (next > after(*made).streams_ever && next <= after(most).streams_ever + 1)
            return std::string();
        return "a new stream is given the number " + std::to_string(next);
    };
}

}  // namespace kit_test
