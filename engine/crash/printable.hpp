// Bytes of somebody's as text that a terminal bears.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace cinnabar::crash {

// What is not printable ASCII as \xNN, and so are the letters in `besides`.
inline std::string printable(std::string_view text, std::string_view besides = "") {
    std::string line;
    for (const char letter : text) {
        const auto code = static_cast<unsigned char>(letter);
        if (code >= ' ' && code < 0x7F && besides.find(letter) == besides.npos) {
            line += letter;
            continue;
        }
        char hexadecimal[8];
        std::snprintf(hexadecimal, sizeof hexadecimal, "\\x%02x", code);
        line += hexadecimal;
    }
    return line;
}

}  // namespace cinnabar::crash
