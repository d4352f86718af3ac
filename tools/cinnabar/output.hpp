// What the program says: data on stdout, talk on stderr, and under --json nothing but JSON on
// stdout, an error included. Keys of JSON carry their units; every document has "schema": 1.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cinnabar/log.hpp"
#include "exit_code.hpp"

namespace cinnabar::tool {

using Json = nlohmann::ordered_json;

// A document to fill.
Json document();
// One about an open log: "emulated" says whether its medium is what it is treated as.
Json document(const Log& log);
// The sentence, labelled where the log's medium is emulated.
std::string labelled(const Log& log, const std::string& sentence);
// The label alone, for verbs that end without a sentence.
void say_if_emulated(const Log& log);

// LSNs and byte counts as people and JSON see them.
Json json_of(const Damage& damage);
std::string text_of(const Damage& damage);
std::string text_of(const Error& error);

// Writes to stdout, buffered. A verb ends with finish_output, which says whether all arrived.
void put(std::string_view bytes);
void put_line(std::string_view text);
void put_json(const Json& json);  // one line
// Errors: io (the reader is gone, the disk is full).
Result<void> flush_output();

// One line on stderr.
void say(std::string_view text);

// Says the error, on stdout too under --json, and gives the program's exit code. `out` is the
// document that gets the error, with what was done before it.
ExitCode end_with(const Error& error, bool json, Json out = document());
// The end of a verb that did its work: `code` unless stdout failed.
ExitCode end_with(ExitCode code, bool json);

// "1 record", "2 records".
std::string count_text(uint64_t count, const std::string& what);

}  // namespace cinnabar::tool
