// Someone's structure: notes of up to 48 bytes, one to a cache line, and a count of them. Right, or
// with one thing done wrong.
#pragma once

#include <cinnabar/crash.hpp>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace kit_test {

enum class Wrong {
    nothing,
    count_before_note,     // the count is stored and forced before the note
    note_not_flushed,      // the note is not made durable
    no_fence,              // nothing is fenced
    counted_in_one_fence,  // note and count are made durable together
    flushed_twice,
    both_kinds,  // the note cached, then once more past the caches
};

struct alignas(64) Note {
    uint64_t length;
    char text[56];
};

struct Notebook {
    uint64_t count;
    Note notes[15];
};

class NotebookWriter {
  public:
    NotebookWriter(cinnabar::crash::Region& region, Wrong wrong) : region_(region), wrong_(wrong) {}

    void add(const std::string& text) {
        Notebook& book = *reinterpret_cast<Notebook*>(region_.bytes().data());
        Note& note = book.notes[book.count];
        if (wrong_ == Wrong::count_before_note) count(book);
        Note filled = {text.size(), {}};
        std::memcpy(filled.text, text.data(), text.size());
        region_.copy(&note, &filled, sizeof filled);
        if (wrong_ == Wrong::both_kinds) region_.copy_nt(&note, &filled, sizeof filled);
        if (wrong_ != Wrong::note_not_flushed) region_.flush(&note, sizeof note);
        if (wrong_ == Wrong::flushed_twice) region_.flush(&note, sizeof note);
        if (wrong_ != Wrong::no_fence && wrong_ != Wrong::counted_in_one_fence) region_.fence();
        if (wrong_ != Wrong::count_before_note) count(book);
    }

  private:
    void count(Notebook& book) {
        region_.store(&book.count, book.count + 1);
        region_.flush(&book.count, sizeof book.count);
        if (wrong_ != Wrong::no_fence) region_.fence();
    }

    cinnabar::crash::Region& region_;
    Wrong wrong_;
};

// The notes, a line each; or why the notebook cannot be read.
inline std::string recover_notebook(std::span<std::byte> image) {
    const Notebook& book = *reinterpret_cast<const Notebook*>(image.data());
    std::string lines;
    if (book.count > 15) return "damaged: count";
    for (uint64_t i = 0; i < book.count; ++i) {
        const Note& note = book.notes[i];
        if (note.length > sizeof note.text) return "damaged: length";
        lines += cinnabar::crash::line_of(std::as_bytes(std::span(note.text, note.length))) + "\n";
    }
    return lines;
}

// Ten notes, each acknowledged once it is added.
inline void write_notes(NotebookWriter writer, cinnabar::crash::History& history) {
    for (int i = 0; i < 10; ++i) {
        const std::string text = "note number " + std::to_string(i);
        const size_t operation = history.begin(text);
        writer.add(text);
        history.acknowledge(operation);
    }
}

inline cinnabar::crash::Test notebook_test(cinnabar::crash::Region& region, Wrong wrong) {
    return {.workload =
                [&region, wrong](cinnabar::crash::History& history) {
                    write_notes(NotebookWriter(region, wrong), history);
                },
            .recover = recover_notebook,
            .check = cinnabar::crash::prefix_of_appends()};
}

}  // namespace kit_test
