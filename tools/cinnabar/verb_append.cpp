// cinnabar append POOL --stream S [FILE]: appends the records of a file or the standard input.
#include <charconv>
#include <memory>
#include <optional>

#include "names.hpp"
#include "output.hpp"
#include "pool_options.hpp"
#include "record_input.hpp"

namespace cinnabar::tool {

namespace {

struct AppendVerb {
    PoolOptions pool;
    std::string stream;
    std::string file = "-";
    std::optional<std::string> service;
    bool length_prefixed = false;
    bool ack = false;
    uint64_t records_per_force = 1;  // 0: one force at the end
};

// Appends and keeps account of what is durable.
class Appender {
  public:
    Appender(const Log& log, Stream stream, const AppendVerb& verb)
        : log_(log), stream_(std::move(stream)), verb_(verb) {}

    Result<void> append(Bytes record, ServiceId service) {
        const uint64_t group = verb_.records_per_force;
        const bool forced = group != 0 && (records_ + 1) % group == 0;
        AppendOptions options;
        options.durability = forced ? Durability::forced : Durability::lazy;
        options.service = service;
        auto lsn = stream_.append(record, options);
        if (!lsn) return fail(std::move(lsn.error()));
        if (records_ == 0) first_ = *lsn;
        last_ = *lsn;
        ++records_;
        bytes_ += record.size();
        if (verb_.ack) waiting_.push_back(*lsn);
        unforced_ = !forced;
        return {};
    }

    // Makes durable what is not yet.
    Result<void> force() {
        if (!unforced_) return {};
        if (auto forced = stream_.force(last_); !forced) return forced;
        unforced_ = false;
        return {};
    }

    // Tells of what is durable and was not told of. Errors: io, of the standard output.
    Result<void> acknowledge() {
        if (unforced_ || waiting_.empty()) return {};
        for (const Lsn lsn : waiting_) {
            if (verb_.pool.json) {
                Json out = document(log_);
                out["acknowledged_lsn"] = lsn.value;
                put_json(out);
            } else {
                put_line(std::to_string(lsn.value));
            }
        }
        waiting_.clear();
        return flush_output();
    }

    uint64_t records() const { return records_; }
    Json summary() const {
        Json out = document(log_);
        out["stream"] = stream_.name();
        out["records"] = records_;
        out["payload_bytes"] = bytes_;
        out["first_lsn"] = records_ == 0 ? Json() : Json(first_.value);
        out["last_lsn"] = records_ == 0 ? Json() : Json(last_.value);
        out["durable_lsn"] = stream_.durable().value;
        return out;
    }
    std::string sentence() const {
        std::string text = "appended " + count_text(records_, "record") + ", " + size_text(bytes_) +
                           ", to stream '" + stream_.name() + "'";
        if (records_ != 0)
            text += ", LSN " + std::to_string(first_.value) + " to " + std::to_string(last_.value);
        return labelled(log_, text);
    }

