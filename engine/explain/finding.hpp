// What the reduction of a violation came to: which stores are to blame, and what may mend it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "cinnabar/types.hpp"
#include "explain/replay.hpp"

namespace cinnabar::explain {

// What the call is called that stored from there.
using Names = std::function<std::string(Site)>;

// Lines as words, from one process to another: "1 5 9", and the reverse.
std::string words_of_lines(const std::set<uint64_t>& lines);
std::set<uint64_t> lines_of_words(const std::string& words);

// A flush and a fence (or a sync) that are not there, tried in their place: behind the stores of
// one call. Of what one call has stored or noticed, these lines come after it. Where not all images
// can be tried, those are tried first that the violation's own lines make, the fewest.
struct Fix {
    std::string where;
    std::set<uint64_t> lines_after = {};
    std::set<uint64_t> own_lines = {};
};

struct Finding {
    struct Store {
        uint64_t line = 0;
        uint64_t offset = 0;    // of its first byte that is lost, or that survives
        uint64_t sequence = 0;  // in program order
        uint64_t call = 0;
        std::string where;
    };

    Lines lost;      // these are enough to fail, where all else that is pending survives
    Lines survived;  // and these where nothing else does
    std::optional<Store> lost_store;
    std::optional<Store> surviving_store;
    std::optional<Fix> fix;

    // For the page: what the crash found pending, of some lines, and what it left there.
    size_t events = 0;  // of the trace
    sim::PendingLines pending;
    Lines image;
    // By the line of a lane: with every bit of it inverted, recovery comes to something else. Of
    // lanes that are missing this was not asked: "of 3 of 12 lines whether the outcome
    // depends on them: " and why.
    std::map<uint64_t, bool> depends;
    std::string not_asked;
};

// Of `lost` the store that was made first, and of `survived` the one that was made last: if the
// first had been durable before the last was made, the image could not be.
std::optional<Finding::Store> first_lost(const sim::PendingLines& pending, const Lines& lost,
                                         const Names& name);
std::optional<Finding::Store> last_surviving(const sim::PendingLines& pending,
                                             const Lines& survived, const Names& name);

// "offset 72, store at list.cpp:41; offset 128, ...": a call for each line, and the first byte of
// what it stored there that is lost, or that survives.
std::string lost_text(const sim::PendingLines& pending, const Lines& lost, const Names& name);
std::string surviving_text(const sim::PendingLines& pending, const Lines& survived,
                           const Names& name);

// "store at list.cpp:41 (offset 64)"
std::string text_of(const Finding::Store& store);
// "a flush and a fence behind store at list.cpp:41"
std::string text_of(const Fix& fix, Domain domain);

}  // namespace cinnabar::explain
