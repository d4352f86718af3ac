#include "explain/page.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "explain/image_file.hpp"
#include "explain/violation.hpp"

namespace cinnabar::explain {

namespace {

using sim::LineState;
using sim::Trace;

constexpr size_t kEventsMax = 120;     // on the page
constexpr size_t kLanesForStory = 12;  // with durable lines that were stored to before
constexpr std::string_view kBehindTheFix = "<dt>Images";
constexpr int kLeft = 190, kTop = 64, kLaneHeight = 30, kBarHeight = 14, kCell = 18;
constexpr int kDiamond = 76;  // so far before the lane

// Colours by Okabe and Ito, which the colour-blind can tell apart; and each state has a pattern.
constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1b1b; --faint: #767676;
  --clean: #d4d4d4; --dirty: #e69f00; --flight: #56b4e9; --durable: #0072b2; --crash: #d55e00;
  --grain: #ffffff; --card: #f5f5f2; }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --ink: #ececec; --faint: #9a9a9a;
  --clean: #4a4d52; --durable: #3b8fd0; --grain: #16181b; --card: #212429; } }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans",
  sans-serif; margin: 2rem auto; max-width: 1280px; padding: 0 1.5rem; }
h1 { font-size: 1.3rem; line-height: 1.35; margin: 0 0 .3rem; overflow-wrap: anywhere; }
p { margin: .2rem 0 1rem; color: var(--faint); }
.time { overflow-x: auto; }
svg { display: block; }
svg text { fill: var(--ink); font-size: 12px; }
svg text.small { fill: var(--faint); font-size: 10px; }
.clean { fill: var(--clean); } .dirty { fill: url(#dirty); } .in_flight { fill: url(#flight); }
.durable, .kept { fill: var(--durable); } .untouched { fill: none; stroke: var(--clean); }
.lost { fill: none; stroke: var(--crash); stroke-width: 2; }
.store { fill: var(--page); stroke: var(--ink); stroke-width: 1.5; }
.same { fill: var(--page); stroke: var(--faint); } svg text.unknown { fill: var(--faint); }
.flush, .deciding { fill: var(--ink); } .fence { stroke: var(--ink); stroke-width: 1.5; }
.crash { stroke: var(--crash); stroke-width: 4; stroke-dasharray: 9 3; }
svg text.crashed { fill: var(--crash); font-weight: 700; }
.operation path { fill: none; stroke: var(--ink); stroke-width: 1.6; }
.hit { fill: transparent; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: .8rem 0 1.4rem; padding: 0;
  list-style: none; font-size: 13px; }
.legend li { display: flex; align-items: center; gap: .45rem; }
dl { background: var(--card); padding: 1rem 1.2rem; border-radius: 6px; margin: 0; display: grid;
  grid-template-columns: max-content 1fr; gap: .45rem 1.4rem; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
code { font: 13px/1.5 "DejaVu Sans Mono", monospace; }
)css";

constexpr std::string_view kPatterns = R"svg(<defs>
<pattern id="dirty" width="6" height="6" patternUnits="userSpaceOnUse"
patternTransform="rotate(45)"><rect width="6" height="6" fill="var(--dirty)"/>
<rect width="2" height="6" fill="var(--grain)"/>
</pattern>
<pattern id="flight" width="6" height="6" patternUnits="userSpaceOnUse">
<rect width="6" height="6" fill="var(--flight)"/><circle cx="3" cy="3" r="1.2" fill="var(--ink)"/>
</pattern></defs>
)svg";

std::string escaped(std::string_view text) {
    std::string out;
    for (const char letter : text) {
        if (letter == '<')
            out += "&lt;";
        else if (letter == '>')
            out += "&gt;";
        else if (letter == '&')
            out += "&amp;";
        else if (letter == '"')
            out += "&quot;";
        else if (static_cast<unsigned char>(letter) >= ' ' || letter == '\n' || letter == '\t')
            out += letter;
        else
            out += "?";
    }
    return out;
}

std::string text_of(int number) {
    return std::to_string(number);
}

// "x=1 y=2": attributes of numbers.
std::string at(std::initializer_list<std::pair<const char*, int>> attributes) {
    std::string out;
    for (const auto& [name, value] : attributes)
        out += std::string(" ") + name + "=\"" + text_of(value) + "\"";
    return out;
}

std::string title(const std::string& text) {
    return "<title>" + escaped(text) + "</title>";
}

std::string_view name_of(LineState state) {
    switch (state) {
        case LineState::clean: return "clean";
        case LineState::dirty: return "dirty";
        case LineState::in_flight: return "in_flight";
        case LineState::durable: return "durable";
    }
    return "";
}

// "0x6f6e 'no......'"
std::string word_text(uint64_t word) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%" PRIx64 " '", word);
    std::string out = text;
    for (const char byte : std::bit_cast<std::array<char, sizeof word>>(word))
        out += std::isprint(static_cast<unsigned char>(byte)) != 0 ? byte : '.';
    return out + "'";
}

// What stands at the mark of an operation: its number; at a print the end of its last line.
std::string label_of(const Trace::Event& event) {
    constexpr size_t letters_max = 8;
    const std::string& text = event.where;
    if (event.kind != Trace::Kind::print)
        return text.substr(text.find_last_not_of("0123456789") + 1);
    const std::string line = text.substr(text.rfind('\n') + 1);
    return line.size() <= letters_max ? line : ".." + line.substr(line.size() - letters_max);
}

class Picture {
  public:
    Picture(const Finding& finding, const Trace& trace)
        : finding_(finding), trace_(trace), lanes_(lanes_of(finding, trace)) {
        for (const uint64_t line : lanes_) lane_of_[line] = lane_of_.size();
        choose_events();
        const int events = static_cast<int>(std::max<size_t>(shown_.size(), 1));
        step_ = std::clamp(840 / events, 7, 60);
        crash_x_ = kLeft + events * step_ + step_ / 2;
        choose_numbered();
        bottom_ = kTop + static_cast<int>(lanes_.size()) * kLaneHeight + 6;
    }

