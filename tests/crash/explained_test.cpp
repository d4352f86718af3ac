// What is said of a run that went wrong: whose image it was, what of it is to blame, what mends it;
// and that the image can be had again.
#include "trials/explained.hpp"
#include "trials/replayed.hpp"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "base/check.hpp"
#include "crash/harness.hpp"
#include "trials/one_stream.hpp"

namespace cinnabar::crash_test {

namespace {

// A life with one lazy record, and what is said of its images.
template <class Check>
std::string look_behind_a_lazy_record(Trial& trial, Check check, bool crash_again = false) {
    OneStream setup(trial.life, {.age = Age::zero, .seed = trial.seed});
    if (!setup.life.open()) return "open";
    setup.append(100, Durability::lazy);
    Explorer explorer(trial, setup.life, [&](sim::Image& image) -> std::string {
        Crashed crashed(setup.pool, image, trial.life);
        if (!crashed.life.open()) return "open";
        const std::string wrong = check(crashed.life.read("s")->size());
        if (!wrong.empty() || !crash_again) return wrong;
        Explorer again(trial, crashed.life, [](sim::Image&) { return "another thing"; });
        again.look("second crash");
        return again.failure;
    });
    explorer.look("behind the record");
    return explorer.failure;
}

std::string gone(Trial& trial) {
    return look_behind_a_lazy_record(trial,
                                     [](size_t records) { return records == 1 ? "" : "gone"; });
}
// Where the record is there a second crash fails: that is another violation.
std::string gone_or_crashed_again(Trial& trial) {
    return look_behind_a_lazy_record(
        trial, [](size_t records) { return records == 1 ? "" : "gone"; }, true);
}
std::string dies(Trial& trial) {
    return look_behind_a_lazy_record(trial, [](size_t records) {
        CNB_CHECK(records == 1);
        return "";
    });
}
std::string throws(Trial& trial) {
    return look_behind_a_lazy_record(trial, [](size_t records) {
        if (records == 0) throw std::runtime_error("gone");
        return "";
    });
}
std::string hangs(Trial& trial) {
    return look_behind_a_lazy_record(trial, [](size_t records) {
        if (records == 0) pause();
        return "";
    });
}
// All that a crash leaves is right.
std::string wrong_without_an_image(Trial& trial) {
    (void)look_behind_a_lazy_record(trial, [](size_t) { return ""; });
    return "the end";
}
// An image failed, and nobody heeded it.
std::string wrong_for_another_reason(Trial& trial) {
    (void)gone(trial);
    return "the end";
}

Outcome outcome_of(const ScenarioRun& run, unsigned seconds_max) {
    return run_forked(1, {.clock_seconds_max = seconds_max},
                      [&](size_t, Outcome& outcome) { run_broken(run, outcome); })[0];
}

std::string path_of(const std::string& name) {
    return testing::TempDir() + "explained." + std::to_string(getpid()) + name;
}

std::string text_of_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct Said {
    Outcome outcome;
    std::string text, json, page, image;
    std::string line;  // of the replay
};

Said said_of(const ScenarioRun& run, unsigned seconds_max = 30) {
    Said said;
    said.outcome = outcome_of(run, seconds_max);
    const Unexplained one{.run = run,
                          .outcome = said.outcome,
                          .command = [](const std::string& line) { return "(" + line + ")"; },
                          .page_file = path_of(".html"),
                          .image_file = path_of(".image")};
    const auto explained = explain_all({&one, 1});
    said.text = explained.at(0).text;
    said.json = explained.at(0).json;
    said.page = text_of_file(one.page_file);
    said.image = text_of_file(one.image_file);
    ::unlink(one.page_file.c_str());
    ::unlink(one.image_file.c_str());
    const size_t begin = said.text.find("replay: (");
    if (begin != std::string::npos)
        said.line = said.text.substr(begin + 9, said.text.find(')', begin) - begin - 9);
    return said;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

ScenarioRun run_of(const Scenario& scenario) {
    return {.scenario = &scenario};
}

ScenarioRun run_of(const char* scenario, const char* broken) {
    ScenarioRun run{.scenario = find_scenario(scenario)};
    for (const Broken& one : all_broken())
        if (one.name == broken) run.broken = one;
    CNB_CHECK(run.broken.name == broken);
    return run;
}

void expect_again(const ScenarioRun& run, const Said& said) {
    const auto image = image_of({&run, 1}, said.line);
    ASSERT_TRUE(image.has_value()) << image.error().message;
    ASSERT_FALSE(image->empty());
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(said.image)), *image));
}

