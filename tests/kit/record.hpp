// A record of so many lines, and what its tests look at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "cinnabar/crash.hpp"

namespace kit_test {

namespace crash = cinnabar::crash;
using cinnabar::Domain;

constexpr size_t kBytes = 1 << 20;

inline crash::Region new_region(Domain domain = Domain::cache_line) {
    return crash::Region::create(kBytes, domain).value();
}

// A record of `lines` lines that are each made durable with the count, and not before it.
inline crash::Test record_test(crash::Region& region, size_t lines, bool count_first = false) {
    const auto workload = [&region, lines, count_first](crash::History& history) {
        auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
        history.begin("all");
        if (count_first) region.store(&words[0], uint64_t{lines});
        for (size_t line = 1; line <= lines; ++line) region.store(&words[line * 8], uint64_t{line});
        if (!count_first) region.store(&words[0], uint64_t{lines});
        region.persist(words, (lines + 1) * 64);
    };
    const auto recover = [](std::span<std::byte> image) {
        const auto* words = reinterpret_cast<const uint64_t*>(image.data());
        for (size_t line = 1; line <= words[0]; ++line)
            if (words[line * 8] != line) return "line " + std::to_string(line);
        return std::string(words[0] == 0 ? "" : "all");
    };
    return {.workload = workload, .recover = recover, .check = crash::prefix_of_appends()};
}

inline std::string as_digested(std::string_view digest, const crash::History&) {
    return std::string(digest);
}

inline std::string text_of_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline size_t count_of(const std::string& text, const std::string& part) {
    size_t count = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

}  // namespace kit_test
