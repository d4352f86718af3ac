// A whole run, small: its report, its JSON, its table, and its refusals.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "force/force_bench.hpp"
#include "force/place.hpp"
#include "silent.hpp"

namespace cinnabar::bench {
namespace {

size_t occurrences(const std::string& text, const std::string& what) {
    size_t count = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
        ++count;
    return count;
}

class Run : public testing::Test {
  protected:
    void SetUp() override {
        directory_ = testing::TempDir() + "cinnabar-run-" + std::to_string(::getpid());
        std::filesystem::create_directory(directory_);
        options_.directory = options_.disk_directory = directory_;
        options_.emulate = Emulate::cache_line;
        options_.record_bytes = {64};
        options_.rounds = 2;
        options_.slice_ms = 2;
        options_.area_bytes = 8u << 20;
    }
    void TearDown() override {
        EXPECT_TRUE(std::filesystem::is_empty(directory_)) << "files were left behind";
        std::filesystem::remove_all(directory_);
    }
    Result<ForceBenchReport> run() {
        Silent progress;
        return run_force_bench(options_, progress);
    }
    Errc refusal() {
        const auto report = run();
        EXPECT_FALSE(report);
        return report ? Errc{} : report.error().code;
    }

    std::string directory_;
    ForceBenchOptions options_;
};

TEST_F(Run, EveryEngineHasAVerifiedRowOrAReason) {
    options_.records_per_force = {1, 4};
    const auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->all_verified());
    for (const EngineInfo& engine : engines()) {
        const Row* row = report->find(engine.name, {64, 1, 4});
        const auto skipped =
            std::find_if(report->skipped.begin(), report->skipped.end(),
                         [&](const Skipped& s) { return s.engine == engine.name; });
        EXPECT_NE(row != nullptr, skipped != report->skipped.end()) << engine.name;
        if (skipped != report->skipped.end()) {
            EXPECT_NE(skipped->reason, "") << engine.name;
        }
    }
    EXPECT_EQ(report->find("libpmemlog_appendv", {64, 1, 1}), nullptr);
}

TEST_F(Run, JsonHasEveryKeyOfTheSchema) {
    const auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    const auto json = nlohmann::json::parse(to_json(*report).dump());
    EXPECT_EQ(json.at("schema"), 1);
    for (const char* key : {"cpu", "kernel", "cores", "governor", "medium", "checksum_path",
                            "compiler", "build_type", "version", "timer_ns", "timer_step_ns",
                            "clock", "pinned", "noise_of_floor", "disk", "quick", "slice_ms"}) {
        EXPECT_TRUE(json.at("environment").contains(key)) << key;
    }
    for (const char* key : {"file_system", "domain", "emulated", "modelled", "directory"}) {
        EXPECT_TRUE(json.at("environment").at("medium").contains(key)) << key;
    }
    ASSERT_GE(json.at("results").size(), 3u);
    for (const auto& row : json.at("results")) {
        for (const char* key : {"engine",           "record_bytes",
                                "threads",          "records_per_force",
                                "segments",         "rounds",
                                "record_ns_mean",   "force_ns_p50",
                                "force_ns_p90",     "force_ns_p99",
                                "force_ns_p999",    "force_ns_p9999",
                                "records_per_s",    "fences_per_record",
                                "lines_per_record", "bytes_written_per_byte",
                                "domain",           "emulated",
                                "file_system",      "counts"}) {
            EXPECT_TRUE(row.contains(key)) << row.at("engine") << " " << key;
        }
        for (const char* key : {"q1", "median", "q3"}) {
            EXPECT_GT(row.at("ratio_to_floor").at(key), 0) << row.at("engine");
        }
        EXPECT_EQ(row.at("record_bytes"), 64);
        EXPECT_EQ(row.at("segments"), "warm");
        EXPECT_EQ(row.at("rounds"), 2);
        EXPECT_EQ(row.at("verified"), true);
        EXPECT_GT(row.at("record_ns_mean"), 0);
    }
    const auto& floor = json.at("results").at(0);
    EXPECT_EQ(floor.at("engine"), "floor");
    EXPECT_EQ(floor.at("ratio_to_floor").at("median"), 1.0);
    EXPECT_EQ(floor.at("fences_per_record"), 1.0);
    EXPECT_EQ(floor.at("bytes_written_per_byte"), 2.0);
}

// libpmem's process-wide switch is set where it was asked for, and every row says what it did.
TEST_F(Run, EveryRowSaysWhichDomainItReallyTook) {
    options_.only = {"libpmemlog", "pmemobj_tx", "msync"};
    const auto emulated = run();
    options_.emulate = Emulate::no;
    const auto honest = run();
    ASSERT_TRUE(emulated && honest);
    if (!emulated->environment.floor.emulated) GTEST_SKIP() << "real persistent memory";
    for (const char* name : {"libpmemlog", "pmemobj_tx"}) {
        const Row* row = emulated->find(name, {64});
        if (row == nullptr) continue;  // not in this build
        EXPECT_EQ(row->taken.domain, Domain::cache_line) << name;
        EXPECT_TRUE(row->taken.emulated) << name;
        row = honest->find(name, {64});
        ASSERT_NE(row, nullptr) << name;
        EXPECT_EQ(row->taken.domain, Domain::page) << name;
        EXPECT_FALSE(row->taken.emulated) << name;
    }
    EXPECT_EQ(emulated->find("msync", {64})->taken.domain, Domain::page);
    EXPECT_FALSE(emulated->find("msync", {64})->taken.emulated);
}

TEST_F(Run, TableSaysWhatIsFloorAndWhatIsEmulated) {
    options_.only = {"msync"};
    const auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    std::ostringstream out;
    print_table(*report, out);
    EXPECT_NE(out.str().find("The floor is what a force asks"), std::string::npos);
    EXPECT_EQ(occurrences(out.str(), "a mapped file, copied into"), 1u) << "what the row is";
    EXPECT_EQ(occurrences(out.str(), "this log"), 0u) << "an engine without a row";
    if (report->environment.floor.emulated) {
        EXPECT_NE(out.str().find("EMULATED"), std::string::npos);
    }
}

// A page cache that nobody calls persistent memory: the floor is no yardstick, and is not called
// so.
TEST_F(Run, TableSaysWhereTheFloorIsNotDurable) {
    options_.only = {"msync"};
    options_.emulate = Emulate::no;
    const auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    if (!report->environment.floor.emulated) GTEST_SKIP() << "real persistent memory";
    std::ostringstream out;
    print_table(*report, out);
    EXPECT_EQ(occurrences(out.str(), "NOT DURABLE on "), 1u) << out.str();
    EXPECT_EQ(occurrences(out.str(), "NO FLOOR FOR DURABILITY HERE: "), 1u);
    EXPECT_EQ(occurrences(out.str(), "emulated"), 0u) << out.str();
}

// Whatever was measured, a line fits a terminal of 120 columns, and every number has its place.
TEST_F(Run, TableFitsATerminal) {
    options_.only = {"msync"};
    auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    Row row = report->rows.back();  // with times as long as they come
    row.record_ns_mean = 999'888;
    row.ratio_to_floor = {8887, 8888, 8889};
    row.verified = false;
    report->rows.clear();
    for (uint32_t group : {1u, 4u}) {
        for (uint32_t bytes : {8u, 64u, 256u, 1024u, 4096u, 16384u, 65536u}) {
            for (const EngineInfo& engine : engines()) {
                row.engine = engine.name;
                row.cell = {bytes, 1, group};
                report->rows.push_back(row);
            }
        }
    }
    std::ostringstream out;
    print_table(*report, out);
    std::istringstream lines(out.str());
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 120u) << line;
    EXPECT_EQ(occurrences(out.str(), "1000 us (8888)!"), report->rows.size() - 14);
    EXPECT_EQ(occurrences(out.str(), "8887 - 8889"), report->rows.size() / 7);
    EXPECT_EQ(occurrences(out.str(), "force p50"), 2u) << "details of one size for each group";
}

