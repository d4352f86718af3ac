// The report as JSON, for programs. Keys carry their units; what was not measured is null.
#include <nlohmann/json.hpp>

#include "force/force_bench.hpp"

namespace cinnabar::bench {

namespace {

using nlohmann::json;

const char* name_of(Segments segments) {
    return segments == Segments::warm ? "warm" : "recycled";
}

const char* name_of(Counts counts) {
    switch (counts) {
        case Counts::none: return "none";
        case Counts::stated: return "stated";
        case Counts::counted: return "counted";
    }
    return "none";
}

json to_json(const Quartiles& q) {
    return {{"q1", q.q1}, {"median", q.median}, {"q3", q.q3}};
}

json or_null(const std::optional<Quartiles>& q) {
    return q ? to_json(*q) : json(nullptr);
}

json or_null(const std::optional<Error>& error) {
    if (!error) return nullptr;
    return {{"code", cinnabar::name_of(error->code)}, {"message", error->message}};
}

// A percentile is null where too few forces were timed for it to mean anything.
json percentile(const Histogram& h, double fraction) {
    const double beyond = (1 - fraction) * static_cast<double>(h.samples());
    return beyond < 0.999 ? json(nullptr) : json(h.percentile(fraction));
}

json to_json(const MediumPlace& place) {
    return {{"directory", place.directory},
            {"file_system", place.file_system},
            {"free_bytes", place.free_bytes},
            {"area_bytes", place.area_bytes},
            {"remark", place.remark.empty() ? json(nullptr) : json(place.remark)}};
}

json medium_json(const Environment& e) {
    json medium = to_json(e.medium);
    const bool emulated = e.emulate != Emulate::no;
    const Domain treated = !e.floor.emulated            ? e.floor.domain
                           : e.emulate == Emulate::no   ? Domain::page
                           : e.emulate == Emulate::byte ? Domain::byte
                                                        : Domain::cache_line;
    medium["domain"] = cinnabar::name_of(treated);
    medium["persistent_memory"] = !e.floor.emulated;
    medium["emulated"] = emulated;
    medium["modelled"] = {{"fence_ns", e.modelled.fence_ns}, {"line_ns", e.modelled.line_ns}};
    return medium;
}

json environment_json(const ForceBenchReport& report) {
    json environment = to_json(report.environment);
    environment["quick"] = report.quick;
    environment["slice_ms"] = report.slice_ms;
    environment["trace"] = report.trace.empty() ? json(nullptr) : json(report.trace);
    environment["noise_of_floor"] = to_json(report.environment.noise);
    return environment;
}

json row_json(const Row& row) {
    const auto per = [&](uint64_t what, uint64_t of, bool known) {
        if (!known || of == 0) return json(nullptr);
        return json(static_cast<double>(what) / static_cast<double>(of));
    };
    const bool counted = row.taken.counts != Counts::none;
    const Histogram& h = row.force_ns;
    const auto if_measured = [&](const json& value) { return row.error ? json(nullptr) : value; };
    return {
        {"engine", row.engine},
        {"record_bytes",
         row.cell.record_bytes == 0 ? if_measured(row.bytes_mean) : json(row.cell.record_bytes)},
        {"from_trace", row.cell.record_bytes == 0},
        {"threads", row.cell.threads},
        {"records_per_force", row.cell.records_per_force},
        {"segments", name_of(row.cell.segments)},
        {"domain", cinnabar::name_of(row.taken.domain)},
        {"emulated", row.taken.emulated},
        {"file_system", row.file_system},
        {"how", row.taken.how.data()},
        {"rounds", row.round_record_ns.size()},
        {"round_record_ns", row.round_record_ns},
        {"record_ns_mean", if_measured(row.record_ns_mean)},
        {"records_per_s", if_measured(row.records_per_s)},
        {"forces_timed", h.samples()},
        {"force_ns_p50", percentile(h, 0.5)},
        {"force_ns_p90", percentile(h, 0.9)},
        {"force_ns_p99", percentile(h, 0.99)},
        {"force_ns_p999", percentile(h, 0.999)},
        {"force_ns_p9999", percentile(h, 0.9999)},
        {"counts", name_of(row.taken.counts)},
        {"fences_per_record", per(row.work.fences, row.work.records, counted)},
        {"maintenance_fences_per_record",
         per(row.work.maintenance_fences, row.work.records, counted)},
        {"lines_per_record", per(row.work.lines, row.work.records, counted)},
        {"bytes_written_per_byte", per(row.work.medium_bytes, row.work.bytes, counted)},
        {"ratio_to_floor", or_null(row.ratio_to_floor)},
        {"ratio_to_libpmemlog", or_null(row.ratio_to_libpmemlog)},
        {"verified", if_measured(row.verified)},
        {"verify_message", row.verified || row.error ? json(nullptr) : json(row.verify_message)},
        {"error", or_null(row.error)}};
}

json skipped_json(const Skipped& s) {
    json j = {{"engine", s.engine}, {"reason", s.reason}};
    if (s.cell) {
        j["record_bytes"] = s.cell->record_bytes;
        j["threads"] = s.cell->threads;
        j["records_per_force"] = s.cell->records_per_force;
        j["segments"] = name_of(s.cell->segments);
    }
    return j;
}

}  // namespace

json to_json(const Environment& e) {
    return {{"version", e.version},
            {"cpu", e.cpu},
            {"cores", e.cores},
            {"pinned", e.pinned},
            {"governor", e.governor},
            {"kernel", e.kernel},
            {"compiler", e.compiler},
            {"build_type", e.build_type},
            {"checksum_path", e.checksum_path},
            {"clock", e.clock},
            {"timer_ns", e.timer_ns},
            {"timer_step_ns", e.timer_step_ns},
            {"medium", medium_json(e)},
            {"disk", e.disk ? to_json(*e.disk) : json(nullptr)},
            {"seconds", e.seconds}};
}

json to_json(const ForceBenchReport& report) {
    json results = json::array();
    for (const Row& row : report.rows) results.push_back(row_json(row));
    json skipped = json::array();
    for (const Skipped& s : report.skipped) skipped.push_back(skipped_json(s));
    return {{"schema", 1},
            {"environment", environment_json(report)},
            {"results", results},
            {"skipped", skipped}};
}

}  // namespace cinnabar::bench
