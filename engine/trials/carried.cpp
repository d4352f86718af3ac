#include "trials/carried.hpp"

#include <algorithm>
#include <vector>

namespace cinnabar::trials {

// What was appended, and what was told of it, is the same wherever a copy of it stands.
std::string Carried::compare_with_origin(const Record& record) const {
    const auto& appended = setup_.history["s"].appended;
    auto at = std::ranges::upper_bound(appended, record.origin, {}, &Appended::lsn);
    if (at == appended.begin()) return "was never appended";
    --at;
    if (at->lsn != record.origin && !at->in_flight) return "was never appended";
    if (!std::ranges::equal(record.payload, record_bytes(at->number, at->length)))
        return "is not what was appended";
    return told_of(record) == at->told ? "" : "has another durability, service, kind or previous";
}

// Where each record stands, by origin.
Result<std::string> Carried::read(Life& life, std::map<uint64_t, Lsn>& found) const {
    auto reader = ReaderCore::open(life.engine().stream("s"), std::nullopt, Frontier::durable);
    if (!reader) return fail(reader.error());
    for (;;) {
        auto record = (*reader)->next();
        if (!record) return fail(record.error());
        if (!*record) return "";
        const Record& one = **record;
        const std::string lsn = "LSN " + std::to_string(one.origin.value) + " ";
        if (!found.emplace(one.origin.value, one.lsn).second) return lsn + "is delivered twice";
        if (std::string wrong = compare_with_origin(one); !wrong.empty()) return lsn + wrong;
    }
}

std::string Carried::compare(Life& life) const {
    std::map<uint64_t, Lsn> found;
    const auto wrong = read(life, found);
    if (!wrong) return wrong.error().message;
    if (!wrong->empty()) return *wrong;
    const uint64_t mark = life.engine().stream("s")->low_water();
    if (!state.marks.contains(mark)) return "the low-water mark is " + std::to_string(mark);
    for (const uint64_t origin : state.needed)
        if (!found.contains(origin)) return "LSN " + std::to_string(origin) + " is gone";
    return "";
}

Explorer::Check Carried::check() const {
    return [this](sim::Image& image) {
        Crashed crashed(setup_.pool, image, setup_.options);
        std::string wrong = crashed.recover();
        return wrong.empty() ? compare(crashed.life) : wrong;
    };
}

std::string Carried::deliver() {
    if (std::string wrong = compare(setup_.life); !wrong.empty()) return wrong;
    std::map<uint64_t, Lsn> found;
    CNB_CHECK(read(setup_.life, found).has_value());
    const auto core = setup_.life.engine().stream("s");
    state.marks = {core->low_water()};
    forget_what_is_gone(found, Lsn{core->appended()});
    state.needed.clear();
    for (const auto& [origin, at] : found) state.needed.insert(origin);
    for (auto& [origin, at] : state.undecided) at = found.at(origin);
    setup_.life.note_durable(setup_.history, "s");
    return "";
}

void Carried::forget_what_is_gone(const std::map<uint64_t, Lsn>& found, Lsn end) {
    auto& appended = setup_.history["s"].appended;
    if (!appended.empty() && appended.back().in_flight) {
        const auto at = found.lower_bound(appended.back().lsn.value);
        if (at != found.end()) appended.back().lsn = Lsn{at->first};
        appended.back().in_flight = false;
    }
    std::erase_if(appended, [&](const Appended& one) {
        return one.lsn >= end || !found.contains(one.lsn.value);
    });
}

Result<Lsn> Carried::append(size_t length, const AppendOptions& options) {
    auto lsn = setup_.life.append(setup_.history, "s", length, options);
    note_durable();
    return lsn;
}

void Carried::note_durable() {
    const uint64_t durable = setup_.life.engine().stream("s")->durable();
    for (const Appended& one : setup_.history["s"].appended)
        if (!one.in_flight && one.lsn.value >= *state.marks.begin() && one.lsn.value < durable)
            state.needed.insert(one.lsn.value);
}

Result<void> Carried::carry_oldest() {
    auto core = setup_.life.engine().stream("s");
    std::vector<Lsn> oldest;
    for (const auto& [origin, at] : state.undecided)
        if (at.value < core->oldest_end()) oldest.push_back(at);
    auto copies = core->copies().carry_forward(core, oldest);
    if (!copies) return fail(copies.error());
    for (size_t copy = 0; copy < oldest.size(); ++copy)
        for (auto& [origin, at] : state.undecided)
            if (at == oldest[copy]) at = (*copies)[copy];
    return {};
}

Result<void> Carried::release_oldest(ServiceId keeper) {
    const uint64_t to = setup_.life.engine().stream("s")->oldest_end();
    std::erase_if(state.needed, [&](uint64_t origin) {
        return origin < to && !state.undecided.contains(origin);
    });
    state.marks.insert(to);
    auto released = setup_.life.release(setup_.history, keeper, Lsn{to});
    if (released) state.marks = {to};
    return released;
}

}  // namespace cinnabar::trials
