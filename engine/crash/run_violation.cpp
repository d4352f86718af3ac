// What a run does with an image that fails: finds the smallest one that fails as well, says which
// calls are to blame, and tries what would mend it.
#include <algorithm>
#include <cstdio>

#include "crash/image_file.hpp"
#include "crash/page.hpp"
#include "crash/run.hpp"

namespace cinnabar::crash {

namespace {

bool is_reducible(ViolationKind kind) {
    return kind != ViolationKind::hung && kind != ViolationKind::not_deterministic;
}

// The calls are one: no order of calls helps.
bool is_one_call(const Finding::Store& lost, const Finding::Store& survived) {
    return lost.where == survived.where &&
           (lost.line == survived.line || !lost.where.starts_with("before "));
}

}  // namespace

void Run::add(ViolationKind kind, std::string what) {
    Violation violation;
    violation.kind = kind;
    violation.what = std::move(what);
    report_.violations.push_back(std::move(violation));
}

void Run::add_image(const Verdict& verdict, const std::string& where) {
    ++bad_images_;
    const auto [known, is_new] =
        known_.try_emplace({verdict.kind, verdict.what}, report_.violations.size());
    if (!is_new) {
        ++report_.violations[known->second].images;
        return;
    }
    Violation violation;
    violation.kind = verdict.kind;
    violation.what = verdict.what;
    violation.crash_point = number_;
    violation.where = where;
    const Lines shown = standing();
    Finding finding;
    reduce(violation, finding);
    const auto same = std::ranges::find_if(report_.violations, [&](const Violation& other) {
        return other.replay == violation.replay ||
               (!other.order.empty() && other.order == violation.order &&
                other.kind == violation.kind);
    });
    if (same != report_.violations.end()) {
        ++same->images;
        known->second = static_cast<size_t>(same - report_.violations.begin());
    } else {
        report_.violations.push_back(std::move(violation));
        findings_[report_.violations.size() - 1] = std::move(finding);
        keep_image();
    }
    for (const auto& [line, value] : shown) image_->put(line, value);
}

// Of all pending lines what the image holds.
Lines Run::standing() const {
    Lines lines;
    for (const auto& [line, pending] : recorder_->medium().pending())
        lines[line] = image_->line(line);
    return lines;
}

void Run::reduce(Violation& violation, Finding& finding) {
    const ViolationKind kind = violation.kind;
    const bool check = kind == ViolationKind::not_idempotent;
    const uint64_t tries = is_reducible(kind) ? options_.reduction_images_max : 0;
    const auto fails = [&] {
        const Verdict verdict = judge(check);
        return verdict.kind == kind && !verdict.what.empty();
    };
    const Lines failing = standing();
    const sim::PendingLines& pending = recorder_->medium().pending();
    Reducer to_all(pending, *image_, fails, tries), to_nothing(pending, *image_, fails, tries);
    finding.lost = to_all.fewest(true, failing);
    finding.survived = to_nothing.fewest(false, failing);
    if (tries > 0) explain(violation, finding, to_nothing);

    Replay replay;
    replay.all_survives = finding.lost.size() <= finding.survived.size();
    const Lines& lines = replay.all_survives ? finding.lost : finding.survived;
    to_all.put(replay.all_survives, lines);
    if (tries > 0) violation.what = judge(check).what;
    violation.lost = lost_text(*recorder_, finding.lost);
    if (tries > 0) violation.survived = surviving_text(*recorder_, finding.survived);
    replay.build = build_of_program();
    replay.workload = recorder_->shape();
    replay.crash_point = number_;
    replay.set_lines(pending, lines);
    replay.sum = sum_of(image_->image());
    violation.replay = replay.text();
    keep_for_page(finding);
}

void Run::explain(Violation& violation, Finding& finding, Reducer& reducer) {
    const auto lost = finding.lost_store = first_lost(*recorder_, finding.lost);
    const auto survived = finding.surviving_store = last_surviving(*recorder_, finding.survived);
    if (!lost && !survived) {
        violation.order = "none helps: what was durable by then fails, whatever survives beside it";
    } else if (!lost) {
        too_early_ = survived;
        violation.order = text_of(*survived) + " comes too early: nothing of what was stored by " +
                          "then is lost";
    } else if (survived && is_one_call(*lost, *survived)) {
        violation.order = text_of(*lost) + " is torn: a part of it survives without another";
    } else if (survived && survived->where == lost->where) {
        finding.fix = Fix{lost->where, {}};
        for (const auto& [line, value] : finding.survived) finding.fix->lines_after.insert(line);
        violation.order = "of what is stored " + lost->where + ", offset " +
                          std::to_string(lost->line * sim::kLineBytes) +
                          " must be durable before offset " +
                          std::to_string(survived->line * sim::kLineBytes);
    } else {
        finding.fix = Fix{lost->where, {}};
        violation.order = text_of(*lost) + " must be durable before ";
        if (survived)
            violation.order +=
                text_of(*survived) +
                (survived->sequence < lost->sequence ? ", which is called first" : "");
        else if (const auto promise = broken_promise(reducer))
            violation.order += "operation " + std::to_string(*promise) + " is acknowledged";
        else if (const auto durable = survivor_of(*lost))
            violation.order += text_of(*durable);
        else if (too_early_ && too_early_->where != lost->where)
            violation.order += text_of(*too_early_) + ", which is called first";
        else
            violation.order += "what was durable or acknowledged by then";
    }
}

// What survived without this store at an earlier crash point; it has become durable since.
std::optional<Finding::Store> Run::survivor_of(const Finding::Store& lost) const {
    for (const auto& [number, earlier] : findings_)
        if (earlier.lost_store && earlier.surviving_store &&
            earlier.lost_store->sequence == lost.sequence)
            return earlier.surviving_store;
    return std::nullopt;
}

// The operation without whose acknowledgement the image in which nothing survives were right.
std::optional<size_t> Run::broken_promise(Reducer& reducer) {
    reducer.put(false, {});
    const Verdict verdict = judge(false);
    if (verdict.kind != ViolationKind::wrong) return std::nullopt;
    History history = history_;
    for (size_t i = history.operations_.size(); i-- > 0;) {
        if (!history.operations_[i].acknowledged) continue;
        history.operations_[i].acknowledged = false;
        if (judge_digest(verdict.digest, history).what.empty()) return i;
    }
    return std::nullopt;
}

void Run::keep_for_page(Finding& finding) const {
    constexpr size_t lines_max = 40;
    if (!trace_) return;
    finding.events = trace_->events.size();
    const sim::PendingLines& pending = recorder_->medium().pending();
    const auto keep = [&](uint64_t line) {
        if (finding.pending.size() >= lines_max) return;
        finding.pending.insert({line, pending.at(line)});
        finding.image.insert({line, image_->line(line)});
    };
    for (const auto& [line, value] : finding.lost) keep(line);
    for (const auto& [line, value] : finding.survived) keep(line);
    for (const auto& [line, stores] : pending) keep(line);
}

void Run::keep_image() const {
    if (options_.image_folder.empty()) return;
    (void)write_image(options_.image_folder + "/violation-" +
                          std::to_string(report_.violations.size()) + ".image",
                      image_->image());
}

void Run::try_fixes(const Repeat& repeat) {
    std::map<std::pair<std::string, std::set<uint64_t>>, Result<Report>> tried;
    for (auto& [number, finding] : findings_) {
        if (!finding.fix) continue;
        const std::pair key(finding.fix->where, finding.fix->lines_after);
        auto known = tried.find(key);
        if (known == tried.end() && tried.size() < options_.fixes_max) {
            Options options = options_;
            options.fixes_max = 0;
            options.image_folder = options.page_folder = "";
            Run again(test_, options, workers_);
            again.inserted_ = finding.fix;
            known = tried.emplace(key, repeat(again)).first;
        }
        if (known != tried.end())
            say_what_is_left(report_.violations[number], *finding.fix, known->second);
    }
}

void Run::say_what_is_left(Violation& violation, const Fix& fix,
                           const Result<Report>& report) const {
    violation.fix = "with " + text_of(fix, domain_);
    if (!report) {
        violation.fix += " the workload does not run again: " + report.error().message;
        return;
    }
    const std::vector<Violation>& left = report->violations;
    if (left.empty())
        violation.fix += " nothing is found";
    else if (std::ranges::count(left, violation.order, &Violation::order) > 0)
        violation.fix += " it is found all the same";
    else
        violation.fix += " this is gone, and another is found: " +
                         (left[0].order.empty() ? left[0].what : left[0].order);
}

void Run::write_pages() const {
    if (options_.page_folder.empty() || !trace_) return;
    for (const auto& [number, finding] : findings_) {
        const std::string path =
            options_.page_folder + "/violation-" + std::to_string(number + 1) + ".html";
        std::FILE* file = std::fopen(path.c_str(), "we");
        if (file == nullptr) continue;
        const std::string page = page_of(report_.violations[number], finding, *trace_);
        std::fwrite(page.data(), 1, page.size(), file);
        std::fclose(file);
    }
}

}  // namespace cinnabar::crash
