// Tells what the engine says of pools. Requests come on the standard input, one a line, and each is
// answered by one line of JSON:
//   tell PATH      opens it read-only, checks it and reads every stream: what the command line's
//                  check and dump say of the pool, and what an independent reader must say too
//   append PATH    opens it for writing, appends one record to each stream, and closes it
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "cinnabar/log.hpp"

namespace cinnabar::format_test {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const std::optional<Lsn>& lsn) {
    return lsn ? Json(lsn->value) : Json();
}

Json json_of(const Error& error) {
    Json json{
        {"code", name_of(error.code)}, {"message", error.message}, {"lsn", json_of(error.lsn)}};
    if (error.range) json["range"] = {error.range->offset_bytes, error.range->length_bytes};
    return json;
}

Json json_of(const std::vector<Damage>& damage) {
    Json json = Json::array();
    for (const Damage& one : damage)
        json.push_back({one.stream, one.verdict, json_of(one.lsn), one.range.offset_bytes,
                        one.range.length_bytes});
    return json;
}

std::string hex(Bytes bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const std::byte byte : bytes) {
        text += kDigits[std::to_integer<unsigned>(byte) >> 4];
        text += kDigits[std::to_integer<unsigned>(byte) & 15];
    }
    return text;
}

Json json_of(const Record& record) {
    return {record.lsn.value,     record.origin.value, record.durability == Durability::forced,
            record.service.value, record.kind,         json_of(record.previous),
            record.known_durable, hex(record.payload)};
}

// Everything a reader gives out. Behind a gap it goes on, behind damage it does not.
Json records_of(const Stream& stream) {
    Json out{{"records", Json::array()}, {"losses", Json::array()}};
    auto reader = stream.read();
    if (!reader) {
        out["losses"].push_back(json_of(reader.error()));
        return out;
    }
    for (;;) {
        auto record = reader->next();
        if (record && !*record) return out;
        if (record) {
            out["records"].push_back(json_of(**record));
            continue;
        }
        out["losses"].push_back(json_of(record.error()));
        if (record.error().code != Errc::gap) return out;
        if (out["losses"].size() > 10000) return out;  // the same gap for ever
    }
}

Json json_of(const StreamReport& stream) {
    return {{"name", stream.name},
            {"segments", stream.segments},
            {"begin_lsn", stream.begin.value},
            {"low_water_lsn", stream.low_water.value},
            {"testified_lsn", stream.testified.value},
            {"end_lsn", stream.end.value},
            {"end_verdict", stream.end_verdict}};
}

Json tell(const std::string& path) {
    OpenOptions options;
    options.read_only = true;
    options.emulate = Emulate::byte;  // then what the frames testify counts, whoever wrote them
    auto log = Log::open(path, options);
    if (!log) return {{"error", json_of(log.error())}};
    Json out{{"streams", Json::array()},
             {"open_damage", json_of(log->report().damage)},
             {"notes", log->report().notes}};
    for (const StreamReport& report : log->report().streams) {
        Json stream = json_of(report);
        if (auto opened = log->stream(report.name))
            stream.update(records_of(*opened));
        else
            stream["losses"] = Json::array({json_of(opened.error())});
        out["streams"].push_back(std::move(stream));
    }
    out["services"] = Json::array();
    for (const ServiceInfo& service : log->services())
        out["services"].push_back(
            {service.service.value, service.name, service.stream, service.low_water.value});
    auto found = log->check();
    if (!found) return {{"error", json_of(found.error())}};
    out["check_damage"] = json_of(*found);
    return out;
}

Result<Json> append(const std::string& path) {
    auto log = Log::open(path);
    if (!log) return fail(log.error());
    Json out{{"appended", Json::array()}};
    for (const StreamInfo& info : log->streams()) {
        const std::string payload = "one more in " + info.name;
        auto stream = log->stream(info.name);
        if (!stream) return fail(stream.error());
        auto lsn = stream->append(std::as_bytes(std::span(payload)));
        if (!lsn) return fail(lsn.error());
        out["appended"].push_back({info.name, lsn->value, hex(std::as_bytes(std::span(payload)))});
    }
    if (auto closed = log->close(); !closed) return fail(closed.error());
    return out;
}

Json answer(const std::string& request) {
    const size_t space = request.find(' ');
    const std::string verb = request.substr(0, space), path = request.substr(space + 1);
    if (verb == "tell") return tell(path);
    auto done = append(path);
    return done ? *done : Json{{"error", json_of(done.error())}};
}

}  // namespace
}  // namespace cinnabar::format_test

int main() {
    for (std::string request; std::getline(std::cin, request);) {
        std::printf("%s\n", cinnabar::format_test::answer(request).dump().c_str());
        std::fflush(stdout);
    }
}
