// What a word behind an option must be; CLI11 asks, and prints what is wrong.
#pragma once

#include <cstdint>
#include <string>

#include "values.hpp"

namespace cinnabar::tool {

// CLI11 takes -1 for a great unsigned number.
inline auto number_from(uint64_t least) {
    return [least](const std::string& text) {
        const auto number = parse_number(text, "a number", UINT64_MAX);
        if (!number)
            return "'" + text + "' is no whole number from " + std::to_string(least) + " on";
        return *number < least ? "'" + text + "' is below " + std::to_string(least) : std::string();
    };
}

inline auto not_empty() {
    return [](const std::string& text) { return std::string(text.empty() ? "it is empty" : ""); };
}

}  // namespace cinnabar::tool
