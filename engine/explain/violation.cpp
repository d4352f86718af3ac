#include "explain/violation.hpp"

#include <cstdio>

namespace cinnabar::crash {

std::string_view name_of(ViolationKind kind) {
    switch (kind) {
        case ViolationKind::wrong: return "wrong";
        case ViolationKind::crashed: return "crashed";
        case ViolationKind::hung: return "hung";
        case ViolationKind::out_of_memory: return "out_of_memory";
        case ViolationKind::threw: return "threw";
        case ViolationKind::not_deterministic: return "not_deterministic";
        case ViolationKind::not_idempotent: return "not_idempotent";
        case ViolationKind::oracle_threw: return "oracle_threw";
        case ViolationKind::workload_threw: return "workload_threw";
        case ViolationKind::misuse: return "misuse";
    }
    return "?";
}

}  // namespace cinnabar::crash

namespace cinnabar::explain {

std::string count_text(uint64_t n, const char* what) {
    return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

std::string details_of(const crash::Violation& violation) {
    if (violation.crash_point == 0) return "";
    const auto or_nothing = [](const std::string& lines) {
        return lines.empty() ? std::string("nothing") : lines;
    };
    std::string text =
        "  crash at: " + violation.where + ", " + count_text(violation.images, "image") + "\n";
    if (!violation.since.empty()) text += "  since: " + violation.since + "\n";
    text += "  lost: " + or_nothing(violation.lost) + "\n";
    text += "  survived: " + or_nothing(violation.survived) + "\n";
    if (!violation.order.empty()) text += "  order: " + violation.order + "\n";
    if (!violation.fix.empty()) text += "  tried: " + violation.fix + "\n";
    text += "  replay: " + violation.replay + "\n";
    if (!violation.image_file.empty()) text += "  image: " + violation.image_file + "\n";
    if (!violation.page_file.empty()) text += "  page: " + violation.page_file + "\n";
    if (!violation.not_written.empty()) text += "  not written: " + violation.not_written + "\n";
    return text;
}

std::string text_of(const crash::Violation& violation) {
    return "violation (" + std::string(name_of(violation.kind)) + "): " + violation.what + "\n" +
           details_of(violation);
}

void note_file(const Result<void>& written, const std::string& path,
               std::string crash::Violation::*file, crash::Violation& violation) {
    if (written) {
        violation.*file = path;
        return;
    }
    violation.not_written += (violation.not_written.empty() ? "" : "; ") + written.error().message;
}

std::string json_string(const std::string& text) {
    std::string out = "\"";
    for (const char letter : text) {
        const auto code = static_cast<unsigned char>(letter);
        char escaped[8];
        if (letter == '"' || letter == '\\') {
            out += '\\';
            out += letter;
        } else if (code < 0x20 || code >= 0x7F) {
            std::snprintf(escaped, sizeof escaped, "\\u%04x", code);
            out += escaped;
        } else {
            out += letter;
        }
    }
    return out + "\"";
}

JsonObject& JsonObject::add(const char* key, double value) {
    char number[64];
    std::snprintf(number, sizeof number, "%.10g", value);
    return raw(key, number);
}

JsonObject json_of(const crash::Violation& violation) {
    const auto file = [](const std::string& path) {
        return path.empty() ? std::string("null") : json_string(path);
    };
    return JsonObject()
        .add("kind", std::string(name_of(violation.kind)))
        .add("what", violation.what)
        .add("crash_point", violation.crash_point)
        .add("recovery_crash_point", violation.recovery_crash_point)
        .add("where", violation.where)
        .add("operations", violation.operations)
        .add("since", violation.since)
        .add("images", violation.images)
        .add("lost", violation.lost)
        .add("survived", violation.survived)
        .add("order", violation.order)
        .add("fix", violation.fix)
        .add("replay", violation.replay)
        .raw("image", file(violation.image_file))
        .raw("page", file(violation.page_file))
        .add("not_written", violation.not_written);
}

}  // namespace cinnabar::explain