TEST_F(Run, TableSaysOnceWhatWasSkippedAndWhy) {
    options_.only = {"msync"};
    auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    report->skipped = {{"io_uring", "the kernel forbids it", {}},
                       {"all", "no time left", Cell{64, 2}},
                       {"all", "no time left", Cell{2048, 2}},
                       {"all", "no time left", Cell{64, 1, 32}},
                       {"msync", "no room", Cell{65536}}};
    std::ostringstream out;
    print_table(*report, out);
    EXPECT_NE(out.str().find("Skipped: io_uring: the kernel forbids it\n"
                             "Skipped: every engine: no time left, at\n"
                             "    64 B, 2 KiB: 2 threads, a force every record, warm segments\n"
                             "    64 B: 1 thread, a force every 32 records, warm segments\n"
                             "Skipped: msync: no room, at\n"
                             "    64 KiB: 1 thread, a force every record, warm segments\n"),
              std::string::npos)
        << out.str();
}

TEST_F(Run, TableShowsWhatDidNotVerify) {
    options_.only = {"msync"};
    auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    report->rows.back().verified = false;
    report->rows.back().verify_message = "a byte differs";
    std::ostringstream out;
    print_table(*report, out);
    EXPECT_FALSE(report->all_verified());
    EXPECT_NE(out.str().find("NOT VERIFIED: msync, 64 B"), std::string::npos);
    EXPECT_NE(out.str().find("a byte differs"), std::string::npos);
    EXPECT_EQ(to_json(*report).at("results").back().at("verified"), false);
}

