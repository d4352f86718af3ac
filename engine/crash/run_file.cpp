// A run over a file that code of others maps. Part of the interposer: whoever calls this has
// libpmem's functions replaced (interpose.cpp).
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "crash/foreign.hpp"
#include "crash/run.hpp"

namespace cinnabar::crash {

namespace {

// What the file was before the workload, to make it that again.
class Before {
  public:
    explicit Before(const std::string& path) : path_(path) {
        std::ifstream file(path, std::ios::binary);
        if (std::filesystem::is_regular_file(path))
            bytes_.emplace(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }

    void put_back() const {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
        if (!bytes_) return;
        std::ofstream file(path_, std::ios::binary);
        file.write(bytes_->data(), static_cast<std::streamsize>(bytes_->size()));
    }

  private:
    const std::string path_;
    std::optional<std::string> bytes_;  // nothing: there was no file
};

void run_watched(const std::string& path, Foreign& foreign, Run& run) {
    struct Watching {
        ~Watching() { Foreign::watch(nullptr); }  // whatever ends the run
    };
    const Watching watching;
    Foreign::watch(&foreign);
    run.run_workload();
    if (!foreign.found())
        run.add(ViolationKind::misuse,
                "the workload called no function of libpmem with an address in '" + path + "'");
}

}  // namespace

Result<Report> run_file(const std::string& path, const Test& test, const Options& options) {
    if (const auto valid = Run::check(test, options); !valid) return fail(valid.error());
    Run run(test, options);
    if (const auto started = run.start(); !started) return fail(started.error());
    Foreign foreign(path, run);
    if (std::filesystem::is_directory(path)) {
        run_watched(path, foreign, run);
        return run.finish();
    }
    const Before before(path);
    run_watched(path, foreign, run);
    run.try_fixes([&](Run& again) -> Result<Report> {
        before.put_back();
        Foreign another(path, again);
        run_watched(path, another, again);
        return again.finish();
    });
    return run.finish();
}

Result<std::vector<std::byte>> image_of_file(const std::string& path, const Test& test,
                                             std::string_view replay) {
    const Options options;
    if (const auto valid = Run::check(test, options); !valid) return fail(valid.error());
    Run run(test, options);
    if (const auto known = run.look_for(replay); !known) return fail(known.error());
    Foreign foreign(path, run);
    run_watched(path, foreign, run);
    return run.found();
}

}  // namespace cinnabar::crash
