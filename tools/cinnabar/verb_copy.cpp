// cinnabar copy OLD NEW, cinnabar salvage OLD NEW: a pool into a new pool file.
#include "cinnabar/copy.hpp"

#include <algorithm>
#include <memory>

#include "gaps.hpp"
#include "output.hpp"
#include "pool_options.hpp"

namespace cinnabar::tool {

namespace {

struct CopyVerb {
    decltype(&copy_pool) work = nullptr;
    const char* done = "";  // "copied"
    std::string from;
    std::string to;
    uint64_t pool_bytes = 0;
    uint32_t lock_timeout_ms = 0;
    bool json = false;
};

Json json_of(const Gap& gap) {
    const bool missing = gap.range.length_bytes == 0;
    return {{"begin_lsn", gap.begin.value},
            {"end_lsn", gap.end.value},
            {"old_offset_bytes", missing ? Json() : Json(gap.range.offset_bytes)},
            {"old_length_bytes", missing ? Json() : Json(gap.range.length_bytes)}};
}

size_t gaps_in(const CopyReport& report) {
    size_t count = 0;
    for (const StreamCopy& stream : report.streams) count += stream.gaps.size();
    return count;
}

Json json_of(const CopyVerb& verb, const CopyReport& report) {
    Json out = document();
    out["from"] = verb.from;
    out["pool"] = verb.to;
    out["pool_bytes"] = report.pool_bytes;
    out["segments_used"] = report.segments_used;
    out["gaps"] = gaps_in(report);
    out["old_bytes_missing"] = report.bytes_missing;
    out["streams"] = Json::array();
    for (const StreamCopy& stream : report.streams) {
        Json gaps = Json::array();
        for (const Gap& gap : stream.gaps) gaps.push_back(json_of(gap));
        out["streams"].push_back({{"name", stream.name},
                                  {"begin_lsn", stream.begin.value},
                                  {"end_lsn", stream.end.value},
                                  {"records", stream.records},
                                  {"payload_bytes", stream.payload_bytes},
                                  {"gaps", std::move(gaps)}});
    }
    out["notes"] = report.notes;
    return out;
}

std::string cell(std::string text, size_t width) {
    return std::string(width - std::min(width, text.size()), ' ') + text;
}

// The streams in columns, each with its gaps below it.
void put_table(const CopyReport& report, const std::string& from) {
    size_t names = 6;
    for (const StreamCopy& stream : report.streams) names = std::max(names, stream.name.size());
    const auto line = [&](const std::string& name, const std::string& records,
                          const std::string& bytes, const std::string& begin,
                          const std::string& end, const std::string& gaps) {
        put_line(name + std::string(names - name.size(), ' ') + cell(records, 12) +
                 cell(bytes, 15) + cell(begin, 13) + cell(end, 13) + cell(gaps, 6));
    };
    line("stream", "records", "bytes", "from LSN", "to LSN", "gaps");
    for (const StreamCopy& stream : report.streams) {
        line(stream.name, std::to_string(stream.records), std::to_string(stream.payload_bytes),
             std::to_string(stream.begin.value), std::to_string(stream.end.value),
             std::to_string(stream.gaps.size()));
        for (const Gap& gap : stream.gaps) put_line("  " + text_of(gap, stream.name, from));
    }
}

ExitCode run(const CopyVerb& verb) {
    auto report = verb.work(verb.from, verb.to,
                            {.pool_bytes = verb.pool_bytes,
                             .lock_timeout = std::chrono::milliseconds(verb.lock_timeout_ms)});
    if (!report) return end_with(with_lock_timeout(std::move(report.error())), verb.json);
    if (verb.json)
        put_json(json_of(verb, *report));
    else
        put_table(*report, verb.from);
    for (const std::string& note : report->notes) say(note);
    say(verb.done + (" '" + verb.from) + "' to '" + verb.to + "', " +
        size_text(report->pool_bytes) + (report->gaps() ? "; " + gaps_text(gaps_in(*report)) : ""));
    const bool lost = report->gaps() || report->bytes_missing != 0;
    return end_with(lost ? ExitCode::salvaged_with_gaps : ExitCode::ok, verb.json);
}

void add(CLI::App& program, Chosen& chosen, CopyVerb words, const char* name, const char* help) {
    auto* app = program.add_subcommand(name, help);
    auto verb = std::make_shared<CopyVerb>(std::move(words));
    app->add_option("old", verb->from, "The pool file; it stays as it is")
        ->required()
        ->type_name("OLD");
    app->add_option("new", verb->to, "The new pool file; it must not exist")
        ->required()
        ->type_name("NEW");
    add_size_option(*app, "--size", verb->pool_bytes, "Size of the new file [as the old one]");
    add_lock_timeout_option(*app, verb->lock_timeout_ms);
    add_json_option(*app, verb->json);
    run_when_chosen(*app, chosen, [verb] { return run(*verb); });
}

}  // namespace

void add_copy(CLI::App& program, Chosen& chosen) {
    CopyVerb words;
    words.work = copy_pool;
    words.done = "copied";
    add(program, chosen, words, "copy", "Copy a sound pool into a larger or smaller one");
}

void add_salvage(CLI::App& program, Chosen& chosen) {
    CopyVerb words;
    words.work = salvage_pool;
    words.done = "salvaged";
    add(program, chosen, words, "salvage",
        "Save what verifies of a damaged pool into a new one; what does not becomes a gap");
}

}  // namespace cinnabar::tool
