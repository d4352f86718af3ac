#include "explain/explain.hpp"

#include <algorithm>
#include <chrono>

#include "explain/page.hpp"
#include "explain/reduce.hpp"
#include "explain/violation.hpp"

namespace cinnabar::explain {

namespace {

tl::unexpected<Error> invalid(const std::string& sentence) {
    return fail(Errc::invalid_argument, sentence);
}

// One call stored both: no order of calls helps. What was only noticed before a call is one for
// each line.
bool is_one_call(const Finding::Store& lost, const Finding::Store& survived) {
    if (lost.where != survived.where) return false;
    return lost.where.starts_with("before ") ? lost.line == survived.line
                                             : lost.call == survived.call;
}

// Noticed before one call, each in a line of its own: an order of lines.
std::string order_of_lines(const Finding::Store& lost, const Finding::Store& survived) {
    return "of what is stored " + lost.where + ", offset " + std::to_string(lost.offset) +
           " must be durable before offset " + std::to_string(survived.offset);
}

// Says the order, and in `finding` what may bring it about.
std::string order_of(const Failure& failure, Finding& finding) {
    const auto& lost = finding.lost_store;
    const auto& survived = finding.surviving_store;
    if (!lost && !survived)
        return "none helps: " +
               (failure.why_none_helps
                    ? failure.why_none_helps()
                    : "what was durable by then fails, whatever survives beside it");
    if (!lost)
        return text_of(*survived) + " comes too early: nothing of what was stored by then is lost";
    if (survived && is_one_call(*lost, *survived))
        return text_of(*lost) + " is torn: a part of it survives without another" +
               (lost->where.starts_with("before ") ? " (in which order it was stored is not seen)"
                                                   : "");
    finding.fix = Fix{lost->where};
    if (survived && survived->where == lost->where && lost->where.starts_with("before ")) {
        for (const auto& [line, value] : finding.survived) finding.fix->lines_after.insert(line);
        return order_of_lines(*lost, *survived);
    }
    const std::string before = text_of(*lost) + " must be durable before ";
    if (!survived) return before + failure.until(*lost);
    // When a store was made that was only noticed later nobody knows.
    const bool known = !lost->where.starts_with("before ");
    return before + text_of(*survived) +
           (known && survived->sequence < lost->sequence ? ", which is called first" : "");
}

// The smallest images in both directions.
void reduce(const Failure& failure, Finding& finding) {
    Lines failing, old;
    for (const auto& [line, stores] : failure.pending) {
        failing[line] = failure.image.line(line);
        old[line] = stores.durable;
    }
    const auto fewest = [&](bool all_survives, const Lines& from, std::function<bool()> fails) {
        return Reducer(failure.pending, failure.image, std::move(fails), failure.tries_max)
            .fewest(all_survives, from);
    };
    const auto fails = [&] { return !failure.has_enough() && !failure.wrong().empty(); };
    finding.lost = fewest(true, failing, fails);
    const std::string of_lost = failure.tries_max > 0 ? failure.wrong() : "";
    finding.survived = fewest(false, failing, fails);
    if (failure.tries_max == 0 || finding.lost.empty() || !finding.survived.empty()) return;
    // Nothing has to survive: what has to be lost is asked of this very failure, and of no other.
    const std::string what = failure.wrong();
    if (of_lost == what) return;
    const Lines lost =
        fewest(true, old, [&] { return !failure.has_enough() && failure.wrong() == what; });
    const auto first_line = [&](const Lines& lines) {
        const auto first = first_lost(failure.pending, lines, failure.name);
        return first ? first->line : UINT64_MAX;
    };
    if (first_line(lost) != first_line(finding.lost)) finding.lost = lost;
}

// An image that failed and does not any more: no line is to blame.
void call_not_deterministic(crash::Violation& violation, Finding& finding) {
    violation.kind = crash::ViolationKind::not_deterministic;
    violation.what = "first '" + violation.what + "', and not so again with the same image";
    violation.survived = violation.order = "";
    finding.lost_store = finding.surviving_store = std::nullopt;
    finding.fix = std::nullopt;
}

}  // namespace

Finding explain(const Failure& failure, crash::Violation& violation) {
    Finding finding;
    reduce(failure, finding);
    violation.lost = lost_text(failure.pending, finding.lost, failure.name);
    violation.survived = surviving_text(failure.pending, finding.survived, failure.name);
    if (failure.tries_max > 0) {
        finding.lost_store = first_lost(failure.pending, finding.lost, failure.name);
        finding.surviving_store = last_surviving(failure.pending, finding.survived, failure.name);
        violation.order = order_of(failure, finding);
    }
    Replay replay;
    replay.all_survives = finding.lost.size() <= finding.survived.size();
    const Lines& lines = replay.all_survives ? finding.lost : finding.survived;
    if (finding.fix)
        for (const auto& [line, value] : lines) finding.fix->own_lines.insert(line);
    Reducer(failure.pending, failure.image, {}, 0).put(replay.all_survives, lines);
    if (failure.tries_max > 0) {
        const std::string what = failure.wrong();
        if (what.empty())
            call_not_deterministic(violation, finding);
        else
            violation.what = what;
    }
    replay.build = build_of_program();
    replay.workload = failure.workload;
    replay.crash_point = violation.crash_point;
    replay.set_lines(failure.pending, lines);
    replay.sum = sum_of(failure.image.image());
    violation.replay = replay.text();
    return finding;
}

namespace {

// Of each line that is not to blame anyway: inverted, does recovery come to something else?
void ask_of_lines(const std::vector<uint64_t>& lines, const Failure& failure, Finding& finding) {
    using Clock = std::chrono::steady_clock;
    const auto until = Clock::now() + failure.page_time_max;
    const std::string outcome = failure.outcome();
    for (const uint64_t line : lines) {
        if (finding.lost.contains(line) || finding.survived.contains(line)) {
            finding.depends[line] = true;  // or it would not be to blame
            continue;
        }
        if (Clock::now() > until) return;
        const sim::Line value = failure.image.line(line);
        sim::Line inverted = value;
        for (uint64_t& word : inverted) word = ~word;
        failure.image.put(line, inverted);
        finding.depends[line] = failure.outcome() != outcome;
        failure.image.put(line, value);
    }
}

}  // namespace

void keep_for_page(Finding& finding, const Failure& failure, const sim::Trace& trace,
                   crash::Violation& violation) {
    constexpr size_t lines_max = 40;
    finding.events = trace.events.size();
    const auto keep = [&](uint64_t line) {
        if (finding.pending.size() >= lines_max) return;
        finding.pending.insert({line, failure.pending.at(line)});
        finding.image.insert({line, failure.image.line(line)});
    };
    for (const auto& [line, value] : finding.lost) keep(line);
    for (const auto& [line, value] : finding.survived) keep(line);
    for (const auto& [line, stores] : failure.pending) keep(line);
    const std::vector<uint64_t> lanes = lanes_of(finding, trace);
    if (failure.tries_max == 0) {
        finding.not_asked =
            "on which lines the outcome depends: a recovery that does not end, or is not "
            "deterministic, is not asked";
        return;
    }
    ask_of_lines(lanes, failure, finding);
    if (finding.depends.size() == lanes.size()) return;
    finding.not_asked = "of " + std::to_string(lanes.size() - finding.depends.size()) + " of " +
                        count_text(lanes.size(), "line") +
                        " whether the outcome depends on them: recovery, which is asked of each, "
                        "took longer than " +
                        std::to_string(failure.page_time_max.count()) + " ms";
    note("left open on the page: " + finding.not_asked, violation);
}

void compare(const Trail& first, const Trail& again, Tried& tried) {
    const auto common = [](const std::vector<uint32_t>& one, const std::vector<uint32_t>& other) {
        return static_cast<uint64_t>(std::ranges::mismatch(one, other).in1 - one.begin());
    };
    tried.same_lines = common(first.lines, again.lines);
    tried.same_values = common(first.values, again.values);
}

namespace {

// A store that is seen at the next call, behind what was printed, is forced too late there.
std::string behind_the_line(const crash::Violation& violation) {
    const size_t end = violation.order.find(" is printed, and so acknowledged");
    const size_t begin = violation.order.find(" must be durable before ");
    if (begin > end || end == violation.order.npos) return "";
    return ", since that is behind the line: it has to be forced before it is printed";
}

}  // namespace

std::string outcome_of(const Fix& fix, Domain domain, const crash::Violation& violation,
                       const Tried& tried, std::span<const crash::Violation> known) {
    std::string with = "with " + text_of(fix, domain);
    const std::vector<crash::Violation>& left = tried.left;
    const auto is_same = [&](const crash::Violation& one) { return is_same_cause(one, violation); };
    if (const auto same = std::ranges::find_if(left, is_same); same != left.end())
        return with + " it is found all the same" + behind_the_line(violation) +
               (same->order == violation.order ? "" : ": " + same->order);
    if (tried.is_shorter || tried.same_lines < violation.crash_point)
        return with + " the workload went elsewhere when it was run again";
    const bool same_values = tried.same_values >= violation.crash_point;
    with += same_values ? "" : ", and other values stored this time,";
    if (left.empty())
        return with + " nothing is found" + (tried.all_tried ? "" : ", of what was tried");
    const auto is_new = [&](const crash::Violation& one) {
        return std::ranges::none_of(known,
                                    [&](const auto& other) { return is_same_cause(one, other); });
    };
    const auto other = std::ranges::find_if(left, is_new);
    with += tried.all_tried ? " this is gone" : " this is not found, of what was tried";
    if (other == left.end()) return with + ", and what is left was found without it too";
    return with + (tried.all_tried ? ", and another is found: " : ", and another is: ") +
           (other->order.empty() ? other->what : other->order);
}

void try_fixes(const std::map<size_t, Fix>& fixes, uint64_t fixes_max, Domain domain,
               const RunAgain& run_again, std::vector<crash::Violation>& violations) {
    using Key = std::pair<std::string, std::set<uint64_t>>;
    std::map<Key, std::set<uint64_t>> own_lines;
    for (const auto& [number, fix] : fixes)
        own_lines[{fix.where, fix.lines_after}].insert(fix.own_lines.begin(), fix.own_lines.end());
    std::map<Key, Result<Tried>> tried;
    for (const auto& [number, fix] : fixes) {
        const Key key(fix.where, fix.lines_after);
        auto known = tried.find(key);
        if (known == tried.end() && tried.size() < fixes_max)
            known =
                tried.emplace(key, run_again({fix.where, fix.lines_after, own_lines[key]})).first;
        if (known == tried.end()) continue;
        const Result<Tried>& run = known->second;
        violations[number].fix =
            run ? outcome_of(fix, domain, violations[number], *run, violations)
                : "with " + text_of(fix, domain) +
                      " the workload does not run again: " + run.error().message;
    }
}

Result<Replay> read_replay(std::string_view line) {
    if (auto replay = Replay::parse(line)) return *std::move(replay);
    return invalid("'" + std::string(line) +
                   "' is no replay line; that of a violation looks like '" + Replay{}.text() + "'");
}

Result<Replay> parse_replay(std::string_view line) {
    auto replay = read_replay(line);
    if (replay && replay->build != build_of_program())
        return invalid("the replay line '" + replay->text() +
                       "' is of another build of the program than this one");
    return replay;
}

Result<void> put_replayed(const Replay& replay, uint32_t workload, std::span<const std::byte> live,
                          const sim::PendingLines& pending, sim::Image& image) {
    const auto lines = replay.lines_of(pending);
    if (replay.workload != workload || !lines)
        return invalid("the replay line '" + replay.text() +
                       "' is of another run: this workload began over other bytes (make them "
                       "again what they were before that run), or up to that crash point it has "
                       "stored elsewhere, or from elsewhere");
    image.begin(live, pending);
    Reducer(pending, image, {}, 0).put(replay.all_survives, *lines);
    if (sum_of(image.image()) != replay.sum)
        return invalid("the workload comes to another image than the replay line '" +
                       replay.text() +
                       "': it stores other values now, such as times or random numbers");
    return {};
}

}  // namespace cinnabar::explain
