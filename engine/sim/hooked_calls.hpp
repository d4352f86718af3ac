// Included into every hooked source ahead of all else: the four functions that move and compare
// memory become calls of the hooks' runtime. The declarations stand before those of the C library,
// whose names they keep for the source and change for the linker; -fno-builtin-... keeps the
// compiler from expanding them, and the macros do so for libstdc++, which uses the other names.
#pragma once

#include <stddef.h>  // NOLINT(modernize-deprecated-headers): nothing of <cstring> may come first

extern "C" {
void* memcpy(void* to, const void* from, size_t length) noexcept __asm__("cinnabar_hooked_memcpy");
void* memmove(void* to, const void* from, size_t length) noexcept
    __asm__("cinnabar_hooked_memmove");
void* memset(void* to, int value, size_t length) noexcept __asm__("cinnabar_hooked_memset");
int memcmp(const void* one, const void* other, size_t length) noexcept
    __asm__("cinnabar_hooked_memcmp");
}

#define __builtin_memcpy ::memcpy
#define __builtin_memmove ::memmove
#define __builtin_memset ::memset
#define __builtin_memcmp ::memcmp
