#include "trials/crash_in_recovery.hpp"

#include <algorithm>

namespace cinnabar::trials {

namespace {

// Where each stream of a recovered log begins and ends.
struct Extent {
    std::string stream;
    Lsn low_water;
    Lsn end;
};

std::vector<Extent> extents_of(const Life& life) {
    std::vector<Extent> extents;
    for (const StreamReport& stream : life.report().streams)
        extents.push_back({stream.name, stream.low_water, stream.end});
    return extents;
}

// `ended`: whoever recovered first was told what there is.
std::string compare(const std::vector<Extent>& first, const std::vector<Extent>& now, bool ended) {
    for (size_t i = 0; i < first.size(); ++i) {
        const bool same = ended ? now[i].end == first[i].end : now[i].end >= first[i].end;
        if (!same)
            return first[i].stream + ": the log ends at " + std::to_string(now[i].end.value) +
                   " instead of " + std::to_string(first[i].end.value);
        if (now[i].low_water != first[i].low_water)
            return first[i].stream + ": the low-water mark is " +
                   std::to_string(now[i].low_water.value) + " instead of " +
                   std::to_string(first[i].low_water.value);
    }
    return "";
}

}  // namespace

std::string recover_twice(Life& crashed, sim::Image& image) {
    Life::Options options = crashed.options();
    options.spares = 0;  // each open prepares one anew
    Crashed once(crashed.pool(), image, options);
    if (std::string wrong = once.recover(); !wrong.empty()) return wrong;
    const std::vector<Extent> first = extents_of(once.life);
    const std::vector<std::byte> left(image.bytes().begin(), image.bytes().end());
    once.life.kill();
    std::string wrong = once.recover();
    if (wrong.empty()) wrong = compare(first, extents_of(once.life), true);
    if (!wrong.empty()) return "recovered again: " + wrong;
    return std::ranges::equal(left, image.bytes()) ? "" : "recovering again changed the pool";
}

std::string crash_in_recovery(Trial& trial, Life& crashed, sim::Image& image,
                              const Explorer::Check& check) {
    std::vector<Extent> extents;
    {
        Crashed alone(crashed.pool(), image, crashed.options());
        if (std::string wrong = alone.recover(); !wrong.empty()) return wrong;
        extents = extents_of(alone.life);
        image.undo();
    }
    Crashed first(crashed.pool(), image, crashed.options());
    bool ended = false;
    Explorer again(trial, first.life, [&](sim::Image& both) {
        std::string wrong = check(both);
        if (!wrong.empty()) return wrong;
        both.undo();
        Crashed second(first.pool, both, crashed.options());
        wrong = second.recover();
        return wrong.empty() ? compare(extents, extents_of(second.life), ended) : wrong;
    });
    if (std::string wrong = first.recover(); !wrong.empty()) return wrong;
    ended = true;
    again.look("after recovery");
    return again.failure.empty() ? "" : "in recovery: " + again.failure;
}

}  // namespace cinnabar::trials
