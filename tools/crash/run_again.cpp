#include "run_again.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "explain/earlier.hpp"
#include "explain/explain.hpp"
#include "explain/image_file.hpp"
#include "explain/violation.hpp"
#include "output.hpp"
#include "run_report.hpp"

namespace cinnabar::tool {

namespace {

using crash::Violation;

// A workload that ends may take longer now that nothing is found: then all images are tried.
std::chrono::milliseconds time_max(const FirstRun& first) {
    return 10 * first.time + std::chrono::seconds(10);
}

Error no_such_call(const FirstRun& first) {
    return {
        Errc::not_found,
        std::string("it does not come to that call") +
            (first.input_at ? "" : " (its standard input, which is no file, was empty this time)"),
        {},
        {}};
}

// A run, in a folder of its own: images and pages of it are there while this lives.
class Again {
  public:
    Again(const RunRequest& request, const FirstRun& first) : request_(request), first_(first) {
        std::string folder = request.image_folder + "/" + kAgainFolders + "XXXXXX";
        if (::mkdtemp(folder.data()) == nullptr) {
            failed_ = explain::cannot_be_written(folder);
            return;
        }
        request_.image_folder = folder;
        if (!request.page_folder.empty()) request_.page_folder = folder;
    }
    ~Again() {
        std::error_code ignored;
        if (!failed_) std::filesystem::remove_all(request_.image_folder, ignored);
    }
    Again(const Again&) = delete;
    Again& operator=(const Again&) = delete;

    // Errors: io (the file, the workload, the report), not_found (no report).
    Result<crash::Report> run(Further further) {
        if (failed_) return fail(*failed_);
        if (const auto made = request_.make_notes(); !made) return fail(made.error());
        if (const auto back = first_.before.put_back(); !back) return fail(back.error());
        further.input_at = first_.input_at;
        further.time_max = time_max(first_);
        const auto wrong = run_workload(request_, first_.preload, further);
        if (!wrong) return fail(wrong.error());
        if (!wrong->empty()) return fail(Errc::io, *wrong);
        const std::string path = request_.note("report.json");
        const auto json = text_of_file(path);
        if (const auto failed = error_left(request_.note("failed.txt"))) return fail(*failed);
        if (!json) return fail(no_such_call(first_));
        return report_of(*json, path);
    }
    bool is_fixed() const { return text_of_file(request_.note("fixed.txt")).has_value(); }
    Result<Remaining> remaining() const { return remaining_of(request_.note("again.json")); }
    bool is_shorter() const { return lines_printed(request_) < first_.lines_printed; }

  private:
    RunRequest request_;
    const FirstRun& first_;
    std::optional<Error> failed_;
};

// With what it finds for them, the fixes of those that are taken.
void look_earlier(const RunRequest& request, Again& again, Remaining& remaining,
                  std::vector<Violation>& violations) {
    say("runs the workload again, to look for this at earlier crash points");
    const auto found = again.run({.fix = {}, .earlier = remaining.earlier});
    if (!found) return;
    auto fixes = again.remaining().value_or(Remaining()).fixes;
    explain::take_earlier(violations, found->violations, request.image_folder, request.page_folder,
                          [&](size_t from, size_t to) {
                              remaining.fixes.erase(to);
                              if (fixes.contains(from)) remaining.fixes.insert({to, fixes[from]});
                          });
}

Result<explain::Tried> run_with(const explain::Fix& fix, RunRequest request, const FirstRun& first,
                                const explain::Trail& trail) {
    say("runs the workload again, with " + text_of(fix, Domain::cache_line));
    request.page_folder.clear();
    Again again(request, first);
    const auto found = again.run({.fix = fix, .earlier = {}});
    if (!found) return fail(found.error());
    if (!again.is_fixed()) return fail(no_such_call(first));
    const auto remaining = again.remaining();
    if (!remaining) return fail(remaining.error());
    explain::Tried tried{.left = found->violations,
                         .is_shorter = again.is_shorter(),
                         .all_tried = !found->stopped && found->not_tried_log10 == 0};
    explain::compare(trail, remaining->trail, tried);
    return tried;
}

}  // namespace

std::optional<off_t> place_of_input() {
    const off_t at = ::lseek(STDIN_FILENO, 0, SEEK_CUR);
    return at < 0 ? std::nullopt : std::optional(at);
}

uint64_t lines_printed(const RunRequest& request) {
    const std::string text = text_of_file(request.note("acknowledged")).value_or("");
    return static_cast<uint64_t>(std::ranges::count(text, '\n'));
}

void run_again(const RunRequest& request, const FirstRun& first, crash::Report& report) {
    const std::string path = request.note("again.json");
    if (!report.clean() && !text_of_file(path))
        return say("no fix is tried: the workload did not come to its end");
    auto remaining = remaining_of(path);
    if (!remaining) return say(remaining.error().message + "; no fix is tried");
    if (remaining->earlier) {
        Again again(request, first);
        look_earlier(request, again, *remaining, report.violations);
    }
    explain::try_fixes(
        remaining->fixes, request.fixes, Domain::cache_line,
        [&](const explain::Fix& fix) { return run_with(fix, request, first, remaining->trail); },
        report.violations);
}

}  // namespace cinnabar::tool
