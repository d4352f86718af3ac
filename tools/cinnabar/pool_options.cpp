#include "pool_options.hpp"

namespace cinnabar::tool {

Result<Log> PoolOptions::open(bool read_only) const {
    OpenOptions options;
    options.read_only = read_only;
    options.emulate = emulate;
    options.lock_timeout = std::chrono::milliseconds(lock_timeout_ms);
    auto log = Log::open(path, options);
    if (!log && !read_only && log.error().code == Errc::corrupt)
        log.error().message +=
            ": cinnabar check and dump do, salvage saves it. They change no byte of the file; an "
            "open for writing, this one too, may change libpmemobj's own bytes ahead of the log, "
            "and mends a damaged superblock copy";
    if (!log) return fail(with_lock_timeout(std::move(log.error())));
    return log;
}

Error with_lock_timeout(Error error) {
    if (error.code == Errc::locked) error.message += "; --lock-timeout MS waits for that";
    return error;
}

CLI::Option* add_json_option(CLI::App& app, bool& json) {
    return app.add_flag("--json", json, "Write JSON to the standard output");
}

void add_pool_options(CLI::App& app, PoolOptions& options) {
    static const std::map<std::string, Emulate> kEmulate = {{"cache_line", Emulate::cache_line},
                                                            {"byte", Emulate::byte}};
    app.add_option("pool", options.path, "The pool file")->required()->type_name("POOL");
    add_json_option(app, options.json);
    add_lock_timeout_option(app, options.lock_timeout_ms);
    app.add_option("--emulate", options.emulate,
                   "Treat a file in the page cache as persistent memory of this kind; nothing "
                   "survives a power failure then")
        ->transform(one_of(kEmulate))
        ->type_name("cache_line|byte");
}

}  // namespace cinnabar::tool
