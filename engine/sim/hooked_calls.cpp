// What hooked code calls in the place of the C library's functions (hooked_calls.hpp): each says
// what it is about to load and to store, and then is the one of the library. Linked into hooked
// programs alone, and plain itself.
#include <strings.h>

#include <algorithm>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "sim/hook_state.hpp"

namespace {

using cinnabar::sim::load;
using cinnabar::sim::may_touch;
using cinnabar::sim::store;

// How many bytes stand before `last`, of `most`. Each is told of before it is looked at, since a
// watcher may decide what it is.
CNB_HOOK_INLINE size_t length_before(unsigned char last, const void* from, size_t most) {
    const auto* byte = static_cast<const unsigned char*>(from);
    size_t length = 0;
    for (; length < most; ++length) {
        load<1>(byte + length);
        if (byte[length] == last) break;
    }
    return length;
}

// One that begins and ends outside of the region is nobody's to decide.
CNB_HOOK_INLINE size_t length_of(const char* text, size_t most = SIZE_MAX) {
    const size_t length = strnlen(text, most);
    return may_touch(text, length + 1) ? length_before(0, text, most) : length;
}

// Puts so much of a text to `to`, with a zero behind it; gives where that stands.
CNB_HOOK_INLINE char* put_text(char* to, const char* from, size_t length) {
    store(to, length + 1);
    std::memcpy(to, from, length);
    to[length] = 0;
    return to + length;
}

// How many bytes the text stores, which nobody knows before it is formatted: so it is, once more.
size_t formatted_size(size_t size, const char* format, va_list values) {
    va_list measured;
    va_copy(measured, values);
    const int length = std::vsnprintf(nullptr, 0, format, measured);
    va_end(measured);
    return length < 0 ? 0 : std::min(size, static_cast<size_t>(length) + 1);
}

CNB_HOOK_INLINE void store_formatted(char* to, size_t size, const char* format, va_list values) {
    if (may_touch(to, size)) store(to, formatted_size(size, format, values));
}

}  // namespace

extern "C" {

void* cinnabar_hooked_memcpy(void* to, const void* from, size_t length) {
    load(from, length);
    store(to, length);
    return std::memcpy(to, from, length);
}
void* cinnabar_hooked_mempcpy(void* to, const void* from, size_t length) {
    load(from, length);
    store(to, length);
    return mempcpy(to, from, length);
}
void* cinnabar_hooked_memccpy(void* to, const void* from, int last, size_t most) {
    const size_t before = length_before(static_cast<unsigned char>(last), from, most);
    store(to, std::min(before + 1, most));
    return memccpy(to, from, last, most);
}
void* cinnabar_hooked_memmove(void* to, const void* from, size_t length) {
    load(from, length);
    store(to, length);
    return std::memmove(to, from, length);
}
void* cinnabar_hooked_memset(void* to, int value, size_t length) {
    store(to, length);
    return std::memset(to, value, length);
}
int cinnabar_hooked_memcmp(const void* one, const void* other, size_t length) {
    load(one, length);
    load(other, length);
    return std::memcmp(one, other, length);
}
void cinnabar_hooked_bcopy(const void* from, void* to, size_t length) {
    load(from, length);
    store(to, length);
    std::memmove(to, from, length);
}
void cinnabar_hooked_bzero(void* to, size_t length) {
    store(to, length);
    std::memset(to, 0, length);
}
void cinnabar_hooked_explicit_bzero(void* to, size_t length) {
    store(to, length);
    explicit_bzero(to, length);
}

char* cinnabar_hooked_strcpy(char* to, const char* from) {
    put_text(to, from, length_of(from));
    return to;
}
char* cinnabar_hooked_stpcpy(char* to, const char* from) {
    return put_text(to, from, length_of(from));
}
char* cinnabar_hooked_strncpy(char* to, const char* from, size_t length) {
    length_of(from, length);
    store(to, length);
    return std::strncpy(to, from, length);
}
char* cinnabar_hooked_stpncpy(char* to, const char* from, size_t length) {
    length_of(from, length);
    store(to, length);
    return stpncpy(to, from, length);
}
char* cinnabar_hooked_strcat(char* to, const char* from) {
    put_text(to + length_of(to), from, length_of(from));
    return to;
}
char* cinnabar_hooked_strncat(char* to, const char* from, size_t most) {
    put_text(to + length_of(to), from, length_of(from, most));
    return to;
}

int cinnabar_hooked_vsnprintf(char* to, size_t size, const char* format, va_list values) {
    store_formatted(to, size, format, values);
    return std::vsnprintf(to, size, format, values);
}
int cinnabar_hooked_vsprintf(char* to, const char* format, va_list values) {
    store_formatted(to, SIZE_MAX, format, values);
    return std::vsprintf(to, format, values);
}
int cinnabar_hooked_snprintf(char* to, size_t size, const char* format, ...) {
    va_list values;
    va_start(values, format);
    store_formatted(to, size, format, values);
    const int length = std::vsnprintf(to, size, format, values);
    va_end(values);
    return length;
}
int cinnabar_hooked_sprintf(char* to, const char* format, ...) {
    va_list values;
    va_start(values, format);
    store_formatted(to, SIZE_MAX, format, values);
    const int length = std::vsprintf(to, format, values);
    va_end(values);
    return length;
}

}  // extern "C"
