// A whole run of the recovery benchmark, small.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "recovery/recovery_bench.hpp"
#include "silent.hpp"

namespace cinnabar::bench {
namespace {

class Recovery : public testing::Test {
  protected:
    void SetUp() override {
        directory_ = testing::TempDir() + "cinnabar-recovery-" + std::to_string(::getpid());
        std::filesystem::create_directory(directory_);
        options_.directory = directory_;
        options_.emulate = Emulate::cache_line;
        options_.scan_bytes = options_.log_bytes = 4u << 20;
        options_.rounds = 2;
    }
    void TearDown() override {
        EXPECT_TRUE(std::filesystem::is_empty(directory_)) << "files were left behind";
        std::filesystem::remove_all(directory_);
    }
    Result<RecoveryBenchReport> run() {
        Silent progress;
        return run_recovery_bench(options_, progress);
    }

    std::string directory_;
    RecoveryBenchOptions options_;
};

TEST_F(Recovery, EveryRowIsMeasuredAndVerified) {
    const auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->all_verified());
    ASSERT_GE(report->scans.size(), 1u);
    for (const ScanRow& row : report->scans) {
        EXPECT_EQ(row.round_scan_ns.size(), 2u);
        EXPECT_GT(row.scan_gb_per_s().median, 0);
        EXPECT_GT(row.ratio_to_read().median, 0);
        EXPECT_GT(row.bytes, 3u << 20);
        EXPECT_LE(row.bytes, 4u << 20);
    }
    ASSERT_EQ(report->reopens.size(), 2u);
    for (const ReopenRow& row : report->reopens) {
        EXPECT_EQ(row.round_open_ns.size(), 2u);
        for (size_t i = 0; i < 2; ++i) EXPECT_GT(row.round_open_ns[i], row.round_recovery_ns[i]);
    }
}

TEST_F(Recovery, TheReportIsATableAndJson) {
    const auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    const nlohmann::json json = to_json(*report);
    EXPECT_EQ(json.at("schema"), 1);
    EXPECT_EQ(json.at("environment").at("medium").at("domain"), "cache_line");
    EXPECT_EQ(json.at("environment").at("medium").at("emulated"), true);
    EXPECT_EQ(json.at("results").size(), report->scans.size() + report->reopens.size());
    for (const auto& row : json.at("results")) EXPECT_EQ(row.at("verified"), true);
    std::ostringstream table;
    print_table(*report, table);
    EXPECT_NE(table.str().find("EMULATED"), std::string::npos);
    EXPECT_NE(table.str().find("read-and-sum"), std::string::npos);
}

TEST_F(Recovery, ImpossibleOptionsAreRefused) {
    options_.log_bytes = 1;
    const auto report = run();
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, Errc::invalid_argument);
}

}  // namespace
}  // namespace cinnabar::bench
