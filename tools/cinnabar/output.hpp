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

// Says the error, on stdout too under --json, and gives the program's exit code.
ExitCode end_with(const Error& error, bool json);
// The end of a verb that did its work: `code` unless stdout failed.
ExitCode end_with(ExitCode code, bool json);

// Bytes in the largest binary unit that divides them: "64 MiB".
std::string size_text(uint64_t bytes);

}  // namespace cinnabar::tool