// Kills the worker of this run whose engine is `name`, which has its file mapped; once, in the cell
// whose text begins with `cell`.
class Killer final : public Progress {
  public:
    Killer(std::string directory, const std::string& name, std::string cell)
        : directory_(std::move(directory)), name_("/" + name), cell_(std::move(cell)) {}
    void at(double, std::string_view what) override {
        if (done_ || !what.starts_with(cell_)) return;
        for (const auto& process : std::filesystem::directory_iterator("/proc")) {
            std::ifstream maps(process.path() / "maps");
            for (std::string line; std::getline(maps, line) && !done_;) {
                const bool ours = line.find(directory_) != std::string::npos;
                if (!ours || !line.ends_with(name_)) continue;
                done_ = ::kill(std::stoi(process.path().filename()), SIGKILL) == 0;
            }
        }
        EXPECT_TRUE(done_) << "no process has mapped " << name_;
    }

  private:
    std::string directory_;
    std::string name_;
    std::string cell_;
    bool done_ = false;
};

TEST_F(Run, AnEngineThatFailsLosesThatCellAlone) {
    for (const std::string engine : {"cinnabar", "msync"}) {
        options_.only = {"cinnabar", "msync"};
        options_.record_bytes = {64, 256, 1024};
        Killer progress(directory_ + "/", engine, "256 B");
        const auto report = run_force_bench(options_, progress);
        ASSERT_TRUE(report) << report.error().message;
        ASSERT_EQ(report->rows.size(), 9u);
        EXPECT_TRUE(report->all_verified());
        for (const Row& row : report->rows) {
            EXPECT_EQ(row.error.has_value(), row.engine == engine && row.cell == Cell{256});
        }
        ASSERT_EQ(report->first_failed(), report->find(engine, {256}));
        EXPECT_NE(report->first_failed()->error->message.find("Killed"), std::string::npos);

        std::ostringstream table;
        print_table(*report, table);
        EXPECT_NE(table.str().find(engine + "   "), std::string::npos);
        EXPECT_NE(table.str().find("FAILED: " + engine + ", 256 B, 1 thread"), std::string::npos);
        EXPECT_NE(table.str().find("after every row that was measured"), std::string::npos);
        for (const auto& row : to_json(*report).at("results")) {
            const bool failed = row.at("engine") == engine && row.at("record_bytes") == 256;
            EXPECT_EQ(row.at("error").is_null(), !failed);
            EXPECT_EQ(row.at("record_ns_mean").is_null(), failed);
            EXPECT_EQ(row.at("verified").is_null(), failed);
            if (!failed) continue;
            EXPECT_EQ(row.at("error").at("code"), "io");
        }
    }
}

