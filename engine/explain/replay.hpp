// The replay line of a violation: names one image of a run bit by bit, and the build and the
// workload that it is of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sim/pending_line.hpp"

namespace cinnabar::explain {

// What a crash left of some pending lines, by line number.
using Lines = std::map<uint64_t, sim::Line>;

struct Replay {
    // Of each word of a line: how many of the line's pending stores it has seen.
    using Seen = std::array<uint32_t, sim::kWordsPerLine>;

    uint32_t build = 0;     // of the program (build_of_program)
    uint32_t workload = 0;  // of what it did up to the crash point (Recorder::shape)
    uint64_t crash_point = 0;
    bool all_survives = false;       // of what is pending, or nothing: but for these lines
    std::map<uint64_t, Seen> lines;  // by line number
    uint32_t sum = 0;                // of the image

    // The replay of an image in which `differ` stands over all that is pending, or over nothing.
    void set_lines(const sim::PendingLines& pending, const Lines& differ);
    // The reverse; nothing where it is of other stores.
    std::optional<Lines> lines_of(const sim::PendingLines& pending) const;

    std::string text() const;
    static std::optional<Replay> parse(std::string_view text);
};

uint32_t sum_of(std::span<const std::byte> image);
// Of the running program's build: another one has, but for accidents, another number.
uint32_t build_of_program();

}  // namespace cinnabar::explain
