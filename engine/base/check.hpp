// Assertions that stay on in release. A failed check is a bug of the engine, never of its input:
// it prints its place and its values and aborts, before a wrong byte reaches the medium.
#pragma once

#include <cstdint>
#include <initializer_list>

namespace cinnabar {

// A value printed beside a failed check.
struct CheckValue {
    const char* name;
    uint64_t value;
};

[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               std::initializer_list<CheckValue> values);

}  // namespace cinnabar

// CNB_CHECK(condition) or CNB_CHECK(condition, {"name", value}, ...).
#define CNB_CHECK(condition, ...)                                                    \
    do {                                                                             \
        if (!(condition)) [[unlikely]]                                               \
            ::cinnabar::check_failed(#condition, __FILE__, __LINE__, {__VA_ARGS__}); \
    } while (false)