// Without the floor a cell has no ratios, and the floor that comes back knows the medium still.
TEST_F(Run, AFloorThatFailsTakesTheRatiosOfItsCell) {
    options_.only = {"msync"};
    options_.record_bytes = {64, 256, 1024};
    Killer progress(directory_ + "/", "floor", "256 B");
    const auto report = run_force_bench(options_, progress);
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_EQ(report->rows.size(), 6u);
    EXPECT_FALSE(report->find("msync", {256})->ratio_to_floor);
    EXPECT_FALSE(report->find("msync", {256})->error);
    EXPECT_TRUE(report->find("msync", {1024})->ratio_to_floor);
    EXPECT_EQ(report->find("floor", {1024})->taken.emulated,
              report->find("floor", {64})->taken.emulated);
    std::ostringstream table;
    print_table(*report, table);
    EXPECT_NE(table.str().find("FAILED: floor, 256 B"), std::string::npos);
    EXPECT_EQ(occurrences(table.str(), "nan"), 0u) << table.str();
    EXPECT_TRUE(to_json(*report).at("results").at(3).at("ratio_to_floor").is_null());
}

TEST_F(Run, TraceGivesTheMeanOfItsLengths) {
    const std::string trace = directory_ + "/trace";
    std::ofstream(trace) << std::string(99, 'a') << "\n" << std::string(199, 'b') << "\n";
    options_.record_bytes.clear();
    options_.trace = trace;
    options_.threads = {1};
    options_.only = {"msync"};
    const auto report = run();
    std::filesystem::remove(trace);
    ASSERT_TRUE(report) << report.error().message;
    const Row* row = report->find("msync", {0});
    ASSERT_NE(row, nullptr);
    EXPECT_TRUE(row->verified) << row->verify_message;
    EXPECT_NEAR(report->find("floor", {0})->bytes_mean, 150, 1);
}

TEST_F(Run, EnginesThatCannotModelLatencyAreLeftOut) {
    options_.only = {"msync"};
    options_.modelled.fence_ns = 100'000;
    const auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_GE(report->find("floor", {64})->record_ns_mean, 100'000);
    EXPECT_EQ(report->find("msync", {64}), nullptr);
    ASSERT_EQ(report->skipped.size(), 1u);
    EXPECT_EQ(report->skipped[0].reason, "cannot add modelled latency");
}

TEST_F(Run, CellsTooLargeForTheAreaAreSkippedAndNamed) {
    options_.only = {"msync"};
    options_.record_bytes = {64, 65536};
    options_.records_per_force = {128};
    const auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_NE(report->find("msync", {64, 1, 128}), nullptr);
    EXPECT_EQ(report->find("msync", {65536, 1, 128}), nullptr);
    ASSERT_EQ(report->skipped.size(), 2u);
    EXPECT_EQ(report->skipped[1].cell, (Cell{65536, 1, 128}));
}

TEST_F(Run, RefusesARecordOfNoBytes) {
    options_.record_bytes = {0};
    EXPECT_EQ(refusal(), Errc::invalid_argument);
}

TEST_F(Run, RefusesADirectoryThatIsNotThere) {
    options_.directory = directory_ + "/nowhere";
    EXPECT_EQ(refusal(), Errc::not_found);
    options_.directory = directory_;
    options_.disk_directory = directory_ + "/nowhere";
    EXPECT_EQ(refusal(), Errc::not_found);
}

TEST_F(Run, RefusesAFileForADirectory) {
    options_.directory = directory_ + "/file";
    std::ofstream(options_.directory) << "x";
    const Errc code = refusal();
    std::filesystem::remove(options_.directory);
    EXPECT_EQ(code, Errc::not_found);
}

TEST_F(Run, RefusesAnAreaForWhichThereIsNoRoom) {
    options_.area_bytes = uint64_t{1} << 60;
    Silent progress;
    const auto report = run_force_bench(options_, progress);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, Errc::disk_full);
    EXPECT_NE(report.error().message.find(directory_), std::string::npos);
}

