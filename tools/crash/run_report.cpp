#include "run_report.hpp"

#include "output.hpp"
#include "run_workload.hpp"

namespace cinnabar::tool {

namespace {

using crash::ViolationKind;

// A byte that is not ASCII stands in JSON as the letter of that number (explain::json_string), and
// the parser gives the letter's two bytes.
std::string bytes_of(const Json& letters) {
    const auto& text = letters.get_ref<const std::string&>();
    std::string bytes;
    for (size_t at = 0; at < text.size(); ++at) {
        const auto first = static_cast<unsigned char>(text[at]);
        if (first < 0x80 || at + 1 == text.size()) {
            bytes += text[at];
            continue;
        }
        const auto second = static_cast<unsigned char>(text[++at]);
        bytes += static_cast<char>((first & 0x03u) << 6 | (second & 0x3Fu));
    }
    return bytes;
}

ViolationKind kind_of(const std::string& name) {
    auto kind = ViolationKind::wrong;
    while (name_of(kind) != name && kind != ViolationKind::misuse)
        kind = static_cast<ViolationKind>(static_cast<uint8_t>(kind) + 1);
    return kind;
}

crash::Violation violation_of(const Json& json) {
    crash::Violation violation;
    violation.kind = kind_of(json["kind"]);
    violation.what = bytes_of(json["what"]);
    violation.crash_point = json["crash_point"];
    violation.recovery_crash_point = json["recovery_crash_point"];
    violation.where = bytes_of(json["where"]);
    violation.operations = json["operations"];
    violation.since = bytes_of(json["since"]);
    violation.images = json["images"];
    violation.crash_points = json["crash_points"];
    violation.lost = bytes_of(json["lost"]);
    violation.survived = bytes_of(json["survived"]);
    violation.order = bytes_of(json["order"]);
    violation.fix = bytes_of(json["fix"]);
    violation.replay = bytes_of(json["replay"]);
    if (json["image"].is_string()) violation.image_file = bytes_of(json["image"]);
    if (json["page"].is_string()) violation.page_file = bytes_of(json["page"]);
    violation.not_written = bytes_of(json["not_written"]);
    return violation;
}

crash::Report report_of(const Json& json) {
    crash::Report report;
    report.region_bytes = json["region_bytes"];
    report.operations = json["operations"];
    report.crash_points = json["crash_points"];
    report.images_distinct = json["images_distinct"];
    report.images_repeated = json["images_repeated"];
    report.recoveries = json["recoveries"];
    report.recoveries_crashed = json["recoveries_crashed"];
    report.recovery_crash_points = json["recovery_crash_points"];
    report.recovery_images = json["recovery_images"];
    report.recovery_not_tried_log10 = json["recovery_not_tried_log10"];
    report.recovery_seconds = json["recovery_seconds"];
    report.states_log10 = json["states_represented_log10"];
    report.not_tried_log10 = json["not_tried_log10"];
    report.seconds = json["seconds"];
    report.images_per_s = json["images_per_s"];
    report.stopped = json["stopped"];
    report.workload_end = bytes_of(json["workload_end"]);
    for (const Json& one : json["violations"]) report.violations.push_back(violation_of(one));
    for (const Json& one : json["remarks"])
        report.remarks.push_back({bytes_of(one["rule"]), bytes_of(one["where"]), one["times"]});
    return report;
}

Remaining remaining_of(const Json& json) {
    Remaining remaining;
    for (const Json& one : json["fixes"])
        remaining.fixes[one["violation"]] = {bytes_of(one["where"]),
                                             explain::lines_of_words(one["lines_after"]),
                                             explain::lines_of_words(one["own_lines"])};
    remaining.trail = {json["lines_stored"].get<std::vector<uint32_t>>(),
                       json["values_stored"].get<std::vector<uint32_t>>()};
    if (const uint64_t before = json["earlier_before"]; before > 0)
        remaining.earlier = {explain::lines_of_words(json["earlier_lines"]), before};
    return remaining;
}

}  // namespace

Error not_whole(const std::string& path) {
    return {Errc::io, "'" + path + "' was not written whole: is the folder full?", {}, {}};
}

Result<crash::Report> report_of(const std::string& text, const std::string& path) {
    try {
        return report_of(Json::parse(text));
    } catch (const Json::exception&) {
        return fail(not_whole(path));
    }
}

std::optional<Error> error_left(const std::string& path) {
    const auto text = text_of_file(path);
    if (!text) return std::nullopt;
    if (text->empty()) return not_whole(path);
    const size_t end = text->find(' ');  // of the error's number
    return Error{static_cast<Errc>(std::stoi(text->substr(0, end))), text->substr(end + 1), {}, {}};
}

Result<std::optional<SoFar>> so_far_of(const std::string& path) {
    const auto text = text_of_file(path);
    if (!text) return std::nullopt;
    try {
        const Json json = Json::parse(*text);
        return SoFar{json["recovering"], !text_of_file(path + ".lost"), report_of(json["report"])};
    } catch (const Json::exception&) {
        return fail(not_whole(path));
    }
}

Result<Remaining> remaining_of(const std::string& path) {
    const auto text = text_of_file(path);
    if (!text) return Remaining();
    try {
        return remaining_of(Json::parse(*text));
    } catch (const Json::exception&) {
        return fail(not_whole(path));
    }
}

}  // namespace cinnabar::tool
