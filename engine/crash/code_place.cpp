#include "crash/code_place.hpp"

#include <dlfcn.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>

namespace cinnabar::crash {

namespace {

std::string hexadecimal(uintptr_t number) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%" PRIxPTR, number);
    return text;
}

}  // namespace

std::string CodePlace::text() const {
    return object.empty() ? offset : object + "+" + offset;
}

CodePlace code_place(const void* behind) {
    const auto address = reinterpret_cast<uintptr_t>(behind) - 1;  // in the call, and its line
    Dl_info info = {};
    if (::dladdr(reinterpret_cast<const void*>(address), &info) == 0 || info.dli_fname == nullptr)
        return {"", hexadecimal(address), ""};
    CodePlace place{info.dli_fname,
                    hexadecimal(address - reinterpret_cast<uintptr_t>(info.dli_fbase)),
                    info.dli_sname == nullptr ? "" : info.dli_sname};
    place.object.erase(0, place.object.rfind('/') + 1);
    return place;
}

}  // namespace cinnabar::crash
