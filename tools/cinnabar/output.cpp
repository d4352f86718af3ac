#include "output.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace cinnabar::tool {

namespace {

int output_failure = 0;  // errno of the first write that failed

void note_failure() {
    if (output_failure == 0) output_failure = errno == 0 ? EIO : errno;
}

void put_range(Json& json, const ByteRange& range) {
    json["offset_bytes"] = range.offset_bytes;
    json["length_bytes"] = range.length_bytes;
}

}  // namespace

Json document() {
    return Json{{"schema", 1}};
}

Json document(const Log& log) {
    Json out = document();
    out["emulated"] = log.medium().emulated;
    return out;
}

std::string labelled(const Log& log, const std::string& sentence) {
    if (!log.medium().emulated) return sentence;
    return sentence + "; " + log.medium().sentence() + ": nothing survives a power failure";
}

void say_if_emulated(const Log& log) {
    if (log.medium().emulated) say(log.medium().sentence());
}

// What is missing, a segment that is nowhere, stands at no bytes of the file.
Json json_of(const Damage& damage) {
    Json json{{"stream", damage.stream.empty() ? Json() : Json(damage.stream)},
              {"verdict", damage.verdict},
              {"lsn", damage.lsn ? Json(damage.lsn->value) : Json()},
              {"offset_bytes", nullptr},
              {"length_bytes", nullptr}};
    if (damage.range.length_bytes != 0) put_range(json, damage.range);
    return json;
}

std::string text_of(const Damage& damage) {
    std::string text = damage.verdict + " in ";
    text += damage.stream.empty() ? "the pool" : "stream '" + damage.stream + "'";
    if (damage.lsn) text += " at LSN " + std::to_string(damage.lsn->value);
    if (damage.range.length_bytes == 0) return text;
    return text + ", file bytes " + std::to_string(damage.range.offset_bytes) + " to " +
           std::to_string(damage.range.offset_bytes + damage.range.length_bytes);
}

// The position, where the sentence does not hold it already. That of a full log is its end, which
// is no place to release to.
std::string text_of(const Error& error) {
    std::string text = error.message;
    const auto add = [&](const std::string& what, uint64_t number) {
        if (error.message.find(std::to_string(number)) == std::string::npos)
            text += " (" + what + " " + std::to_string(number) + ")";
    };
    if (error.lsn && error.code != Errc::full) add("LSN", error.lsn->value);
    if (error.range && error.range->length_bytes != 0) add("file byte", error.range->offset_bytes);
    return text;
}

void put(std::string_view bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) note_failure();
}

void put_line(std::string_view text) {
    put(text);
    put("\n");
}

// Names of files need not be UTF-8: what is not is replaced, never thrown about.
void put_json(const Json& json) {
    put_line(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Result<void> flush_output() {
    if (std::fflush(stdout) != 0) note_failure();
    if (output_failure == 0) return {};
    return fail(Errc::io, std::string("cannot write to the standard output: ") +
                              std::strerror(output_failure));
}

void say(std::string_view text) {
    (void)flush_output();  // or it would stand amidst that, where both go to one file
    std::fprintf(stderr, "cinnabar: %.*s\n", static_cast<int>(text.size()), text.data());
}

ExitCode end_with(const Error& error, bool json, Json out) {
    say(text_of(error));
    if (json) {
        out["error"] = {{"code", name_of(error.code)}, {"message", error.message}};
        if (error.lsn)
            out["error"][error.code == Errc::full ? "end_lsn" : "lsn"] = error.lsn->value;
        if (error.range && error.range->length_bytes != 0) put_range(out["error"], *error.range);
        put_json(out);
        (void)flush_output();
    }
    return exit_code_of(error.code);
}

ExitCode end_with(ExitCode code, bool) {
    if (auto done = flush_output(); !done) return end_with(done.error(), false);
    return code;
}

std::string count_text(uint64_t count, const std::string& what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace cinnabar::tool
