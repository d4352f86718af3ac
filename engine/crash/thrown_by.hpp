// What leaves a call of somebody's code, in words.
#pragma once

#include <exception>
#include <optional>
#include <string>

namespace cinnabar::crash {

// Calls `call`, and gives what it threw.
template <class Call>
std::optional<std::string> thrown_by(const Call& call) {
    try {
        call();
        return std::nullopt;
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return "something that is no std::exception";
    }
}

}  // namespace cinnabar::crash
