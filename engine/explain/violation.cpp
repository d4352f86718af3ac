#include "explain/violation.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <vector>

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

namespace {

// An order without the words of the line that is printed too early.
std::string without_line(std::string order) {
    const size_t end = order.find("' is printed, and so acknowledged");
    for (const std::string before : {" must be durable before '", "none helps: '"})
        if (const size_t at = order.find(before); at < end && end != order.npos)
            return order.erase(at + before.size(), end - at - before.size());
    return order;
}

// Without words that hold a digit: numbers, and what is written in hex.
std::string without_data(const std::string& text) {
    std::string out, word;
    bool is_data = false;
    for (const char letter : text + ' ') {
        const auto code = static_cast<unsigned char>(letter);
        if (std::isalnum(code) != 0) {
            word += letter;
            is_data = is_data || std::isdigit(code) != 0;
            continue;
        }
        out += (is_data ? "" : word) + letter;
        word.clear();
        is_data = false;
    }
    return out;
}

// Without the numbers behind one of these words.
std::string without_numbers(const std::string& text, const std::vector<std::string>& words) {
    std::string out;
    for (const char letter : text) {
        const bool is_digit = letter >= '0' && letter <= '9';
        const auto ends = [&](const std::string& word) { return out.ends_with(word); };
        if (!is_digit || std::ranges::none_of(words, ends)) out += letter;
    }
    return out;
}

// Without what stands in quotes, which are data. An apostrophe inside of a word is none.
std::string without_quoted(const std::string& text) {
    const auto is_letter = [&](size_t at) {
        return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    std::string out;
    for (size_t at = 0; at < text.size(); ++at) {
        out += text[at];
        if (text[at] != '\'' || (at > 0 && is_letter(at - 1))) continue;
        size_t end = text.find('\'', at + 1);
        while (end != text.npos && is_letter(end + 1)) end = text.find('\'', end + 1);
        if (end != text.npos) at = end;
    }
    return out;
}

// Others fit any failure of their call: the words must say what failed.
bool names_two_calls(const std::string& order) {
    const std::string before = " must be durable before ";
    const size_t at = order.find(before);
    return at != order.npos && order.find("what was durable or", at) == order.npos;
}

}  // namespace

bool differ_in_data_alone(const std::string& one, const std::string& other) {
    const auto words = [](const std::string& what) { return without_data(without_quoted(what)); };
    return one.empty() == other.empty() && words(one) == words(other);
}

bool is_same_cause(const crash::Violation& one, const crash::Violation& other) {
    const auto is_inside = [](const crash::Violation& violation) {
        return violation.recovery_crash_point != 0;
    };
    if (one.kind != other.kind || is_inside(one) != is_inside(other)) return false;
    if (one.crash_point == 0 || other.crash_point == 0) return false;  // no image is to blame
    if (one.order == other.order && names_two_calls(one.order)) return true;
    // Other numbers in an order are parts of the calls' names.
    const auto calls = [](const crash::Violation& violation) {
        return without_numbers(without_line(violation.order),
                               {" offset ", "(offset ", " operation "});
    };
    return calls(one) == calls(other) && differ_in_data_alone(one.what, other.what);
}

std::string count_text(uint64_t n, const char* what) {
    return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

std::string details_of(const crash::Violation& violation) {
    if (violation.crash_point == 0) return "";
    const auto or_nothing = [](const std::string& lines) {
        return lines.empty() ? std::string("nothing") : lines;
    };
    std::string text =
        "  crash at: " + violation.where + ", " + count_text(violation.images, "image") +
        (violation.crash_points > 1 ? " at " + count_text(violation.crash_points, "crash point")
                                    : "") +
        "\n";
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
    note(written.error().message, violation);
}

void note(const std::string& not_written, crash::Violation& violation) {
    violation.not_written += (violation.not_written.empty() ? "" : "; ") + not_written;
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
        .add("crash_points", violation.crash_points)
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