TEST(Explained, AnImageThatFails) {
    const Scenario scenario{"gone", "", gone};
    const Said said = said_of(run_of(scenario));
    EXPECT_EQ(std::string(said.outcome.wrong), "behind the record: gone");
    EXPECT_TRUE(has(said.text, "  crash at: behind the record, 1 image\n")) << said.text;
    // One line of the three suffices.
    EXPECT_TRUE(has(said.text, "  lost: offset 29376, lazy_frame_store\n")) << said.text;
    EXPECT_TRUE(has(said.text, "  survived: nothing\n")) << said.text;
    EXPECT_TRUE(has(said.text,
                    "  order: lazy_frame_store (offset 29376) must be durable before "
                    "what was durable or acknowledged by then\n"))
        << said.text;
    EXPECT_TRUE(has(said.text,
                    "  tried: with a flush and a fence behind lazy_frame_store nothing "
                    "is found\n"))
        << said.text;
    EXPECT_TRUE(has(said.json, "\"kind\": \"wrong\", \"what\": \"gone\"")) << said.json;
    expect_again(run_of(scenario), said);
    EXPECT_TRUE(has(said.page, "<svg") &&
                has(said.page, "lazy_frame_store (offset 29376) must be"));
    EXPECT_TRUE(has(said.page, "begin of stream s, record 1")) << "the operation";
    EXPECT_TRUE(has(said.page, "<title>link_store")) << "what was stored before";
    EXPECT_TRUE(has(said.page, said.line));
}

TEST(Explained, IsReducedToWhatFailsByItself) {
    const Scenario scenario{"twice", "", gone_or_crashed_again};
    const Said said = said_of(run_of(scenario));
    EXPECT_EQ(std::string(said.outcome.wrong), "behind the record: gone");
    EXPECT_TRUE(has(said.text, "  lost: offset 29376, lazy_frame_store\n")) << said.text;
    EXPECT_TRUE(has(said.text, "this is gone, and another is found: none helps")) << said.text;
    expect_again(run_of(scenario), said);
}

TEST(Explained, ARecoveryThatDies) {
    const Scenario scenario{"dies", "", dies};
    const Said said = said_of(run_of(scenario));
    EXPECT_TRUE(has(said.json, "\"kind\": \"crashed\"")) << said.json;
    EXPECT_TRUE(has(said.json, "check failed: records == 1")) << said.json;
    EXPECT_TRUE(has(said.text, "  lost: offset 29376, lazy_frame_store\n")) << said.text;
    EXPECT_TRUE(has(said.text, "nothing is found")) << said.text;
    expect_again(run_of(scenario), said);
}

TEST(Explained, ARecoveryThatThrows) {
    const Scenario scenario{"throws", "", throws};
    const Said said = said_of(run_of(scenario));
    EXPECT_TRUE(has(said.json, "\"kind\": \"threw\", \"what\": \"throws gone\"")) << said.json;
    EXPECT_TRUE(has(said.text, "  lost: offset 29376, lazy_frame_store\n")) << said.text;
    expect_again(run_of(scenario), said);
}

// Not reduced: each image would take its time.
TEST(Explained, ARecoveryThatDoesNotEnd) {
    const Scenario scenario{"hangs", "", hangs};
    const Said said = said_of(run_of(scenario), 2);
    EXPECT_TRUE(has(said.json, "\"kind\": \"hung\"")) << said.json;
    EXPECT_TRUE(has(said.text, "offset 29248, lazy_frame_store; offset 29312")) << said.text;
    EXPECT_FALSE(has(said.text, "order:")) << said.text;
    expect_again(run_of(scenario), said);
}

TEST(Explained, WhatNoImageShows) {
    for (const auto body : {wrong_without_an_image, wrong_for_another_reason}) {
        const Scenario scenario{"without", "", body};
        const Said said = said_of(run_of(scenario));
        EXPECT_EQ(std::string(said.outcome.wrong), "the end");
        EXPECT_EQ(said.outcome.at, Place{});
        EXPECT_EQ(said.text, "  no image: none that a crash could leave is to blame by itself\n");
        EXPECT_TRUE(has(said.json, "\"what\": \"the end\", \"crash_point\": 0")) << said.json;
        EXPECT_EQ(said.page + said.image + said.line, "");
    }
}