    std::string svg() const {
        const int width = crash_x_ + 30 + 8 * kCell + 16, height = bottom_ + 22;
        std::string out = "<svg" + at({{"width", width}, {"height", height}}) + " viewBox=\"0 0 " +
                          text_of(width) + " " + text_of(height) +
                          "\" role=\"img\" aria-label=\"cache lines over time\">\n";
        out += kPatterns;
        for (size_t lane = 0; lane < lanes_.size(); ++lane) out += bars(lane);
        for (size_t i = 0; i < shown_.size(); ++i)
            if (is_fence(event(i))) out += fence(i);
        for (size_t i = 0; i < shown_.size(); ++i) out += marks(i);
        return out + crash() + axis() + "</svg>\n";
    }

    size_t left_out() const { return left_out_; }

  private:
    static bool is_fence(const Trace::Event& event) {
        return event.kind == Trace::Kind::fence || event.kind == Trace::Kind::sync;
    }
    static bool is_operation(const Trace::Event& event) {
        return event.kind == Trace::Kind::begin || event.kind == Trace::Kind::acknowledge ||
               event.kind == Trace::Kind::print;
    }
    const Trace::Event& event(size_t i) const { return trace_.events[shown_[i]]; }
    int x_of(size_t i) const { return kLeft + static_cast<int>(i) * step_ + step_ / 2; }
    static int y_of(size_t lane) { return kTop + static_cast<int>(lane) * kLaneHeight; }

    void choose_events() {
        for (size_t i = 0; i < finding_.events; ++i) {
            const Trace::Event& one = trace_.events[i];
            if (is_fence(one) || is_operation(one) ||
                std::ranges::any_of(one.changes, [&](const Trace::Change& change) {
                    return lane_of_.contains(change.line);
                }))
                shown_.push_back(i);
        }
        if (shown_.size() > kEventsMax) left_out_ = shown_.size() - kEventsMax;
        shown_.erase(shown_.begin(), shown_.begin() + static_cast<long>(left_out_));
    }

