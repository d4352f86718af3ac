// What verbs on a pool share: the pool's path, and how it is opened.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cinnabar/log.hpp"
#include "values.hpp"
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
CLI::Option* add_json_option(CLI::App& app, bool& json);

// The same error, with the option that waits for a pool that is open elsewhere.
Error with_lock_timeout(Error error);

// Runs a verb's work when it was chosen; its exit code is the program's.
template <class Work>
void run_when_chosen(CLI::App& app, Chosen& chosen, Work work) {
    app.callback([&chosen, work] { chosen = work; });
}

}  // namespace cinnabar::tool
