#include "pool_options.hpp"

#include <charconv>
#include <map>

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
    return log;
}

void add_json_option(CLI::App& app, bool& json) {
    app.add_flag("--json", json, "Write JSON to the standard output");
}

void add_pool_options(CLI::App& app, PoolOptions& options) {
    static const std::map<std::string, Emulate> kEmulate = {{"cache_line", Emulate::cache_line},
                                                            {"byte", Emulate::byte}};
    app.add_option("pool", options.path, "The pool file")->required()->type_name("POOL");
    add_json_option(app, options.json);
    app.add_option("--lock-timeout", options.lock_timeout_ms,
                   "How long to wait while another process has the pool open")
        ->type_name("MS");
    app.add_option("--emulate", options.emulate,
                   "Treat a file in the page cache as persistent memory of this kind; nothing "
                   "survives a power failure then")
        ->transform(CLI::CheckedTransformer(kEmulate).description(""))
        ->type_name("cache_line|byte");
}

Result<uint64_t> parse_size(const std::string& text) {
    static const std::map<std::string, unsigned> kShift = {
        {"", 0}, {"B", 0}, {"K", 10}, {"KiB", 10}, {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}};
    uint64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, problem] = std::from_chars(text.data(), end, number);
    const auto unit = kShift.find(std::string(rest, end));
    if (problem != std::errc() || rest == text.data() || unit == kShift.end())
        return fail(Errc::invalid_argument,
                    "'" + text + "' is not a size; write a number and K, M or G, for example 64M");
    if (number > UINT64_MAX >> unit->second)
        return fail(Errc::invalid_argument, "'" + text + "' is too large a size");
    return number << unit->second;
}

void add_size_option(CLI::App& app, const std::string& name, uint64_t& bytes,
                     const std::string& help) {
    app.add_option_function<std::string>(
           name,
           [name, &bytes](const std::string& text) {
               auto size = parse_size(text);
               if (!size) throw CLI::ValidationError(name, size.error().message);
               bytes = *size;
           },
           help)
        ->type_name("SIZE");
}

}  // namespace cinnabar::tool
