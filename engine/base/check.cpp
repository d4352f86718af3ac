#include "base/check.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

namespace cinnabar {

void check_failed(const char* condition, const char* file, int line,
                  std::initializer_list<CheckValue> values) {
    std::fprintf(stderr, "cinnabar: check failed: %s (%s:%d)\n", condition, file, line);
    for (const CheckValue& v : values)
        std::fprintf(stderr, "  %s = %" PRIu64 " (0x%" PRIx64 ")\n", v.name, v.value, v.value);
    std::abort();
}

}  // namespace cinnabar
