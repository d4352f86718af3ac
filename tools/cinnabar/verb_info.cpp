// cinnabar info POOL: what the pool is, what it holds and what recovery would find. Changes
// nothing.
#include <memory>

#include "output.hpp"
#include "pool_options.hpp"

namespace cinnabar::tool {

namespace {

const char* writers_text(Writers writers) {
    return writers == Writers::one ? "one" : "many";
}

Json json_of(const MediumInfo& medium) {
    return {{"sentence", medium.sentence()},     {"domain", name_of(medium.domain)},
            {"emulated", medium.emulated},       {"flush", medium.flush},
            {"file_system", medium.file_system}, {"checksum_path", medium.checksum_path}};
}

Json json_of(const StreamReport& report) {
    return {{"segments", report.segments},
            {"begin_lsn", report.begin.value},
            {"low_water_lsn", report.low_water.value},
            {"testified_lsn", report.testified.value},
            {"end_lsn", report.end.value},
            {"end_verdict", report.end_verdict},
            {"frames_verified", report.frames_verified},
            {"bytes_verified", report.bytes_verified}};
}

const StreamReport* report_of(const Log& log, const std::string& stream) {
    for (const StreamReport& report : log.report().streams)
        if (report.name == stream) return &report;
    return nullptr;
}

Json json_of(const PoolOptions& options, const Log& log) {
    Json out = document(log);
    out["pool"] = options.path;
    out["pool_bytes"] = log.pool_bytes();
    out["segment_bytes"] = log.segment_bytes();
    out["segments_total"] = log.segments_total();
    out["segments_free"] = log.segments_free();
    out["segments_kept_back"] = log.segments_kept_back();
    out["medium"] = json_of(log.medium());
    out["streams"] = Json::array();
    for (const StreamInfo& stream : log.streams()) {
        Json one{{"name", stream.name},
                 {"writers", writers_text(stream.writers)},
                 {"reserve", stream.reserve == Reserve::yes}};
        if (const StreamReport* report = report_of(log, stream.name)) one.update(json_of(*report));
        out["streams"].push_back(std::move(one));
    }
    out["services"] = Json::array();
    for (const ServiceInfo& service : log.services())
        out["services"].push_back({{"name", service.name},
                                   {"number", service.service.value},
                                   {"stream", service.stream},
                                   {"low_water_lsn", service.low_water.value}});
    const OpenReport& report = log.report();
    out["recovery"] = {{"duration_ns", report.recovery_ns}, {"clean", report.clean()}};
    out["recovery"]["damage"] = Json::array();
    for (const Damage& damage : report.damage)
        out["recovery"]["damage"].push_back(tool::json_of(damage));
    out["recovery"]["notes"] = report.notes;
    return out;
}

void put_text(const PoolOptions& options, const Log& log) {
    put_line("pool      " + options.path + ", " + size_text(log.pool_bytes()));
    put_line("medium    " + log.medium().sentence() + ", checksum by " +
             log.medium().checksum_path);
    put_line("segments  " + std::to_string(log.segments_total()) + " of " +
             size_text(log.segment_bytes()) + ", " + std::to_string(log.segments_free()) + " free" +
             (log.segments_kept_back() == 0
                  ? std::string()
                  : ", " + std::to_string(log.segments_kept_back()) + " of them kept back"));
    for (const StreamInfo& stream : log.streams()) {
        std::string line =
            "stream    " + stream.name + ", writers: " + writers_text(stream.writers);
        if (const StreamReport* report = report_of(log, stream.name))
            line += ", LSN " + std::to_string(report->low_water.value) + " to " +
                    std::to_string(report->end.value) + " in " +
                    count_text(report->segments, "segment") + "; ends: " + report->end_verdict;
        put_line(line);
    }
    for (const ServiceInfo& service : log.services())
        put_line("service   " + service.name + " of stream " + service.stream + ", needs LSN " +
                 std::to_string(service.low_water.value) + " and above");
    const OpenReport& report = log.report();
    put_line("recovery  " + std::to_string(report.recovery_ns / 1000) + " us, " +
             (report.clean() ? std::string("nothing damaged")
                             : count_text(report.damage.size(), "damaged place")));
    for (const Damage& damage : report.damage) put_line("damage    " + text_of(damage));
    for (const std::string& note : report.notes) put_line("note      " + note);
}

ExitCode info(const PoolOptions& options) {
    auto log = options.open(true);
    if (!log) return end_with(log.error(), options.json);
    if (options.json)
        put_json(json_of(options, *log));
    else
        put_text(options, *log);
    return end_with(log->report().clean() ? ExitCode::ok : ExitCode::corrupt, options.json);
}

}  // namespace

void add_info(CLI::App& program, Chosen& chosen) {
    auto* app = program.add_subcommand(
        "info",
        "Show a pool's medium, streams and services; gaps and damage in records that the open "
        "needs not read are found by: cinnabar check");
    auto options = std::make_shared<PoolOptions>();
    add_pool_options(*app, *options);
    run_when_chosen(*app, chosen, [options] { return info(*options); });
}

}  // namespace cinnabar::tool
