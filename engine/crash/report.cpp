// The report of a run as text and as JSON.
#include <cmath>
#include <cstdio>

#include "cinnabar/crash.hpp"

namespace cinnabar::crash {

namespace {

std::string number(double value, const char* format) {
    char text[64];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

// 10 to the power of it, less what was added so that there is a logarithm.
std::string power_text(double log10, double added) {
    if (log10 > 6) return "10^" + number(log10, "%.1f");
    return number(std::round(std::pow(10, log10)) - added, "%.0f");
}

std::string count(uint64_t n, const char* what) {
    return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

// What a digest holds need not be UTF-8, as JSON must be: every byte that is not ASCII is escaped,
// as the letter of that number.
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

// The members of one JSON object, in order.
class JsonObject {
  public:
    JsonObject& raw(const char* key, const std::string& value) {
        text_ += (text_.empty() ? "" : ", ") + json_string(key) + ": " + value;
        return *this;
    }
    JsonObject& add(const char* key, const std::string& value) {
        return raw(key, json_string(value));
    }
    JsonObject& add(const char* key, uint64_t value) { return raw(key, std::to_string(value)); }
    JsonObject& add(const char* key, double value) { return raw(key, number(value, "%.6g")); }
    std::string text() const { return "{" + text_ + "}"; }

  private:
    std::string text_;
};

template <class T, class Make>
std::string json_array(const std::vector<T>& all, const Make& make) {
    std::string out;
    for (const T& one : all) out += (out.empty() ? "" : ", ") + make(one).text();
    return "[" + out + "]";
}

std::string text_of(const Violation& violation) {
    std::string text =
        "violation (" + std::string(name_of(violation.kind)) + "): " + violation.what + "\n";
    if (violation.crash_point == 0) return text;
    text += "  crash at: " + violation.where + ", " + count(violation.images, "image") + "\n";
    text += "  lost: " + (violation.lost.empty() ? "nothing" : violation.lost) + "\n";
    text += "  survived: " + (violation.survived.empty() ? "nothing" : violation.survived) + "\n";
    if (!violation.order.empty()) text += "  order: " + violation.order + "\n";
    if (!violation.fix.empty()) text += "  tried: " + violation.fix + "\n";
    return text + "  replay: " + violation.replay + "\n";
}

}  // namespace

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

std::string Report::text() const {
    std::string out;
    for (const Violation& violation : violations) out += text_of(violation);
    for (const Remark& remark : remarks)
        out += "remark: " + remark.rule + (remark.where.empty() ? "" : ": " + remark.where) +
               (remark.times > 1 ? ", " + count(remark.times, "time") : "") + "\n";
    out += count(operations, "operation") + ", " + count(crash_points, "crash point") + ", " +
           count(images_distinct, "image") + " of " +
           power_text(states_log10, static_cast<double>(crash_points)) +
           " possible; not tried: " + power_text(not_tried_log10, 1) + "\n";
    out += violations.empty() ? std::string("no violation") : count(violations.size(), "violation");
    return out + (stopped ? "; stopped, there may be more\n" : "\n");
}

std::string Report::json() const {
    JsonObject out;
    out.add("schema", uint64_t{1})
        .add("region_bytes", region_bytes)
        .add("operations", operations)
        .add("crash_points", crash_points)
        .add("images_distinct", images_distinct)
        .add("images_repeated", images_repeated)
        .add("recoveries", recoveries)
        .add("states_represented_log10", states_log10)
        .add("not_tried_log10", not_tried_log10)
        .add("seconds", seconds)
        .add("images_per_s", images_per_s)
        .raw("stopped", stopped ? "true" : "false");
    out.raw("violations", json_array(violations, [](const Violation& one) {
                return JsonObject()
                    .add("kind", std::string(name_of(one.kind)))
                    .add("what", one.what)
                    .add("crash_point", one.crash_point)
                    .add("where", one.where)
                    .add("images", one.images)
                    .add("lost", one.lost)
                    .add("survived", one.survived)
                    .add("order", one.order)
                    .add("fix", one.fix)
                    .add("replay", one.replay);
            }));
    out.raw("remarks", json_array(remarks, [](const Remark& one) {
                return JsonObject()
                    .add("rule", one.rule)
                    .add("where", one.where)
                    .add("times", one.times);
            }));
    return out.text() + "\n";
}

}  // namespace cinnabar::crash