    // Operations whose numbers have room, those that begin and those that are acknowledged apart.
    void choose_numbered() {
        constexpr int letter_width = 6;
        std::map<Trace::Kind, int> free_from;
        for (size_t i = 0; i < shown_.size(); ++i) {
            if (!is_operation(event(i))) continue;
            const int half = letter_width * static_cast<int>(label_of(event(i)).size() + 1) / 2;
            if (free_from[event(i).kind] > x_of(i) - half) continue;
            free_from[event(i).kind] = x_of(i) + half;
            numbered_.insert(i);
        }
    }

    std::string bar(size_t lane, int from, int to, LineState state) const {
        const int height = state == LineState::clean ? 2 : kBarHeight;
        const int y = y_of(lane) + (kLaneHeight - height) / 2;
        return "<rect class=\"" + std::string(name_of(state)) + "\"" +
               at({{"x", from}, {"y", y}, {"width", to - from}, {"height", height}}) + ">" +
               title(offset_text(lanes_[lane]) + ": " +
                     (state == LineState::in_flight ? "in flight" : std::string(name_of(state)))) +
               "</rect>\n";
    }

    static std::string offset_text(uint64_t line) {
        return "offset " + std::to_string(line * sim::kLineBytes);
    }

    std::string bars(size_t lane) const {
        std::string out =
            "<g class=\"lane\"><text x=\"0\" y=\"" + text_of(y_of(lane) + kLaneHeight / 2 + 4) +
            "\">" + offset_text(lanes_[lane]) + "</text>" + blame(lane) + depends(lane) + "\n";
        auto state = LineState::clean;
        int from = kLeft;
        for (size_t i = 0, next = 0; i < finding_.events; ++i) {
            const bool is_shown = next < shown_.size() && shown_[next] == i;
            const int x = is_shown ? x_of(next++) : kLeft;
            for (const Trace::Change& change : trace_.events[i].changes)
                if (change.line == lanes_[lane] && change.state != state) {
                    if (x > from) out += bar(lane, from, x, state);
                    from = std::max(from, x);
                    state = change.state;
                }
        }
        return out + bar(lane, from, crash_x_, state) + words(lane) + "</g>\n";
    }

    std::string blame(size_t lane) const {
        const uint64_t line = lanes_[lane];
        const bool lost = finding_.lost.contains(line), survived = finding_.survived.contains(line);
        if (!lost && !survived) return "";
        return "<text class=\"small\" text-anchor=\"end\"" +
               at({{"x", kLeft - 8}, {"y", y_of(lane) + kLaneHeight / 2 + 4}}) + ">" +
               (lost && survived ? "torn"
                : lost           ? "lost"
                                 : "survived") +
               "</text>";
    }

    // Whether the outcome depends on the line.
    std::string depends(size_t lane) const {
        const int x = kLeft - kDiamond, y = y_of(lane) + kLaneHeight / 2;
        const auto known = finding_.depends.find(lanes_[lane]);
        if (known == finding_.depends.end())
            return "<text class=\"unknown\"" + at({{"x", x + 2}, {"y", y + 4}}) + ">?" +
                   title("not known: recovery was not asked of this line") + "</text>";
        return std::string("<path class=\"") + (known->second ? "deciding" : "same") + "\" d=\"M" +
               text_of(x) + " " + text_of(y) + "l5 -5l5 5l-5 5z\">" +
               title(known->second ? "inverted, recovery comes to something else"
                                   : "inverted, recovery comes to the same") +
               "</path>";
    }

    static bool changes(const sim::PendingLine& pending, size_t word) {
        return std::ranges::any_of(pending.units, [&](const sim::Unit& unit) {
            return (unit.mask & 1u << word) != 0 && unit.value[word] != pending.durable[word];
        });
    }

