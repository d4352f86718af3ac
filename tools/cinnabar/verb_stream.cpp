// cinnabar stream list|add|remove POOL [NAME].
#include <map>
#include <memory>

#include "names.hpp"
#include "output.hpp"
#include "pool_options.hpp"

namespace cinnabar::tool {

namespace {

struct StreamVerb {
    PoolOptions pool;
    std::string name;
    Writers writers = Writers::one;
    bool reserve = false;
};

const char* writers_text(Writers writers) {
    return writers == Writers::one ? "one" : "many";
}

ExitCode list(const StreamVerb& verb) {
    auto log = verb.pool.open(true);
    if (!log) return end_with(log.error(), verb.pool.json);
    Json out = document(*log);
    out["streams"] = Json::array();
    for (const StreamInfo& stream : log->streams()) {
        const bool reserve = stream.reserve == Reserve::yes;
        if (!verb.pool.json)
            put_line(stream.name + "\t" + writers_text(stream.writers) +
                     (reserve ? "\treserve" : ""));
        out["streams"].push_back({{"name", stream.name},
                                  {"writers", writers_text(stream.writers)},
                                  {"reserve", reserve}});
    }
    if (verb.pool.json)
        put_json(out);
    else
        say_if_emulated(*log);
    return end_with(ExitCode::ok, verb.pool.json);
}

ExitCode finish(const StreamVerb& verb, Log& log, const std::string& done) {
    Json out = document(log);
    const std::string sentence = labelled(log, done + " stream '" + verb.name + "'");
    if (auto closed = log.close(); !closed) return end_with(closed.error(), verb.pool.json);
    if (verb.pool.json) {
        out["stream"] = verb.name;
        out["done"] = done;
        put_json(out);
    } else {
        say(sentence);
    }
    return end_with(ExitCode::ok, verb.pool.json);
}

ExitCode add(const StreamVerb& verb) {
    auto log = verb.pool.open(false);
    if (!log) return end_with(log.error(), verb.pool.json);
    const Reserve reserve = verb.reserve ? Reserve::yes : Reserve::no;
    if (auto added = log->add_stream(verb.name, verb.writers, reserve); !added) {
        const ExitCode code = end_with(added.error(), verb.pool.json);
        if (added.error().code == Errc::full)
            say("to make room: cinnabar stream remove " + verb.pool.path +
                " NAME, with all its records");
        return code;
    }
    return finish(verb, *log, "added");
}

ExitCode remove(const StreamVerb& verb) {
    auto log = verb.pool.open(false);
    if (!log) return end_with(log.error(), verb.pool.json);
    if (auto removed = log->remove_stream(verb.name); !removed)
        return end_with(with_streams(*log, std::move(removed.error())), verb.pool.json);
    return finish(verb, *log, "removed");
}

}  // namespace

void add_stream(CLI::App& program, Chosen& chosen) {
    static const std::map<std::string, Writers> kWriters = {{"one", Writers::one},
                                                            {"many", Writers::many}};
    auto* group = program.add_subcommand("stream", "List, add and remove streams");
    group->require_subcommand(1);
    auto verb = std::make_shared<StreamVerb>();

    auto* app = group->add_subcommand("list", "Names and writers of all streams");
    add_pool_options(*app, verb->pool);
    run_when_chosen(*app, chosen, [verb] { return list(*verb); });

    app = group->add_subcommand("add", "Add a stream");
    add_pool_options(*app, verb->pool);
    app->add_option("name", verb->name, "The new stream")->required()->type_name("NAME");
    app->add_option("--writers", verb->writers, "How many threads append to it [one]")
        ->transform(one_of(kWriters))
        ->type_name("one|many");
    app->add_flag(
        "--reserve", verb->reserve,
        "Keep segments back for what a program must still write when the log is full: its "
        "reservations, checkpoints and carried records. This command line makes none");
    run_when_chosen(*app, chosen, [verb] { return add(*verb); });

    app = group->add_subcommand("remove", "Remove a stream with all its records");
    add_pool_options(*app, verb->pool);
    app->add_option("name", verb->name, "The stream")->required()->type_name("NAME");
    run_when_chosen(*app, chosen, [verb] { return remove(*verb); });
}

}  // namespace cinnabar::tool