  private:
    const Log& log_;
    Stream stream_;
    const AppendVerb& verb_;
    uint64_t records_ = 0;
    uint64_t bytes_ = 0;
    Lsn first_, last_;
    bool unforced_ = false;
    std::vector<Lsn> waiting_;  // appended, not yet acknowledged
};

Error not_appended(const RecordInput& input, Error error) {
    const bool unknown = error.code == Errc::io || error.code == Errc::failed;
    error.message = "record " + std::to_string(input.record_number()) + " of " + input.name() +
                    ", from byte " + std::to_string(input.record_offset_bytes()) + " on, " +
                    (unknown ? "may or may not be in the log: " : "was not appended: ") +
                    error.message;
    return error;
}

// The records are in the log and stay there; only who waits for them was not told.
Error not_acknowledged(const RecordInput& input, Error error) {
    error.message += "; record " + std::to_string(input.record_number()) + " of " + input.name() +
                     " and all before it were appended and are durable: go on behind them, with "
                     "record " +
                     std::to_string(input.record_number() + 1) + ", from byte " +
                     std::to_string(input.next_offset_bytes()) + " on";
    return error;
}

Result<void> append_all(RecordInput& input, Appender& to, ServiceId service) {
    for (;;) {
        auto record = input.next();
        if (!record) return fail(std::move(record.error()));
        if (!*record) return {};
        if (auto done = to.append(**record, service); !done)
            return fail(not_appended(input, std::move(done.error())));
        if (auto told = to.acknowledge(); !told)
            return fail(not_acknowledged(input, std::move(told.error())));
    }
}

// Makes durable what was appended, also before an error, and tells who waits for it.
Result<void> settle(Appender& appender, Result<void> done) {
    if (auto forced = appender.force(); done && !forced) {
        forced.error().message += "; what was appended since the last force may not survive";
        done = forced;
    }
    if (auto told = appender.acknowledge(); done && !told) {
        told.error().message += "; all records were appended and are durable";
        done = told;
    }
    return done;
}

// What was appended before an error stays appended, and is told of.
ExitCode finish(const AppendVerb& verb, Log& log, Appender& appender, Result<void> done) {
    const bool json = verb.pool.json;
    done = settle(appender, std::move(done));
    const Json summary = appender.summary();
    const std::string sentence = appender.sentence();
    std::string hint;  // while the log is open and can be asked
    if (!done && done.error().code == Errc::full)
        hint = how_to_make_room(log, verb.pool.path, verb.stream);
    if (auto closed = log.close(); done && !closed) done = closed;
    if (done && json) put_json(summary);
    if (done) done = flush_output();
    if (done ? !json : appender.records() != 0) say(sentence);
    if (done) return ExitCode::ok;
    const ExitCode code = end_with(done.error(), json, summary);
    if (!hint.empty()) say(hint);
    return code;
}

ExitCode append(const AppendVerb& verb) {
    const bool json = verb.pool.json;
    auto log = verb.pool.open(false);
    if (!log) return end_with(log.error(), json);
    auto stream = find_stream(*log, verb.stream);
    if (!stream) return end_with(stream.error(), json);
    ServiceId service;
    if (verb.service) {
        auto found = find_service_of(*log, verb.stream, *verb.service);
        if (!found) return end_with(found.error(), json);
        service = found->service;
    }
    auto input = RecordInput::open(verb.file,
                                   verb.length_prefixed ? Framing::length_prefixed : Framing::lines,
                                   stream->record_bytes_max());
    if (!input) return end_with(input.error(), json);
    Appender appender(*log, std::move(*stream), verb);
    auto done = append_all(*input, appender, service);
    return finish(verb, *log, appender, std::move(done));
}

uint64_t parse_force(const std::string& text) {
    if (text == "every") return 1;
    if (text == "end") return 0;
    uint64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, problem] = std::from_chars(text.data(), end, number);
    if (problem != std::errc() || rest != end || number == 0)
        throw CLI::ValidationError("--force",
                                   "'" + text + "' is neither every, nor end, nor a number from 1");
    return number;
}

}  // namespace

void add_append(CLI::App& program, Chosen& chosen) {
    auto* app = program.add_subcommand("append", "Append the records of a file");
    auto verb = std::make_shared<AppendVerb>();
    add_pool_options(*app, verb->pool);
    app->add_option("file", verb->file, "The records; - or nothing: the standard input")
        ->type_name("FILE");
    app->add_option("--stream", verb->stream, "The stream")->required()->type_name("NAME");
    app->add_option_function<std::string>(
           "--service", [verb](const std::string& name) { verb->service = name; },
           "The service whose records these are")
        ->type_name("NAME");
    app->add_flag("--length-prefixed", verb->length_prefixed,
                  "Each record stands behind its length as 32 bits, little-endian; else a record "
                  "is a line with its newline");
    app->add_option_function<std::string>(
           "--force",
           [verb](const std::string& text) { verb->records_per_force = parse_force(text); },
           "Make durable every record, after each N records, or once at the end [every]")
        ->type_name("every|N|end");
    app->add_flag("--ack", verb->ack,
                  "Write the LSN of each record to the standard output once it is durable");
    run_when_chosen(*app, chosen, [verb] { return append(*verb); });
}

}  // namespace cinnabar::tool
