// What a medium is, in one line for people.
#include "cinnabar/medium.hpp"

#include <string>

namespace cinnabar {

std::string MediumInfo::sentence() const {
    std::string text(name_of(domain));
    text += emulated ? " domain, emulated on " : " domain on ";
    text += file_system + ", " + flush;
    if (modelled.fence_ns != 0) text += ", +" + std::to_string(modelled.fence_ns) + " ns a fence";
    if (modelled.line_ns != 0) text += ", +" + std::to_string(modelled.line_ns) + " ns a line";
    if (modelled.any()) text += " (modelled)";
    return text;
}

}  // namespace cinnabar