TEST_F(Run, RefusesATraceThatIsNotThere) {
    options_.trace = directory_ + "/nowhere";
    EXPECT_EQ(refusal(), Errc::not_found);
}

TEST(Place, NobodysWorkIsWrittenInto) {
    const char* const before = std::getenv("TMPDIR");
    const std::string kept = before != nullptr ? before : "";
    ASSERT_EQ(::setenv("TMPDIR", "/asked/for", 1), 0);
    const auto usual = usual_directories();
    EXPECT_EQ(usual, (std::vector<std::string>{"/dev/shm", "/asked/for", "/var/tmp", "/tmp"}));
    if (before != nullptr) {
        ::setenv("TMPDIR", kept.c_str(), 1);
    } else {
        ::unsetenv("TMPDIR");
    }
    for (const std::string& directory : usual_disk_directories()) {
        EXPECT_EQ(directory.front(), '/');
        EXPECT_FALSE(is_memory(file_system_of(directory))) << directory;
    }
}

TEST(Place, PrefersTheFirstWithRoomAndElseTheLargest) {
    const std::string here = testing::TempDir();
    const auto room = room_at(here);
    ASSERT_TRUE(room);
    const auto enough =
        choose_place({"/nonexistent", here}, 1, {kAreaBytesMin, kAreaBytesMin, true});
    ASSERT_TRUE(enough) << enough.error().message;
    EXPECT_EQ(enough->directory, here);
    EXPECT_EQ(enough->area_bytes, kAreaBytesMin);
    // So many engines that each gets less than it would like, yet enough.
    const auto engines_fitting = static_cast<unsigned>(room->usable_bytes / kAreaBytesMin / 3);
    AreaWish wish;
    wish.memory_bytes = wish.disk_bytes = room->free_bytes;
    const auto squeezed = choose_place({here}, engines_fitting, wish);
    ASSERT_TRUE(squeezed) << squeezed.error().message;
    EXPECT_GE(squeezed->area_bytes, kAreaBytesMin);
    EXPECT_LE(squeezed->area_bytes * engines_fitting, room->usable_bytes);
    EXPECT_NE(squeezed->remark.find("in place of"), std::string::npos);
    wish.exactly = true;
    const auto refused = choose_place({here}, engines_fitting, wish);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::disk_full);
    // The area that it names is one that fits, and what the engines need beside it counts.
    const size_t at = refused.error().message.find("enough for --area ");
    ASSERT_NE(at, std::string::npos) << refused.error().message;
    wish.memory_bytes = std::stoull(refused.error().message.substr(at + 18)) << 20;
    wish.disk_bytes = wish.memory_bytes;
    EXPECT_TRUE(choose_place({here}, engines_fitting, wish));
    wish.beside_bytes = room->usable_bytes / 2;
    EXPECT_FALSE(choose_place({here}, engines_fitting, wish));
}

TEST(Place, SmallAreasInMemoryComeBeforeADisk) {
    const std::string disk = testing::TempDir();
    const auto memory = room_at("/dev/shm");
    if (!memory || is_memory(file_system_of(disk))) GTEST_SKIP() << "not both here";
    AreaWish wish;
    wish.memory_bytes = memory->free_bytes + (1u << 20);
    wish.disk_bytes = kAreaBytesMin;
    const auto small = choose_place({disk, "/dev/shm"}, 1, wish);
    ASSERT_TRUE(small) << small.error().message;
    EXPECT_EQ(small->directory, "/dev/shm");
    EXPECT_NE(small->remark.find("in place of"), std::string::npos);
    wish.exactly = true;
    const auto on_disk = choose_place({"/dev/shm", disk}, 1, wish);
    ASSERT_TRUE(on_disk) << on_disk.error().message;
    EXPECT_EQ(on_disk->directory, disk);
    EXPECT_NE(on_disk->remark.find("on a disk: /dev/shm has"), std::string::npos);
    EXPECT_NE(on_disk->remark.find("enough for --area"), std::string::npos);
}

}  // namespace
}  // namespace cinnabar::bench
