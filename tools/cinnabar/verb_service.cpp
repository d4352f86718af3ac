// cinnabar service list|add|remove POOL [NAME].
#include <memory>

#include "names.hpp"
#include "output.hpp"
#include "pool_options.hpp"

namespace cinnabar::tool {

namespace {

struct ServiceVerb {
    PoolOptions pool;
    std::string name;
    std::string stream;
};

Json json_of(const ServiceInfo& service) {
    return {{"name", service.name},
            {"number", service.service.value},
            {"stream", service.stream},
            {"low_water_lsn", service.low_water.value}};
}

ExitCode list(const ServiceVerb& verb) {
    auto log = verb.pool.open(true);
    if (!log) return end_with(log.error(), verb.pool.json);
    Json out = document(*log);
    out["services"] = Json::array();
    for (const ServiceInfo& service : log->services()) {
        if (!verb.pool.json)
            put_line(service.name + "\t" + service.stream + "\t" +
                     std::to_string(service.low_water.value));
        out["services"].push_back(json_of(service));
    }
    if (verb.pool.json)
        put_json(out);
    else
        say_if_emulated(*log);
    return end_with(ExitCode::ok, verb.pool.json);
}

ExitCode finish(const ServiceVerb& verb, Log& log, const ServiceInfo& service,
                const std::string& done) {
    Json out = document(log);
    const std::string sentence =
        labelled(log, done + " service '" + service.name + "' of stream '" + service.stream + "'");
    if (auto closed = log.close(); !closed) return end_with(closed.error(), verb.pool.json);
    if (verb.pool.json) {
        out["service"] = json_of(service);
        out["done"] = done;
        put_json(out);
    } else {
        say(sentence);
    }
    return end_with(ExitCode::ok, verb.pool.json);
}

ExitCode add(const ServiceVerb& verb) {
    auto log = verb.pool.open(false);
    if (!log) return end_with(log.error(), verb.pool.json);
    if (auto added = log->add_service(verb.stream, verb.name); !added) {
        const ExitCode code = end_with(with_streams(*log, added.error()), verb.pool.json);
        if (added.error().code == Errc::full)
            say("to make room: cinnabar service remove " + verb.pool.path + " NAME");
        return code;
    }
    auto service = find_service(*log, verb.name);
    if (!service) return end_with(service.error(), verb.pool.json);
    return finish(verb, *log, *service, "added");
}

ExitCode remove(const ServiceVerb& verb) {
    auto log = verb.pool.open(false);
    if (!log) return end_with(log.error(), verb.pool.json);
    auto service = find_service(*log, verb.name);
    if (!service) return end_with(service.error(), verb.pool.json);
    if (auto removed = log->remove_service(service->service); !removed)
        return end_with(removed.error(), verb.pool.json);
    return finish(verb, *log, *service, "removed");
}

}  // namespace

void add_service(CLI::App& program, Chosen& chosen) {
    auto* group = program.add_subcommand("service", "List, add and remove services");
    group->require_subcommand(1);
    auto verb = std::make_shared<ServiceVerb>();

    auto* app = group->add_subcommand("list", "Name, stream and low-water mark of all services");
    add_pool_options(*app, verb->pool);
    run_when_chosen(*app, chosen, [verb] { return list(*verb); });

    app = group->add_subcommand("add", "Add a service, which holds space of a stream");
    add_pool_options(*app, verb->pool);
    app->add_option("name", verb->name, "The new service")->required()->type_name("NAME");
    app->add_option("--stream", verb->stream, "The stream")->required()->type_name("NAME");
    run_when_chosen(*app, chosen, [verb] { return add(*verb); });

    app = group->add_subcommand("remove", "Remove a service, and release what it alone held");
    add_pool_options(*app, verb->pool);
    app->add_option("name", verb->name, "The service")->required()->type_name("NAME");
    run_when_chosen(*app, chosen, [verb] { return remove(*verb); });
}

}  // namespace cinnabar::tool
