// cinnabar release POOL --service NAME --to LSN: a service needs nothing below the LSN any more.
#include <memory>
#include <optional>

#include "names.hpp"
#include "output.hpp"
#include "pool_options.hpp"

namespace cinnabar::tool {

namespace {

struct Release {
    PoolOptions pool;
    std::string service;
    std::optional<uint64_t> to;

    ExitCode run() const {
        auto log = pool.open(false);
        if (!log) return end_with(log.error(), pool.json);
        auto found = find_service(*log, service);
        if (!found) return end_with(found.error(), pool.json);
        if (auto done = log->release(found->service, Lsn{*to}); !done)
            return end_with(done.error(), pool.json);
        const uint32_t free = log->segments_free();
        Json out = document(*log);
        const std::string sentence = labelled(
            *log, "service '" + service + "' needs nothing below LSN " + std::to_string(*to) +
                      " of stream '" + found->stream + "'; free segments: " + std::to_string(free));
        if (auto done = log->close(); !done) return end_with(done.error(), pool.json);
        if (pool.json) {
            out["service"] = service;
            out["stream"] = found->stream;
            out["low_water_lsn"] = *to;
            out["segments_free"] = free;
            put_json(out);
        } else {
            say(sentence);
        }
        return end_with(ExitCode::ok, pool.json);
    }
};

}  // namespace

void add_release(CLI::App& program, Chosen& chosen) {
    auto* app = program.add_subcommand("release", "Raise the low-water mark of a service");
    auto verb = std::make_shared<Release>();
    add_pool_options(*app, verb->pool);
    app->add_option("--service", verb->service, "The service")->required()->type_name("NAME");
    add_lsn_option(*app, "--to", verb->to, "The oldest LSN that the service still needs")
        ->required();
    run_when_chosen(*app, chosen, [verb] { return verb->run(); });
}

}  // namespace cinnabar::tool
