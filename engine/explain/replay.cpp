#include "explain/replay.hpp"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/crc32c.hpp"

namespace cinnabar::explain {

namespace {

// The latest moment of its line at which the word held this.
uint32_t seen_by(const sim::PendingLine& pending, size_t word, uint64_t value) {
    uint64_t then = pending.durable[word];
    uint32_t seen = 0;
    for (uint32_t i = 0; i <= pending.units.size(); ++i) {
        if (i > 0 && (pending.units[i - 1].mask & 1u << word) != 0)
            then = pending.units[i - 1].value[word];
        if (then == value) seen = i;
    }
    return seen;
}

// "64:2", or "64:2.2.2.0.2.2.2.2" where the words differ.
std::string text_of(uint64_t line, const Replay::Seen& seen) {
    std::string text = std::to_string(line * sim::kLineBytes) + ":" + std::to_string(seen[0]);
    if (std::ranges::all_of(seen, [&](uint32_t one) { return one == seen[0]; })) return text;
    for (size_t word = 1; word < seen.size(); ++word) text += "." + std::to_string(seen[word]);
    return text;
}

// The number at the beginning, which is taken off.
std::optional<uint64_t> take_number(std::string_view& text) {
    uint64_t number = 0;
    size_t digits = 0;
    for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits)
        number = number * 10 + static_cast<uint64_t>(text[digits] - '0');
    if (digits == 0 || digits > 18) return std::nullopt;
    text.remove_prefix(digits);
    return number;
}

bool take(std::string_view& text, char letter) {
    if (!text.starts_with(letter)) return false;
    text.remove_prefix(1);
    return true;
}

std::optional<std::map<uint64_t, Replay::Seen>> parse_lines(std::string_view text) {
    std::map<uint64_t, Replay::Seen> lines;
    if (text == "none") return lines;
    do {
        const auto offset = take_number(text);
        if (!offset || !take(text, ':')) return std::nullopt;
        Replay::Seen& seen = lines[*offset / sim::kLineBytes];
        for (size_t word = 0; word < seen.size(); ++word) {
            const auto number = take_number(text);
            if (!number) return std::nullopt;
            seen[word] = static_cast<uint32_t>(*number);
            if (word == 0 && !text.starts_with('.')) {
                seen.fill(seen[0]);
                break;
            }
            if (word + 1 < seen.size() && !take(text, '.')) return std::nullopt;
        }
    } while (take(text, ','));
    if (!text.empty()) return std::nullopt;
    return lines;
}

size_t padded(size_t bytes) {
    return (bytes + 3) / 4 * 4;
}

// The number that the linker gave the first object, which is the program.
int find_build(struct dl_phdr_info* object, size_t, void* found) {
    constexpr size_t head_bytes = sizeof(ElfW(Nhdr));
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const auto& header = object->dlpi_phdr[i];
        if (header.p_type != PT_NOTE) continue;
        const auto* notes = reinterpret_cast<const char*>(object->dlpi_addr + header.p_vaddr);
        for (size_t at = 0; at + head_bytes <= header.p_memsz;) {
            ElfW(Nhdr) note;
            std::memcpy(&note, notes + at, head_bytes);
            const size_t begin = at + head_bytes + padded(note.n_namesz);
            if (note.n_type == NT_GNU_BUILD_ID && begin + note.n_descsz <= header.p_memsz)
                *static_cast<uint32_t*>(found) = crc32c(1, notes + begin, note.n_descsz);
            at = begin + padded(note.n_descsz);
        }
    }
    return 1;
}

}  // namespace

void Replay::set_lines(const sim::PendingLines& pending, const Lines& differ) {
    for (const auto& [line, value] : differ) {
        const sim::PendingLine& stores = pending.at(line);
        Seen& seen = lines[line];
        for (size_t word = 0; word < sim::kWordsPerLine; ++word)
            seen[word] = seen_by(stores, word, value[word]);
        const uint32_t least =
            *std::ranges::min_element(seen);  // words that never change have more
        if (stores.prefix(least) == value) seen.fill(least);
    }
}

std::optional<Lines> Replay::lines_of(const sim::PendingLines& pending) const {
    Lines values;
    for (const auto& [line, seen] : lines) {
        const auto stores = pending.find(line);
        if (stores == pending.end()) return std::nullopt;
        for (size_t word = 0; word < sim::kWordsPerLine; ++word) {
            if (seen[word] > stores->second.units.size()) return std::nullopt;
            values[line][word] = stores->second.prefix(seen[word])[word];
        }
    }
    return values;
}

std::string Replay::text() const {
    char head[128], tail[32];
    std::snprintf(head, sizeof head,
                  "build=%08" PRIx32 " workload=%08" PRIx32 " crash_point=%" PRIu64
                  " survives=%s but=",
                  build, workload, crash_point, all_survives ? "all" : "nothing");
    std::snprintf(tail, sizeof tail, " sum=%08" PRIx32, sum);
    std::string but;
    for (const auto& [line, seen] : lines)
        but += (but.empty() ? "" : ",") + explain::text_of(line, seen);
    return head + (but.empty() ? "none" : but) + tail;
}

std::optional<Replay> Replay::parse(std::string_view text) {
    Replay replay;
    char survives[16] = {};
    int but = 0;
    const std::string all(text);
    if (std::sscanf(all.c_str(),
                    "build=%" SCNx32 " workload=%" SCNx32 " crash_point=%" SCNu64
                    " survives=%15s but=%n",
                    &replay.build, &replay.workload, &replay.crash_point, survives, &but) != 4 ||
        but == 0)
        return std::nullopt;
    const size_t begin = static_cast<size_t>(but), end = all.find(' ', begin);
    if (end == std::string::npos ||
        std::sscanf(all.c_str() + end, " sum=%" SCNx32, &replay.sum) != 1)
        return std::nullopt;
    const auto lines = parse_lines(std::string_view(all).substr(begin, end - begin));
    if (!lines) return std::nullopt;
    replay.lines = *lines;
    replay.all_survives = std::string_view(survives) == "all";
    if (replay.text() != text) return std::nullopt;
    return replay;
}

uint32_t sum_of(std::span<const std::byte> image) {
    return crc32c(~uint32_t{0}, image.data(), image.size());
}

uint32_t build_of_program() {
    uint32_t build = 0;
    ::dl_iterate_phdr(find_build, &build);
    return build;
}

}  // namespace cinnabar::explain