// Of mutants: a fence that is missing, and the place where it is missing.
TEST(Explained, ADroppedFenceIsNamedByTheStoreThatItIsFor) {
    struct Dropped {
        const char *scenario, *fence, *order, *fix;
    };
    for (const Dropped& dropped :
         {Dropped{"appending", "forced_fence",
                  "forced_frame_store (offset 29248) must be durable before the record there is "
                  "acknowledged",
                  "with a flush and a fence behind forced_frame_store nothing is found"},
          Dropped{"new_space", "ceiling_fence",
                  "ceiling_store (offset 536) must be durable before header_a_store (offset 28672)",
                  "with a flush and a fence behind ceiling_store nothing is found"},
          Dropped{"new_space", "ceiling_fence_byte", "ceiling_store (offset 536) must",
                  "with a fence behind ceiling_store nothing is found"},
          Dropped{"new_space", "ceiling_fence_page", "ceiling_store (offset 536) must",
                  "with a sync behind ceiling_store nothing is found"},
          // Inside a recovery that is crashed in its turn.
          Dropped{"reviving", "erase_fence",
                  "erase_store (offset 29376) must be durable before lazy_frame_store (offset "
                  "29312)",
                  "with a flush and a fence behind erase_store nothing is found"},
          // Two calls at one site.
          Dropped{"appending", "testimony_too_great",
                  "lazy_frame_store (offset 29368) must be durable before lazy_frame_store (offset "
                  "29568)",
                  "this is gone, and another is found: "}}) {
        const ScenarioRun run = run_of(dropped.scenario, dropped.fence);
        const Said said = said_of(run);
        EXPECT_TRUE(has(said.text, std::string("  order: ") + dropped.order)) << said.text;
        EXPECT_TRUE(has(said.text, dropped.fix)) << said.text;
        expect_again(run, said);
    }
}

// Where a budget leaves images out the run ends later than it might.
TEST(Explained, TheSameIsLookedForAtEarlierCrashPoints) {
    struct Late {
        const char *scenario, *broken;
        uint64_t level_images_max, crash_point;
        const char* since;
    };
    for (const Late& late :
         {Late{"appending", "link_flush", 1, 23, "append 1 (crash point 22)"},
          Late{"appending", "header_a_flush", 1, 22, "append 1 (crash point 21)"},
          // Nothing is left out, and nothing is earlier; inside of a recovery.
          Late{"new_space", "ceiling_fence_page", UINT64_MAX, 5,
               "before any append (crash point 5)"},
          Late{"new_space", "ceiling_fence_page", 1, 6, "before any append (crash point 5)"}}) {
        ScenarioRun run = run_of(late.scenario, late.broken);
        run.levels.images_max.fill(late.level_images_max);
        const Said said = said_of(run);
        EXPECT_EQ(said.outcome.at.crash_point, late.crash_point) << late.broken;
        EXPECT_TRUE(has(said.text, std::string("  since: ") + late.since + "; no earlier"))
            << said.text;
        EXPECT_TRUE(has(said.text, "  tried: ")) << said.text;
        expect_again(run, said);
    }
}

TEST(Explained, AReplayOfSomethingElseIsRefused) {
    const std::array runs{run_of("appending", "forced_fence"), run_of("appending", "second_fence"),
                          ScenarioRun{.scenario = find_scenario("appending")}};
    const std::string line = said_of(runs[0]).line;
    const auto refused = [&](std::span<const ScenarioRun> all, std::string with,
                             std::string_view instead, const std::string& words) {
        std::string changed = line;
        const size_t begin = changed.find(with);
        ASSERT_NE(begin, std::string::npos);
        changed.replace(begin, with.size(), instead);
        const auto image = image_of(all, changed);
        ASSERT_FALSE(image.has_value()) << changed;
        EXPECT_EQ(image.error().code, Errc::invalid_argument);
        EXPECT_TRUE(has(image.error().message, words)) << image.error().message;
    };
    const size_t number = line.find("crash_point=");
    const std::string point = line.substr(number, line.find(' ', number) + 1 - number);
    ASSERT_TRUE(image_of(runs, line).has_value());
    refused(std::span(runs).subspan(1), "", "", "of another scenario, --seed");
    refused(runs, line.substr(0, 14), "build=12345678", "another build of the program");
    refused(runs, line, "nonsense", "'nonsense' is no replay line");
    refused(runs, point, "crash_point=4000 ", "ends before the crash point");
    refused(runs, point, "crash_point=1 ", "comes to another image");
    refused(runs, "but=none", "but=64:1", "stored elsewhere");
}

TEST(Explained, ANumberForEachRun) {
    std::set<uint32_t> numbers;
    const ScenarioRun plain{.scenario = find_scenario("appending")};
    std::vector<ScenarioRun> runs(7, plain);
    runs[1].scenario = find_scenario("closing");
    runs[2].seed = 2;
    runs[3].levels.random_images = 5;
    runs[4].broken.domain = Domain::byte;
    runs[5].broken.forced_cached = true;
    runs[6].broken.name = "forced_fence";
    for (const ScenarioRun& run : runs) EXPECT_TRUE(numbers.insert(number_of(run)).second);
    ScenarioRun traced = plain;
    traced.traced = true;
    EXPECT_EQ(number_of(traced), number_of(plain));
}

}  // namespace

}  // namespace cinnabar::crash_test
