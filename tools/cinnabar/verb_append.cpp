// cinnabar append POOL --stream S [FILE]: appends the records of a file or the standard input.
#include <charconv>
#include <memory>

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
    std::string service;
    bool length_prefixed = false;
    bool ack = false;
    uint64_t records_per_force = 1;  // 0: one force at the end
};

// Appends and keeps account of what is durable.
class Appender {
  public:
    Appender(Stream stream, const AppendVerb& verb) : stream_(std::move(stream)), verb_(verb) {}

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
        if (!forced) {
            unforced_ = true;
            return {};
        }
        unforced_ = false;
        return acknowledge();
    }

    // Makes durable what is not yet.
    Result<void> finish() {
        if (!unforced_) return {};
        if (auto forced = stream_.force(last_); !forced) return forced;
        unforced_ = false;
        return acknowledge();
    }

    uint64_t records() const { return records_; }
    Json summary() const {
        Json out = document();
        out["stream"] = stream_.name();
        out["records"] = records_;
        out["payload_bytes"] = bytes_;
        out["first_lsn"] = records_ == 0 ? Json() : Json(first_.value);
        out["last_lsn"] = records_ == 0 ? Json() : Json(last_.value);
        out["durable_lsn"] = stream_.durable().value;
        return out;
    }
    std::string sentence() const {
        std::string text = "appended " + std::to_string(records_) + " records, " +
                           size_text(bytes_) + ", to stream '" + stream_.name() + "'";
        if (records_ != 0)
            text += ", LSN " + std::to_string(first_.value) + " to " + std::to_string(last_.value);
        return text;
    }

  private:
    Result<void> acknowledge() {
        if (waiting_.empty()) return {};
        for (const Lsn lsn : waiting_) {
            if (verb_.pool.json) {
                Json out = document();
                out["acknowledged_lsn"] = lsn.value;
                put_json(out);
            } else {
                put_line(std::to_string(lsn.value));
            }
        }
        waiting_.clear();
        return flush_output();
    }

    Stream stream_;
    const AppendVerb& verb_;
    uint64_t records_ = 0;
    uint64_t bytes_ = 0;
    Lsn first_, last_;
    bool unforced_ = false;
    std::vector<Lsn> waiting_;  // appended, not yet acknowledged
};

Result<void> append_all(RecordInput& input, Appender& to, ServiceId service) {
    for (;;) {
        auto record = input.next();
        if (!record) return fail(std::move(record.error()));
        if (!*record) return {};
        if (auto done = to.append(**record, service); !done) {
            Error error = std::move(done.error());
            error.message = "record " + std::to_string(input.record_number()) + " of " +
                            input.name() + ", from byte " +
                            std::to_string(input.record_offset_bytes()) +
                            " on, was not appended: " + error.message;
            return fail(std::move(error));
        }
    }
}

// What was appended before an error stays appended, is made durable and told of.
ExitCode finish(const AppendVerb& verb, Log& log, Appender& appender, Result<void> done) {
    auto forced = appender.finish();
    if (done && !forced) done = forced;
    Json summary = appender.summary();
    std::string hint;  // while the log is open and can be asked
    if (!done && done.error().code == Errc::full)
        hint = how_to_make_room(log, verb.pool.path, verb.stream);
    auto closed = log.close();
    if (done && !closed) done = closed;
    if (verb.pool.json) put_json(summary);
    if (!verb.pool.json || !done) say(appender.sentence());
    if (done) return end_with(ExitCode::ok, verb.pool.json);
    const ExitCode code = end_with(done.error(), verb.pool.json);
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
    if (!verb.service.empty()) {
        auto found = find_service_of(*log, verb.stream, verb.service);
        if (!found) return end_with(found.error(), json);
        service = found->service;
    }
    auto input = RecordInput::open(verb.file,
                                   verb.length_prefixed ? Framing::length_prefixed : Framing::lines,
                                   stream->record_bytes_max());
    if (!input) return end_with(input.error(), json);
    Appender appender(std::move(*stream), verb);
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
    app->add_option("--service", verb->service, "The service whose records these are")
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
