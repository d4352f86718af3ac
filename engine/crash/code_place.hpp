// The place in the code from which a call came, by object and offset: "program+0x1234". `addr2line
// -e PROGRAM 0x1234` gives the line of the source.
#pragma once

#include <string>

namespace cinnabar::crash {

struct CodePlace {
    std::string object;    // without its folder; nothing: in no object that is loaded
    std::string offset;    // "0x1234", of the call itself
    std::string function;  // where the object tells others of it

    std::string text() const;  // "program+0x1234"
};

// `behind` is where the call returns to.
CodePlace code_place(const void* behind);

}  // namespace cinnabar::crash