    // What the crash left of the lane's line, word by word.
    std::string words(size_t lane) const {
        const uint64_t line = lanes_[lane];
        const auto pending = finding_.pending.find(line);
        if (pending == finding_.pending.end()) return "";
        std::string out;
        const sim::Line newest = pending->second.newest(), image = finding_.image.at(line);
        for (size_t word = 0; word < sim::kWordsPerLine; ++word) {
            const bool kept = image[word] == newest[word];
            const char* kind = !changes(pending->second, word) ? "untouched"
                               : kept                          ? "kept"
                                                               : "lost";
            out += cell(lane, word, kind,
                        "bytes from " + std::to_string(line * sim::kLineBytes + word * 8) + ": " +
                            kind + "\nthe workload: " + word_text(newest[word]) +
                            "\nthe image: " + word_text(image[word]));
        }
        return out;
    }

    std::string cell(size_t lane, size_t word, const char* kind, const std::string& text) const {
        const int x = crash_x_ + 24 + static_cast<int>(word) * kCell;
        const int y = y_of(lane) + (kLaneHeight - kCell) / 2 + 2, size = kCell - 4;
        std::string out = std::string("<g class=\"word\">") + title(text) + "<rect class=\"" +
                          kind + "\"" +
                          at({{"x", x}, {"y", y}, {"width", size}, {"height", size}}) + "/>";
        if (std::string_view(kind) == "lost")
            out += "<path class=\"lost\" d=\"M" + text_of(x + 3) + " " + text_of(y + 3) +
                   "l8 8m0 -8l-8 8\"/>";
        return out + "<rect class=\"hit\"" +
               at({{"x", x}, {"y", y}, {"width", size}, {"height", size}}) + "/></g>";
    }

    std::string fence(size_t i) const {
        const int x = x_of(i);
        const auto line = at({{"x1", x}, {"y1", kTop - 4}, {"x2", x}, {"y2", bottom_}});
        return "<g>" + title(event(i).where) + "<line class=\"fence\"" + line +
               "/><rect class=\"hit\"" +
               at({{"x", x - 4}, {"y", kTop - 4}, {"width", 8}, {"height", bottom_ - kTop + 4}}) +
               "/></g>\n";
    }

    std::string marks(size_t i) const {
        if (is_operation(event(i))) return operation(i);
        std::string out;
        for (const Trace::Change& change : event(i).changes)
            if (const auto lane = lane_of_.find(change.line); lane != lane_of_.end())
                out += mark(i, change, y_of(lane->second) + kLaneHeight / 2);
        return out;
    }

    std::string mark(size_t i, const Trace::Change& change, int y) const {
        const int x = x_of(i);
        if (event(i).kind == Trace::Kind::flush)
            return "<path class=\"flush\" d=\"M" + text_of(x - 5) + " " + text_of(y - 5) +
                   "h10l-5 9z\">" + title(event(i).where) + "</path>\n";
        if (event(i).kind != Trace::Kind::store) return "";
        std::string text = event(i).where;
        for (size_t word = 0; word < sim::kWordsPerLine; ++word)
            if ((change.words & 1u << word) != 0)
                text += "\n" + std::to_string(change.line * sim::kLineBytes + word * 8) + ": " +
                        word_text(change.value[word]);
        return "<circle class=\"store\"" + at({{"cx", x}, {"cy", y}, {"r", 4}}) + ">" +
               title(text) + "</circle>\n";
    }

    std::string operation(size_t i) const {
        const int x = x_of(i);
        const bool begins = event(i).kind == Trace::Kind::begin;
        const bool printed = event(i).kind == Trace::Kind::print;
        const std::string path =
            begins ? "M" + text_of(x - 4) + " 33v10l8 -5z" : "M" + text_of(x - 5) + " 38l4 5l7 -10";
        return "<g class=\"operation\">" + title((printed ? "printed: " : "") + event(i).where) +
               "<text class=\"small\"" + at({{"x", x}, {"y", begins ? 55 : 26}}) +
               " text-anchor=\"middle\">" +
               (numbered_.contains(i) ? escaped(label_of(event(i))) : "") + "</text><path d=\"" +
               path + "\"/><rect class=\"hit\"" +
               at({{"x", x - 6}, {"y", 16}, {"width", 12}, {"height", 30}}) + "/></g>\n";
    }

