// The operations of a workload, and the ready oracles, which compare them with a digest.
#include <algorithm>
#include <map>

#include "cinnabar/crash.hpp"
#include "crash/printable.hpp"

namespace cinnabar::crash {

namespace {

using Operations = std::vector<History::Operation>;

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

std::string quoted(std::string_view text) {
    constexpr size_t max = 80;
    return "'" + printable(text.substr(0, max)) + (text.size() > max ? "...'" : "'");
}

// How often each line is there, less how often it may be or has to be.
using Counts = std::map<std::string_view, int64_t>;

Counts counts_of(std::string_view digest) {
    Counts counts;
    for (const std::string_view line : lines_of(digest)) ++counts[line];
    return counts;
}

std::string acknowledged_is_missing(std::string_view line) {
    return quoted(line) + " was acknowledged and is missing";
}

// Of an operation; no text at all is one empty record.
std::vector<std::string_view> records_of(const History::Operation& operation) {
    return operation.what.empty() ? std::vector<std::string_view>{""} : lines_of(operation.what);
}

// The acknowledged ones first: of equal texts one that is in flight takes what they leave.
std::vector<const History::Operation*> acknowledged_first(const History& history) {
    std::vector<const History::Operation*> operations;
    for (const bool acknowledged : {true, false})
        for (const History::Operation& operation : history.operations())
            if (operation.acknowledged == acknowledged) operations.push_back(&operation);
    return operations;
}

std::string check_subset(std::string_view digest, const History& history) {
    Counts counts = counts_of(digest);
    for (const History::Operation* operation : acknowledged_first(history))
        for (const std::string_view line : records_of(*operation)) {
            if (counts[line] > 0)
                --counts[line];
            else if (operation->acknowledged)
                return acknowledged_is_missing(line);
        }
    for (const auto& [line, count] : counts)
        if (count > 0) return quoted(line) + " was recovered and never written, or not so often";
    return {};
}

std::string check_prefix(std::string_view digest, const History& history) {
    const std::vector<std::string_view> lines = lines_of(digest);
    size_t at = 0, done = 0;
    for (const History::Operation& operation : history.operations()) {
        const auto wanted = records_of(operation);
        if (at + wanted.size() > lines.size() ||
            !std::equal(wanted.begin(), wanted.end(), lines.begin() + static_cast<long>(at)))
            break;
        at += wanted.size();
        ++done;
    }
    const std::string there = "only the first " + std::to_string(done) + " of " +
                              std::to_string(history.operations().size()) +
                              " operations are there as they were appended";
    if (done < history.acknowledged_prefix())
        return there + ", and " + std::to_string(history.acknowledged_prefix()) +
               " were acknowledged";
    if (at < lines.size()) return there + ", and then comes " + quoted(lines[at]);
    return {};
}

// How many of the lines are there; takes them away where all are.
size_t take(Counts& counts, const std::vector<std::string_view>& lines) {
    size_t there = 0;
    for (const std::string_view line : lines)
        if (counts[line]-- > 0) ++there;
    if (there != lines.size())
        for (const std::string_view line : lines) ++counts[line];
    return there;
}

std::string check_atomic(std::string_view digest, const History& history) {
    Counts counts = counts_of(digest);
    std::string torn;  // the first that is there in part, if nothing else explains its lines
    for (const History::Operation* operation : acknowledged_first(history)) {
        const auto lines = records_of(*operation);
        const size_t there = take(counts, lines);
        if (there == lines.size()) continue;
        if (there == 0 && operation->acknowledged) return acknowledged_is_missing(operation->what);
        std::string words = "of the operation " + quoted(operation->what) + " only " +
                            std::to_string(there) + " of " + std::to_string(lines.size()) +
                            " records are there";
        if (operation->acknowledged) return words;
        if (there != 0 && torn.empty()) torn = words;
    }
    for (const auto& [line, count] : counts)
        if (count > 0)
            return torn.empty() ? quoted(line) + " was recovered and never written, or not so often"
                                : torn;
    return {};
}

}  // namespace

size_t History::begin(std::string what) {
    const size_t operation = operations_.size();
    // Of what was stored until now nothing is the operation's.
    if (tell_) tell_("begin of operation " + std::to_string(operation), std::nullopt);
    operations_.push_back({std::move(what), false});
    return operation;
}

void History::acknowledge(size_t operation) {
    const std::string number = "operation " + std::to_string(operation);
    if (operation >= operations_.size() || operations_[operation].acknowledged) {
        if (misuse_)
            misuse_(number + (operation >= operations_.size() ? " was acknowledged and never begun"
                                                              : " was acknowledged a second time"));
        return;
    }
    const std::string event = "acknowledged " + number;
    if (notice_) notice_(event);  // what was stored before comes before the promise
    operations_[operation].acknowledged = true;
    if (tell_) tell_(event, operation);
}

size_t History::acknowledged_prefix() const {
    size_t prefix = operations_.size();
    while (prefix > 0 && !operations_[prefix - 1].acknowledged) --prefix;
    return prefix;
}

Oracle prefix_of_appends() {
    return check_prefix;
}

Oracle acknowledged_subset() {
    return check_subset;
}

Oracle atomic_records() {
    return check_atomic;
}

Oracle equal_to_a_run(std::function<std::string(std::span<const History::Operation>)> model) {
    return [model = std::move(model)](std::string_view digest, const History& history) {
        const std::span<const History::Operation> all(history.operations());
        for (size_t done = history.acknowledged_prefix(); done <= all.size(); ++done)
            if (digest == model(all.first(done))) return std::string();
        return quoted(digest) + " is not the state after any first " +
               std::to_string(history.acknowledged_prefix()) + " to " + std::to_string(all.size()) +
               " operations";
    };
}

std::string line_of(Bytes bytes) {
    return printable({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "\\");
}

}  // namespace cinnabar::crash
