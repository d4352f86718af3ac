#include "names.hpp"

#include <algorithm>

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

std::string how_to_make_room(const Log& log, const std::string& pool, const std::string& stream) {
    const std::vector<ServiceInfo> services = services_of(log, stream);
    const auto lowest = std::min_element(
        services.begin(), services.end(),
        [](const ServiceInfo& a, const ServiceInfo& b) { return a.low_water < b.low_water; });
    std::string text = "to make room: ";
    if (lowest == services.end())
        text += "cinnabar service add " + pool + " NAME --stream " + stream + ", and then ";
    const std::string name = lowest == services.end() ? "NAME" : lowest->name;
    text += "cinnabar release " + pool + " --service " + name + " --to LSN";
    if (log.streams().size() > 1) text += "; what the other streams hold: cinnabar info " + pool;
    return text;
}

}  // namespace cinnabar::tool
