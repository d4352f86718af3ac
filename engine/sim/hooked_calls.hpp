// Included into every hooked source ahead of all else: these functions of the C library, which
// store to memory, become calls of the hooks' runtime, and memcmp with them. The declarations stand
// before those of the C library, whose names they keep for the source and change for the linker;
// -fno-builtin-... keeps the compiler from expanding them, and the macros do so for libstdc++,
// which uses the other names.
#pragma once

#if defined(__clang__) && !defined(__clang_analyzer__)
#error "cinnabar::crash_hooks: compile with gcc; clang does not tell of each store as gcc does"
#endif

#ifdef __cplusplus  // in C they are seen at the next call, as those of other libraries are

// A checked variant would be another function, of another name. (Nothing was included yet.)
#undef _FORTIFY_SOURCE

// Nothing of the C library may come first.
#include <stdarg.h>  // NOLINT(modernize-deprecated-headers)
#include <stddef.h>  // NOLINT(modernize-deprecated-headers)

#define CNB_HOOKED(NAME) noexcept __asm__("cinnabar_hooked_" #NAME)
extern "C" {
void* memcpy(void* to, const void* from, size_t length) CNB_HOOKED(memcpy);
void* mempcpy(void* to, const void* from, size_t length) CNB_HOOKED(mempcpy);
void* memccpy(void* to, const void* from, int last, size_t most) CNB_HOOKED(memccpy);
void* memmove(void* to, const void* from, size_t length) CNB_HOOKED(memmove);
void* memset(void* to, int value, size_t length) CNB_HOOKED(memset);
int memcmp(const void* one, const void* other, size_t length) CNB_HOOKED(memcmp);
void bcopy(const void* from, void* to, size_t length) CNB_HOOKED(bcopy);
void bzero(void* to, size_t length) CNB_HOOKED(bzero);
void explicit_bzero(void* to, size_t length) CNB_HOOKED(explicit_bzero);
char* strcpy(char* to, const char* from) CNB_HOOKED(strcpy);
char* stpcpy(char* to, const char* from) CNB_HOOKED(stpcpy);
char* strncpy(char* to, const char* from, size_t length) CNB_HOOKED(strncpy);
char* stpncpy(char* to, const char* from, size_t length) CNB_HOOKED(stpncpy);
char* strcat(char* to, const char* from) CNB_HOOKED(strcat);
char* strncat(char* to, const char* from, size_t most) CNB_HOOKED(strncat);
int sprintf(char* to, const char* format, ...) CNB_HOOKED(sprintf);
int snprintf(char* to, size_t size, const char* format, ...) CNB_HOOKED(snprintf);
int vsprintf(char* to, const char* format, va_list values) CNB_HOOKED(vsprintf);
int vsnprintf(char* to, size_t size, const char* format, va_list values) CNB_HOOKED(vsnprintf);
}
#undef CNB_HOOKED

#define __builtin_memcpy ::memcpy
#define __builtin_memmove ::memmove
#define __builtin_memset ::memset
#define __builtin_memcmp ::memcmp

#endif
