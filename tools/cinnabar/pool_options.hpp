// What verbs on a pool share: the pool's path, how it is opened, and numbers with a unit.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cinnabar/log.hpp"
#include "verbs.hpp"

namespace cinnabar::tool {

struct PoolOptions {
    std::string path;
    Emulate emulate = Emulate::no;
    uint32_t lock_timeout_ms = 0;
    bool json = false;

    Result<Log> open(bool read_only) const;
};

// POOL, --json, --lock-timeout, --emulate.
void add_pool_options(CLI::App& app, PoolOptions& options);
void add_json_option(CLI::App& app, bool& json);

// "65536", "64K", "64KiB", "1G": binary units. Errors: invalid_argument.
Result<uint64_t> parse_size(const std::string& text);
void add_size_option(CLI::App& app, const std::string& name, uint64_t& bytes,
                     const std::string& help);

// Runs a verb's work when it was chosen; its exit code is the program's.
template <class Work>
void run_when_chosen(CLI::App& app, Chosen& chosen, Work work) {
    app.callback([&chosen, work] { chosen = work; });
}

}  // namespace cinnabar::tool
