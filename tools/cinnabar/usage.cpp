#include "usage.hpp"

#include <algorithm>
#include <cctype>
#include <optional>
#include <sstream>
#include <string_view>

#include "output.hpp"

namespace cinnabar::tool {

namespace {

// Before the options are known. The --json of a long run may name a file, which holds no errors.
bool asks_for_json(int argc, char** argv) {
    const std::string_view verb = argc > 1 ? argv[1] : "";
    const bool names_file = verb == "bench" || verb == "log" || verb == "run";
    for (int i = 1; i < argc; ++i) {
        if (std::string_view(argv[i]) != "--json") continue;
        const std::string_view next = i + 1 < argc ? argv[i + 1] : "-";
        if (!names_file || next.starts_with('-')) return true;
    }
    return false;
}

// "cinnabar stream add": as far as the verbs were understood.
std::string verb_of(const CLI::App& program) {
    std::string words = program.get_name();
    for (const CLI::App* app = &program; !app->get_subcommands().empty();) {
        app = app->get_subcommands().front();
        words += " " + app->get_name();
    }
    return words;
}

std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

// What stands before and behind `middle`; nothing where it does not stand in the text, or in what
// our own checks quote of the user's.
using Halves = std::optional<std::pair<std::string, std::string>>;
Halves split(const std::string& text, const std::string& middle) {
    const size_t at = text.find(middle);
    if (at == text.npos || text.find('\'') < at) return std::nullopt;
    return std::pair(text.substr(0, at), text.substr(at + middle.size()));
}

// CLI11's sentences are not ours; those of our own checks pass as they are. They are told apart by
// their text, since CLI11 names some of them wrongly.
std::string words_of(const CLI::ParseError& error) {
    std::string text = error.what();
    if (const auto halves = split(text, " is required"))
        return (halves->first.starts_with('-') ? halves->first : upper(halves->first)) +
               " is missing";
    if (const auto halves = split(text, " not expected: "))
        return "not expected: " + halves->second;
    if (const auto halves = split(text, " = "); halves && text.starts_with("Could not convert: "))
        return halves->first.substr(halves->first.rfind(' ') + 1) + ": '" + halves->second +
               "' cannot be read as its value";
    if (const auto halves = split(text, " excludes "))
        return halves->first + " and " + halves->second + " do not go together";
    if (const auto halves = split(text, ": At Most 1 required"))
        return halves->first + " is given more than once";
    if (const auto halves = split(text, ": 1 required "))
        return halves->first + ": its value is missing, " +
               halves->second.substr(0, halves->second.rfind(' '));
    return text;
}

std::string no_option(const std::string& verb, const std::string& word) {
    return "'" + verb + "' has no option '" + word + "'";
}

std::string no_verb(const std::string& before, const std::string& word, const std::string& verbs) {
    return (word.empty() ? "a verb is missing behind '" + before + "'"
                         : "there is no verb '" + before + " " + word + "'") +
           "; there are: " + verbs;
}

// A word that is no verb, named with the verbs there are; CLI11 would say that one is missing.
std::optional<std::string> unknown_verb(const CLI::App& program, int argc, char** argv) {
    const CLI::App* app = &program;
    std::string before = program.get_name();
    for (int i = 1; app->get_require_subcommand_min() != 0; ++i) {
        const std::string word = i < argc ? argv[i] : "";
        if (word.starts_with('-')) {
            if (app->get_option_no_throw(word) != nullptr) return std::nullopt;
            return no_option(before, word);
        }
        const CLI::App* next = nullptr;
        std::string verbs;
        for (const CLI::App* verb : app->get_subcommands({})) {
            if (verb->get_name() == word) next = verb;
            verbs.append(verbs.empty() ? "" : ", ").append(verb->get_name());
        }
        if (next == nullptr) return no_verb(before, word, verbs);
        before.append(" ").append(word);
        app = next;
    }
    return std::nullopt;
}

// What CLI11 found wrong, or the help or version that it was asked for.
ExitCode end_with_parse_error(const CLI::App& program, const CLI::ParseError& error, int argc,
                              char** argv) {
    if (error.get_exit_code() != 0)
        return end_with_usage(words_of(error) + "; see: " + verb_of(program) + " --help", argc,
                              argv);
    std::ostringstream asked_for;
    program.exit(error, asked_for, asked_for);
    put(asked_for.str());
    return end_with(ExitCode::ok, false);
}

}  // namespace

ExitCode end_with_usage(const std::string& sentence, int argc, char** argv) {
    return end_with(Error{Errc::invalid_argument, sentence, {}, {}}, asks_for_json(argc, argv));
}

int run_verb(CLI::App& program, const Chosen& chosen, int argc, char** argv) {
    if (const auto wrong = unknown_verb(program, argc, argv))
        return static_cast<int>(end_with_usage(*wrong, argc, argv));
    try {
        program.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return static_cast<int>(end_with_parse_error(program, error, argc, argv));
    }
    return static_cast<int>(chosen());
}

}  // namespace cinnabar::tool
