// One run of a test: what happens at each crash point, and the report that comes of it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cinnabar/crash.hpp"
#include "crash/recorder.hpp"
#include "crash/workers.hpp"
#include "sim/explore.hpp"
#include "sim/image.hpp"

namespace cinnabar::crash {

// Names one image of a run.
struct Replay {
    uint64_t seed = 1;
    uint64_t crash_point = 0;
    uint64_t image = 0;
    uint32_t sum = 0;  // of the image

    std::string text() const;
    static std::optional<Replay> parse(std::string_view text);
};

class Run {
  public:
    // Both outlive it.
    Run(const Test& test, const Options& options)
        : test_(test), options_(options), draw_(options.seed) {}

    // Errors: invalid_argument.
    static Result<void> check(const Test& test, const Options& options);
    // Processes for recoveries; before the workload has done anything. Errors: io.
    Result<void> start() { return workers_.start(); }
    // Instead of recovering images, keeps this one and looks at no other.
    void look_for(const Replay& replay, std::vector<std::byte>& found);

    // The workload's region, from now on: each of its fences is a crash point. Errors: io.
    Result<void> watch(Recorder& recorder);
    void run_workload();
    // Acknowledgements beside the history's: how many there are, asked at each crash point.
    void count_acknowledged(std::function<uint64_t()> said) { said_ = std::move(said); }
    // The workload has ended: what it has stored since, and the last crash point.
    void at_end();
    // A crash may happen here: "fence at file:line".
    void crash_point(const std::string& where);
    void add(ViolationKind kind, std::string what);
    Report finish();

    // Lends the region's and the history's private parts to a run.
    static Result<Report> on(Region& region, const Test& test, const Options& options);
    static Result<std::vector<std::byte>> find(Region& region, const Test& test,
                                               const Options& options, const Replay& replay);

  private:
    static void lend(Region& region, Run& run, Recorder& recorder);
    void explore(const std::string& where);
    bool visit(const std::string& where);
    void try_image(const std::string& where);
    bool capture();
    bool is_done() const { return report_.stopped || captured_; }
    const std::string& verdict_on(const std::string& digest, ViolationKind& kind);
    void add_image(ViolationKind kind, const std::string& what, const std::string& where);
    std::string lost() const;
    void keep_image() const;

    const Test& test_;
    const Options& options_;
    Workers workers_{test_, options_};
    Recorder* recorder_ = nullptr;
    std::optional<sim::Image> image_;
    History history_;
    Report report_;
    sim::Explored explored_;
    // Of the crash point that is explored.
    uint64_t number_ = 0;
    uint64_t images_ = 0;  // shown by the explorer
    uint64_t tried_ = 0;   // of these
    double share_ = 1;     // of those that are shown, to try
    std::mt19937_64 draw_;
    std::map<std::string, std::pair<ViolationKind, std::string>> verdicts_;  // by digest
    // Of the last one.
    std::optional<uint64_t> stores_then_;
    bool acknowledged_since_ = false;
    std::function<uint64_t()> said_;
    uint64_t said_then_ = 0;
    uint64_t bad_images_ = 0;

    std::optional<Replay> wanted_;
    std::vector<std::byte>* captured_to_ = nullptr;
    std::vector<std::byte> captured_memory_;
    bool captured_ = false;
};

}  // namespace cinnabar::crash