    std::string crash() const {
        std::string out = "<line class=\"crash\"" +
                          at({{"x1", crash_x_}, {"y1", 18}, {"x2", crash_x_}, {"y2", bottom_}}) +
                          "/><text class=\"crashed\"" + at({{"x", crash_x_ + 10}, {"y", 28}}) +
                          ">crash</text><text class=\"small\"" +
                          at({{"x", crash_x_ + 24}, {"y", kTop - 6}}) + ">words of the line</text>";
        std::string row;
        for (size_t i = 0; i < shown_.size() && row.empty(); ++i)
            if (is_operation(event(i)))
                row = event(i).kind == Trace::Kind::print ? "printed" : "operations";
        if (!row.empty()) out += "<text class=\"small\" x=\"0\" y=\"40\">" + row + "</text>";
        return out + "\n";
    }

    std::string axis() const {
        std::string out;
        const size_t every = step_ >= 24 ? 1 : step_ >= 14 ? 2 : 5;
        for (size_t i = 0; i < shown_.size(); i += every)
            out += "<text class=\"small\"" + at({{"x", x_of(i)}, {"y", bottom_ + 14}}) +
                   " text-anchor=\"middle\">" + std::to_string(shown_[i] + 1) + "</text>";
        return out + "<text class=\"small\"" + at({{"x", 0}, {"y", bottom_ + 14}}) +
               ">call number</text>\n";
    }

    const Finding& finding_;
    const Trace& trace_;
    const std::vector<uint64_t> lanes_;
    std::map<uint64_t, size_t> lane_of_;
    std::vector<size_t> shown_;  // numbers of events
    std::set<size_t> numbered_;  // of these
    size_t left_out_ = 0;
    int step_ = 0, crash_x_ = 0, bottom_ = 0;
};

std::string legend() {
    std::string out = "<ul class=\"legend\">\n";
    const auto item = [&](const std::string& shape, const char* text) {
        out += "<li><svg width=\"26\" height=\"16\" aria-hidden=\"true\">" + shape + "</svg>" +
               text + "</li>\n";
    };
    const auto box = [](const char* kind) {
        return std::string("<rect class=\"") + kind +
               "\" x=\"1\" y=\"1\" width=\"24\" height=\"14\"/>";
    };
    item("<rect class=\"clean\" y=\"7\" width=\"26\" height=\"2\"/>", "clean: never stored to");
    item(box("dirty"), "dirty: in a cache, not flushed");
    item(box("in_flight"), "in flight: waits for a fence");
    item(box("durable"), "durable");
    item("<circle class=\"store\" cx=\"13\" cy=\"8\" r=\"4\"/>", "store");
    item("<path class=\"flush\" d=\"M8 4h10l-5 9z\"/>", "flush");
    item("<path stroke=\"currentColor\" d=\"M13 0v16\"/>", "fence or sync");
    item("<g class=\"operation\"><path d=\"M9 3v10l8 -5z\"/></g>", "operation begins");
    item("<g class=\"operation\"><path d=\"M8 8l4 5l7 -10\"/></g>",
         "is acknowledged; or something is printed");
    item(
        "<path stroke=\"var(--crash)\" stroke-width=\"4\" stroke-dasharray=\"9 3\" d=\"M13 "
        "0v16\"/>",
        "crash");
    item("<rect class=\"kept\" x=\"6\" y=\"1\" width=\"14\" height=\"14\"/>", "word survived");
    item(
        "<rect class=\"lost\" x=\"6\" y=\"1\" width=\"14\" height=\"14\"/>"
        "<path class=\"lost\" d=\"M9 4l8 8m0 -8l-8 8\"/>",
        "word lost");
    item("<rect class=\"untouched\" x=\"6\" y=\"1\" width=\"14\" height=\"14\"/>",
         "word that nothing pending changes");
    item("<path class=\"deciding\" d=\"M8 8l5 -5l5 5l-5 5z\"/>",
         "the outcome depends on the line: it is to blame, or with all its bits inverted recovery "
         "comes to something else");
    item("<path class=\"same\" d=\"M8 8l5 -5l5 5l-5 5z\"/>",
         "it does not: recovery comes to the same, and has not read the line or does not go by it");
    item("<text class=\"unknown\" x=\"10\" y=\"12\">?</text>",
         "whether it does is not known: recovery was not asked");
    return out + "</ul>\n";
}

std::string row(const char* name, const std::string& text, bool code = false) {
    if (text.empty()) return "";
    return std::string("<dt>") + name + "</dt><dd>" + (code ? "<code>" : "") + escaped(text) +
           (code ? "</code>" : "") + "</dd>\n";
}

std::string images_text(const crash::Violation& violation) {
    return "tried that come to this: " + std::to_string(violation.images) +
           (violation.crash_points > 1 ? ", at " + count_text(violation.crash_points, "crash point")
                                       : "");
}

}  // namespace

