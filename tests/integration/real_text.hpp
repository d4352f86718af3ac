// A real text of several megabytes, as the lines that a test appends.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cinnabar::integration {

// Real files of the machine, one behind another in a fixed order, until `bytes_min` are together:
// the package database, then licences, scripts, documentation and headers. Less only where all of
// these hold less.
std::string real_text(uint64_t bytes_min);

std::string content_of(const std::filesystem::path& path);

// The lines with their newlines. One longer than `bytes_max` becomes several records.
std::vector<std::string_view> records_of(std::string_view text, uint64_t bytes_max);

// What thread `thread` of `threads` appends: every threads-th record.
std::vector<std::string_view> share_of(const std::vector<std::string_view>& records,
                                       unsigned thread, unsigned threads);

}  // namespace cinnabar::integration
