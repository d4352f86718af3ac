// A run over a file that code of others maps. Part of the interposer: whoever calls this has
// libpmem's functions replaced (interpose.cpp).
#include "crash/foreign.hpp"
#include "crash/run.hpp"

namespace cinnabar::crash {

Result<Report> run_file(const std::string& path, const Test& test, const Options& options) {
    if (const auto valid = Run::check(test, options); !valid) return fail(valid.error());
    Run run(test, options);
    if (const auto started = run.start(); !started) return fail(started.error());
    Foreign foreign(path, run);
    struct Watching {
        ~Watching() { Foreign::watch(nullptr); }  // whatever ends the run
    };
    {
        const Watching watching;
        Foreign::watch(&foreign);
        run.run_workload();
    }
    if (!foreign.found())
        run.add(ViolationKind::misuse,
                "the workload called no function of libpmem with an address in '" + path + "'");
    return run.finish();
}

}  // namespace cinnabar::crash
