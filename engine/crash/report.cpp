// The report of a run as text and as JSON.
#include <cmath>
#include <cstdio>

#include "cinnabar/crash.hpp"
#include "explain/violation.hpp"

namespace cinnabar::crash {

namespace {

using explain::count_text;
using explain::JsonObject;

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

std::string inside_text(const Report& report) {
    return count_text(report.recovery_crash_points, "crash point") + " in " +
           std::to_string(report.recoveries_crashed) +
           (report.recoveries_crashed == 1 ? " recovery, " : " recoveries, ") +
           count_text(report.recovery_images, "image") +
           "; not tried: " + power_text(report.recovery_not_tried_log10, 1);
}

template <class T, class Make>
std::string json_array(const std::vector<T>& all, const Make& make) {
    std::string out;
    for (const T& one : all) out += (out.empty() ? "" : ", ") + make(one).text();
    return "[" + out + "]";
}

}  // namespace

std::string Report::text() const {
    std::string out;
    for (const Violation& violation : violations) out += explain::text_of(violation);
    for (const Remark& remark : remarks)
        out += "remark: " + remark.rule + (remark.where.empty() ? "" : ": " + remark.where) +
               (remark.times > 1 ? ", " + count_text(remark.times, "time") : "") + "\n";
    if (operations > 0) out += count_text(operations, "operation") + ", ";
    out += count_text(crash_points, "crash point") + ", " + count_text(images_distinct, "image") +
           " of " + power_text(states_log10, static_cast<double>(crash_points)) +
           " possible; not tried: " + power_text(not_tried_log10, 1) + "\n";
    if (recoveries_crashed > 0) out += "inside of recovery: " + inside_text(*this) + "\n";
    out += violations.empty() ? std::string("no violation")
                              : count_text(violations.size(), "violation");
    if (!workload_end.empty()) out += (violations.empty() ? ", but " : ", and ") + workload_end;
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
        .add("recoveries_crashed", recoveries_crashed)
        .add("recovery_crash_points", recovery_crash_points)
        .add("recovery_images", recovery_images)
        .add("recovery_not_tried_log10", recovery_not_tried_log10)
        .add("recovery_seconds", recovery_seconds)
        .add("states_represented_log10", states_log10)
        .add("not_tried_log10", not_tried_log10)
        .add("seconds", seconds)
        .add("images_per_s", images_per_s)
        .raw("stopped", stopped ? "true" : "false")
        .add("workload_end", workload_end);
    out.raw("violations",
            json_array(violations, [](const Violation& one) { return explain::json_of(one); }));
    out.raw("remarks", json_array(remarks, [](const Remark& one) {
                return JsonObject()
                    .add("rule", one.rule)
                    .add("where", one.where)
                    .add("times", one.times);
            }));
    return out.text() + "\n";
}

}  // namespace cinnabar::crash
