// A violation as text and as JSON.
#pragma once

#include <string>

#include "cinnabar/crash.hpp"

namespace cinnabar::explain {

// Several lines: what, and below it where, how and why.
std::string text_of(const crash::Violation& violation);
// Only those: what a crash left, which calls are to blame, what was tried, how to see it again.
std::string details_of(const crash::Violation& violation);

// The file that was to be kept of a violation, or why there is none.
void note_file(const Result<void>& written, const std::string& path,
               std::string crash::Violation::*file, crash::Violation& violation);

// Something else that a file does not have, and why.
void note(const std::string& not_written, crash::Violation& violation);

// Whether what is wrong with two images is said in the same words, but for numbers, words that hold
// a digit, and what is quoted.
bool differ_in_data_alone(const std::string& one, const std::string& other);

// Whether they are one cause, seen twice: of the same kind, by the same two calls, and where those
// stored elsewhere, or where no calls are known, in words that differ in data alone; never where no
// image is to blame.
bool is_same_cause(const crash::Violation& one, const crash::Violation& other);

// What a digest holds need not be UTF-8, as JSON must be: every byte that is not ASCII is escaped,
// as the letter of that number.
std::string json_string(const std::string& text);

// The members of one JSON object, in order.
class JsonObject {
  public:
    JsonObject& raw(const char* key, const std::string& value) {
        text_ += (text_.empty() ? "" : ", ") + json_string(key) + ": " + value;
        return *this;
    }
    JsonObject& add(const char* key, const std::string& value) {
        return raw(key, json_string(value));
    }
    JsonObject& add(const char* key, uint64_t value) { return raw(key, std::to_string(value)); }
    JsonObject& add(const char* key, double value);
    std::string text() const { return "{" + text_ + "}"; }

  private:
    std::string text_;
};

JsonObject json_of(const crash::Violation& violation);

// "1 image", "2 images"
std::string count_text(uint64_t n, const char* what);

}  // namespace cinnabar::explain
