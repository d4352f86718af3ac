#include "results.hpp"

#include "force/results_file.hpp"
#include "output.hpp"

namespace cinnabar::tool {

CLI::Option* add_results_option(CLI::App& app, std::string& path) {
    return app
        .add_option("--json", path,
                    "Write the results to FILE as JSON; without FILE, or with -, to the standard "
                    "output in place of the table")
        ->expected(0, 1)
        ->default_str("-")
        ->type_name("[FILE]");
}

Result<void> check_results(const std::string& path) {
    if (path == "--")  // with which the words of a workload begin
        return fail(Errc::invalid_argument, "--json: no FILE ('-': standard output)");
    return path.empty() || path == "-" ? Result<void>{} : bench::check_results_file(path);
}

ExitCode write_results(const std::string& text, const std::string& path) {
    if (path.empty()) return ExitCode::ok;
    if (path == "-") {
        put(text);
        return end_with(ExitCode::ok, true);
    }
    if (auto done = bench::write_results_file(path, text); !done)
        return end_with(done.error(), false);
    say("results are in '" + path + "'");
    return ExitCode::ok;
}

}  // namespace cinnabar::tool
