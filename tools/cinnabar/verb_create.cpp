// cinnabar create POOL: a new pool file without streams.
#include <memory>

#include "output.hpp"
#include "pool_options.hpp"

namespace cinnabar::tool {

namespace {

struct Create {
    std::string path;
    CreateOptions options;
    bool json = false;

    ExitCode run() const {
        if (auto made = Log::create(path, options); !made) return end_with(made.error(), json);
        if (json) {
            Json out = document();
            out["pool"] = path;
            out["pool_bytes"] = options.pool_bytes;
            out["segment_bytes"] = options.segment_bytes;
            put_json(out);
        } else {
            say("created '" + path + "', " + size_text(options.pool_bytes) + " in segments of " +
                size_text(options.segment_bytes) + "; next: cinnabar stream add");
        }
        return end_with(ExitCode::ok, json);
    }
};

}  // namespace

void add_create(CLI::App& program, Chosen& chosen) {
    auto* app = program.add_subcommand("create", "Create a pool file");
    auto verb = std::make_shared<Create>();
    app->add_option("pool", verb->path, "The pool file; it must not exist")
        ->required()
        ->type_name("POOL");
    add_size_option(*app, "--size", verb->options.pool_bytes, "Size of the file [64M]");
    add_size_option(*app, "--segment-size", verb->options.segment_bytes,
                    "Size of a segment, a power of two; a record takes a quarter at most [1M]");
    add_json_option(*app, verb->json);
    run_when_chosen(*app, chosen, [verb] { return verb->run(); });
}

}  // namespace cinnabar::tool
