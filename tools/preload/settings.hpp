// What `cinnabar crash run` tells the programs that it starts (preload.cpp says which of these
// there are): in the environment, for whoever is preloaded there.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace cinnabar::tool {

inline std::string name_of_setting(const char* name) {
    return std::string("CINNABAR_CRASH_") + name;
}

// Empty where it is not set.
inline std::string setting(const char* name) {
    const char* value = std::getenv(name_of_setting(name).c_str());
    return value == nullptr ? "" : value;
}

// Left as it is where it is not set.
inline void set_number(const char* name, uint64_t& number) {
    if (const std::string value = setting(name); !value.empty())
        number = std::strtoull(value.c_str(), nullptr, 10);
}

inline void set_setting(const char* name, const std::string& value) {
    ::setenv(name_of_setting(name).c_str(), value.c_str(), 1);
}

}  // namespace cinnabar::tool
