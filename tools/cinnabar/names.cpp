#include "names.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace cinnabar::tool {

namespace {

// "'a', 'b'", or "none".
template <class Infos>
std::string names_of(const Infos& infos) {
    std::string names;
    for (const auto& info : infos) names += (names.empty() ? "'" : ", '") + info.name + "'";
    return names.empty() ? "none" : names;
}

std::vector<ServiceInfo> services_of(const Log& log, const std::string& stream) {
    std::vector<ServiceInfo> services = log.services();
    std::erase_if(services, [&](const ServiceInfo& info) { return info.stream != stream; });
    return services;
}

// The oldest segment of a stream, and the services that still hold it.
struct Oldest {
    std::string stream;
    Lsn end;
    std::vector<ServiceInfo> services;  // none: the stream has none
};

// Of the stream where it can be freed, else of another one.
std::optional<Oldest> oldest_to_free(Log& log, const std::string& asking) {
    std::vector<std::string> names = {asking};
    for (const StreamInfo& info : log.streams()) names.push_back(info.name);
    for (const std::string& name : names) {
        auto stream = log.stream(name);
        if (!stream || stream->oldest_end() > stream->durable()) continue;
        Oldest oldest{name, stream->oldest_end(), services_of(log, name)};
        const bool has_none = oldest.services.empty();
        std::erase_if(oldest.services,
                      [&](const ServiceInfo& info) { return info.low_water >= oldest.end; });
        if (has_none || !oldest.services.empty()) return oldest;
    }
    return std::nullopt;
}

}  // namespace

Error with_streams(const Log& log, Error error) {
    if (error.code == Errc::not_found)
        error.message += "; streams of this pool: " + names_of(log.streams());
    return error;
}

Result<Stream> find_stream(Log& log, const std::string& name) {
    auto stream = log.stream(name);
    if (!stream) return fail(with_streams(log, std::move(stream.error())));
    return stream;
}

Result<ServiceInfo> find_service(const Log& log, const std::string& name) {
    const std::vector<ServiceInfo> services = log.services();
    for (const ServiceInfo& info : services)
        if (info.name == name) return info;
    return fail(Errc::not_found,
                "no service named '" + name +
                    "' in this pool; services of this pool: " + names_of(services));
}

Result<ServiceInfo> find_service_of(const Log& log, const std::string& stream,
                                    const std::string& name) {
    const std::vector<ServiceInfo> services = services_of(log, stream);
    for (const ServiceInfo& info : services)
        if (info.name == name) return info;
    return fail(Errc::not_found, "stream '" + stream + "' has no service named '" + name +
                                     "'; services of this stream: " + names_of(services));
}

std::string how_to_make_room(Log& log, const std::string& pool, const std::string& stream) {
    const auto oldest = oldest_to_free(log, stream);
    if (!oldest)
        return "to make room: cinnabar copy " + pool +
               " NEW --size SIZE; no stream holds more than the segment that it writes to";
    std::string text = "to make room: ";
    std::string needing;
    const auto release = [&](const std::string& service) {
        text += "cinnabar release " + pool + " --service " + service + " --to " +
                std::to_string(oldest->end.value);
        needing += (needing.empty() ? "'" : " and '") + service + "'";
    };
    if (oldest->services.empty()) {
        text += "cinnabar service add " + pool + " NAME --stream " + oldest->stream + ", and then ";
        release("NAME");
    }
    for (const ServiceInfo& info : oldest->services) {
        if (!needing.empty()) text += ", and ";
        release(info.name);
    }
    text += "; that frees the oldest segment of stream '" + oldest->stream + "', if " + needing +
            (oldest->services.size() > 1 ? " need" : " needs") + " nothing before it";
    if (log.streams().size() > 1) text += "; what the other streams hold: cinnabar info " + pool;
    return text;
}

}  // namespace cinnabar::tool
