// The values of options: numbers with a unit, positions, times and choices. What cannot be read is
// refused in words of our own, before the verb begins.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "cinnabar/result.hpp"

namespace cinnabar::tool {

// "65536", "64K", "64KiB", "64kb", "1G", "2T": powers of two. Errors: invalid_argument.
Result<uint64_t> parse_size(const std::string& text);
void add_size_option(CLI::App& app, const std::string& name, uint64_t& bytes,
                     const std::string& help);

// A decimal number from 0 on. Errors: invalid_argument; `what` names what is wanted ("an LSN").
Result<uint64_t> parse_number(const std::string& text, const std::string& what, uint64_t max);

// An LSN, which is never negative. Returns the option.
CLI::Option* add_lsn_option(CLI::App& app, const std::string& name, std::optional<uint64_t>& lsn,
                            const std::string& help);

void add_lock_timeout_option(CLI::App& app, uint32_t& timeout_ms);

// For names of values, in place of CLI11's own check: "'lots' is neither 'one' nor 'many'".
std::string none_of(const std::string& text, const std::vector<std::string>& names);
template <class Value>
CLI::Validator one_of(const std::map<std::string, Value>& values) {
    return CLI::Validator(
        [values](std::string& text) {
            const auto found = values.find(text);
            if (found != values.end()) {
                text = std::to_string(static_cast<int>(found->second));
                return std::string();
            }
            std::vector<std::string> names;
            for (const auto& [name, value] : values) names.push_back(name);
            return none_of(text, names);
        },
        "");
}

}  // namespace cinnabar::tool