// What the crash found pending, and then the lines that were stored to last.
std::vector<uint64_t> lanes_of(const Finding& finding, const sim::Trace& trace) {
    std::set<uint64_t> lines;
    for (const auto& [line, pending] : finding.pending) lines.insert(line);
    for (size_t i = finding.events; i-- > 0 && lines.size() < kLanesForStory;)
        for (const Trace::Change& change : trace.events[i].changes)
            if (lines.size() < kLanesForStory) lines.insert(change.line);
    return {lines.begin(), lines.end()};
}

std::string page_of(const crash::Violation& violation, const Finding& finding,
                    const sim::Trace& trace) {
    const Picture picture(finding, trace);
    std::string out =
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        "style-src 'unsafe-inline'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Violation: " +
        escaped(violation.where) + "</title>\n<style>";
    out += kStyle;
    out += "</style></head>\n<body>\n<h1>" + escaped(violation.what) +
           "</h1>\n<p>Power fails at crash point " + std::to_string(violation.crash_point) + ": " +
           escaped(violation.where) + ". Point at anything to see the call and the values.";
    if (picture.left_out() > 0)
        out += " " + std::to_string(picture.left_out()) + " earlier calls are not shown.";
    if (!finding.not_asked.empty())
        out += "</p>\n<p class=\"open\">Left open: " + escaped(finding.not_asked) + ".";
    out += "</p>\n<div class=\"time\">\n" + picture.svg() + "</div>\n" + legend() + "<dl>\n";
    out += row("Kind", std::string(crash::name_of(violation.kind)));
    out += row("Crash at", violation.where);
    out += row("Since", violation.since);
    out += row("Lost", violation.lost.empty() ? "nothing" : violation.lost);
    out += row("Survived", violation.survived.empty() ? "nothing" : violation.survived);
    out += row("Order", violation.order);
    out += row("Tried", violation.fix);
    out += row("Images", images_text(violation));
    out += row("Replay", violation.replay, true);
    return out + "</dl>\n</body></html>\n";
}

Result<void> write_page(const std::string& path, const std::string& page) {
    std::FILE* file = std::fopen(path.c_str(), "we");
    if (file == nullptr) return fail(cannot_be_written(path));
    const bool whole = std::fwrite(page.data(), 1, page.size(), file) == page.size();
    if (std::fclose(file) != 0 || !whole) return fail(cannot_be_written(path));
    return {};
}

Result<void> complete_page(const std::string& path, const crash::Violation& violation,
                           const std::string& command) {
    std::ifstream file(path, std::ios::binary);
    std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const size_t behind = page.find(kBehindTheFix);
    const std::string line = row("Replay", violation.replay, true);
    const size_t replay = page.rfind(line);
    if (behind == page.npos || replay == page.npos)
        return fail(Errc::io, "'" + path + "' is no page");
    page.replace(replay, line.size(), row("Replay", command, true));
    page.replace(behind, page.find('\n', behind) + 1 - behind,
                 row("Images", images_text(violation)));
    page.insert(behind, row("Tried", violation.fix));
    return write_page(path, page);
}

}  // namespace cinnabar::explain
