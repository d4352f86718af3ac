// A run over a file that code of others maps. Part of the interposer: whoever calls this has
// libpmem's functions, msync and mmap replaced (interpose.cpp).
#include <memory>
#include <optional>

#include "crash/file_before.hpp"
#include "crash/foreign.hpp"
#include "crash/run.hpp"

namespace cinnabar::crash {

namespace {

void run_workload(Foreign& foreign, Run& run) {
    struct Watching {
        ~Watching() { Foreign::watch(nullptr); }  // whatever ends the run
    };
    const Watching watching;
    Foreign::watch(&foreign);
    run.run_workload();
}

// A recovery may be one that calls nothing of libpmem.
std::shared_ptr<void> watch_recovery(const std::string& path, Run& run) {
    auto foreign = std::make_shared<Foreign>(path, run);
    run_workload(*foreign, run);
    if (foreign->failed()) run.add(ViolationKind::misuse, foreign->failed()->message);
    return foreign;
}

Result<void> run_watched(const std::string& path, Foreign& foreign, Run& run) {
    run_workload(foreign, run);
    foreign.end();
    if (foreign.failed()) return fail(*foreign.failed());
    if (!foreign.found() && !foreign.has_given_up())
        run.add(ViolationKind::misuse,
                "the workload called no function of libpmem, nor msync, with an address in '" +
                    path + "'");
    return {};
}

}  // namespace

Result<Report> run_file(const std::string& path, const Test& test, const Options& options) {
    if (path.empty())
        return fail(Errc::invalid_argument, "run_file needs the path of the file that is mapped");
    if (const auto valid = Run::check(test, options); !valid) return fail(valid.error());
    Run::remove_left(options);
    Run run(test, options, {.watch = watch_recovery, .elsewhere = {}});
    if (const auto started = run.start(); !started) return fail(started.error());
    Foreign foreign(path, run);
    std::optional<FileBefore> before;
    if (options.fixes_max > 0) before.emplace(path);
    if (const auto watched = run_watched(path, foreign, run); !watched)
        return fail(watched.error());
    const auto repeat = [&](Run& again) -> Result<Report> {
        if (const auto back = before->put_back(); !back) return fail(back.error());
        Foreign another(path, again);
        if (const auto watched = run_watched(path, another, again); !watched)
            return fail(watched.error());
        return again.finish();
    };
    run.look_earlier(repeat);
    run.try_fixes(repeat);
    return run.finish();
}

Result<std::vector<std::byte>> image_of_file(const std::string& path, const Test& test,
                                             std::string_view replay) {
    const Options options;
    if (const auto valid = Run::check(test, options); !valid) return fail(valid.error());
    Run run(test, options, {.watch = watch_recovery, .elsewhere = {}});
    if (const auto known = run.look_for(replay); !known) return fail(known.error());
    Foreign foreign(path, run);
    if (const auto watched = run_watched(path, foreign, run); !watched)
        return fail(watched.error());
    return run.found();
}

}  // namespace cinnabar::crash
