#include "run_again.hpp"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "explain/earlier.hpp"
#include "explain/explain.hpp"
#include "explain/image_file.hpp"
#include "explain/page.hpp"
#include "explain/violation.hpp"
#include "output.hpp"
#include "run_report.hpp"

namespace cinnabar::tool {

namespace {

using crash::Violation;

// A run, in a folder of its own: images and pages of it are there while this lives.
class Again {
  public:
    Again(const RunRequest& request, const std::string& preload, const crash::FileBefore& before)
        : request_(request), preload_(preload), before_(before) {
        std::string folder = request.in_folder("again.XXXXXX");
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

    // Errors: io (the file, the workload), not_found (no report).
    Result<crash::Report> run(const Further& further) {
        if (failed_) return fail(*failed_);
        if (const auto back = before_.put_back(); !back) return fail(back.error());
        const auto wrong = run_workload(request_, preload_, further);
        if (!wrong) return fail(wrong.error());
        if (!wrong->empty()) return fail(Errc::io, *wrong);
        const auto json = text_of_file(request_.in_folder("report.json"));
        if (!json) return fail(Errc::not_found, "it does not come to that call");
        return report_of(*json);
    }
    bool has(const char* name) const { return text_of_file(request_.in_folder(name)).has_value(); }
    Remaining remaining() const { return remaining_of(request_.in_folder("again.json")); }

  private:
    RunRequest request_;
    const std::string& preload_;
    const crash::FileBefore& before_;
    std::optional<Error> failed_;
};

// With what it finds for them, the fixes of those that are taken.
void look_earlier(const RunRequest& request, Again& again, Remaining& remaining,
                  std::vector<Violation>& violations) {
    say("runs the workload again, to look for this at earlier crash points");
    const auto found = again.run({.fix = {}, .earlier = remaining.earlier});
    if (!found) return;
    auto fixes = again.remaining().fixes;
    explain::take_earlier(violations, found->violations, request.image_folder, request.page_folder,
                          [&](size_t from, size_t to) {
                              remaining.fixes.erase(to);
                              if (fixes.contains(from)) remaining.fixes.insert({to, fixes[from]});
                          });
}

Result<std::vector<Violation>> run_with(const explain::Fix& fix, RunRequest request,
                                        const std::string& preload,
                                        const crash::FileBefore& before) {
    say("runs the workload again, with " + text_of(fix, Domain::cache_line));
    request.page_folder.clear();
    Again again(request, preload, before);
    const auto found = again.run({.fix = fix, .earlier = {}});
    if (!found) return fail(found.error());
    if (!again.has("fixed.txt")) return fail(Errc::not_found, "it does not come to that call");
    return found->violations;
}

}  // namespace

void run_again(const RunRequest& request, const std::string& preload,
               const crash::FileBefore& before, crash::Report& report) {
    Remaining remaining = remaining_of(request.in_folder("again.json"));
    if (remaining.earlier) {
        Again again(request, preload, before);
        look_earlier(request, again, remaining, report.violations);
    }
    explain::try_fixes(
        remaining.fixes, request.fixes, Domain::cache_line,
        [&](const explain::Fix& fix) { return run_with(fix, request, preload, before); },
        report.violations);
    for (Violation& violation : report.violations) {
        if (violation.page_file.empty() || violation.fix.empty()) continue;
        const std::string page = std::exchange(violation.page_file, "");
        explain::note_file(explain::add_fix(page, violation.fix), page, &Violation::page_file,
                           violation);
    }
}

}  // namespace cinnabar::tool
