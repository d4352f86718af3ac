// cinnabar dump POOL --stream S: gives back the bytes that were appended. Changes nothing.
#include <array>
#include <memory>
#include <optional>

#include "names.hpp"
#include "output.hpp"
#include "pool_options.hpp"

namespace cinnabar::tool {

namespace {

struct DumpVerb {
    PoolOptions pool;
    std::string stream;
    std::optional<uint64_t> from;
    bool length_prefixed = false;
};

std::string base64(Bytes bytes) {
    static constexpr char kDigits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const size_t count = std::min<size_t>(3, bytes.size() - i);
        uint32_t group = 0;
        for (size_t k = 0; k < 3; ++k)
            group = group << 8 | (k < count ? std::to_integer<uint32_t>(bytes[i + k]) : 0);
        for (size_t k = 0; k < 4; ++k)
            text += k <= count ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
    return text;
}

void put_record_json(const DumpVerb& verb, const Log& log, const Record& record) {
    Json out = document(log);
    out["stream"] = verb.stream;
    out["lsn"] = record.lsn.value;
    out["origin_lsn"] = record.origin.value;
    out["durability"] = record.durability == Durability::forced ? "forced" : "lazy";
    out["service"] = record.service.value == 0 ? Json() : Json(record.service.value);
    out["kind"] = record.kind;
    out["previous_lsn"] = record.previous ? Json(record.previous->value) : Json();
    out["known_durable"] = record.known_durable;
    out["payload_bytes"] = record.payload.size();
    out["payload_base64"] = base64(record.payload);
    put_json(out);
}

void put_record(const DumpVerb& verb, const Log& log, const Record& record) {
    if (verb.pool.json) return put_record_json(verb, log, record);
    if (verb.length_prefixed) {
        std::array<char, 4> prefix;
        for (size_t i = 0; i < prefix.size(); ++i)
            prefix[i] = static_cast<char>(record.payload.size() >> (8 * i) & 0xFF);
        put({prefix.data(), prefix.size()});
    }
    put({reinterpret_cast<const char*>(record.payload.data()), record.payload.size()});
}

struct Dumped {
    uint64_t not_known_durable = 0;  // records that may be durable, but nothing testifies it
    uint64_t gaps = 0;
};

// Records up to the frontier, also behind gaps.
Result<Dumped> put_records(const DumpVerb& verb, const Log& log, Reader& reader) {
    Dumped dumped;
    for (;;) {
        auto record = reader.next();
        if (!record && record.error().code == Errc::gap) {
            ++dumped.gaps;
            say(text_of(record.error()));
            continue;
        }
        if (!record) return fail(std::move(record.error()));
        if (!*record) return dumped;
        if (!(*record)->known_durable) ++dumped.not_known_durable;
        put_record(verb, log, **record);
    }
}

// Damage that the open found, in this stream or in what all streams stand on.
std::optional<Error> damage_of(const Log& log, const std::string& stream) {
    for (const Damage& damage : log.report().damage)
        if (damage.stream.empty() || damage.stream == stream)
            return Error{Errc::corrupt,
                         text_of(damage) + "; records behind it are missing from this dump",
                         damage.lsn, damage.range};
    return std::nullopt;
}

ExitCode dump(const DumpVerb& verb) {
    const bool json = verb.pool.json;
    auto log = verb.pool.open(true);
    if (!log) return end_with(log.error(), json);
    auto stream = find_stream(*log, verb.stream);
    if (!stream) return end_with(stream.error(), json);
    std::optional<Lsn> from;
    if (verb.from) from = Lsn{*verb.from};
    auto reader = stream->read(from);
    if (!reader) return end_with(reader.error(), json);
    const auto dumped = put_records(verb, *log, *reader);
    if (!dumped) return end_with(dumped.error(), json);
    if (const auto damage = damage_of(*log, verb.stream)) return end_with(*damage, json);
    if (dumped->not_known_durable != 0)
        say("whether the last " + count_text(dumped->not_known_durable, "record") +
            " had been forced cannot be told without writing to the pool. What was acknowledged "
            "as durable is durable; an open for writing, for example to append, makes all of it "
            "so");
    if (!json) say_if_emulated(*log);
    return end_with(dumped->gaps != 0 ? ExitCode::salvaged_with_gaps : ExitCode::ok, json);
}

}  // namespace

void add_dump(CLI::App& program, Chosen& chosen) {
    auto* app = program.add_subcommand("dump", "Write the records of a stream");
    auto verb = std::make_shared<DumpVerb>();
    add_pool_options(*app, verb->pool);
    app->add_option("--stream", verb->stream, "The stream")->required()->type_name("NAME");
    add_lsn_option(*app, "--from", verb->from, "The first record [the oldest there is]");
    CLI::Option* json = app->get_option("--json")->description(
        "Write JSON Lines: one document a line, one for each record");
    app->add_flag("--length-prefixed", verb->length_prefixed,
                  "Each record behind its length as 32 bits, little-endian")
        ->excludes(json);
    run_when_chosen(*app, chosen, [verb] { return dump(*verb); });
}

}  // namespace cinnabar::tool
