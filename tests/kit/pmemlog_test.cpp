// Someone else's log under the kit: libpmemlog as Debian ships it, and beside it the same program
// with one thing done wrong.
#include <gtest/gtest.h>
#include <libpmemlog.h>

#include <cinnabar/crash.hpp>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kit/folder.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

int add_to(const void* record, size_t length, void* lines) {
    static_cast<std::string*>(lines)->append(static_cast<const char*>(record), length);
    return 1;
}

// Each record ends with a newline, so that the log's bytes are its records, a line each.
std::string recover_log(const std::string& path) {
    PMEMlogpool* log = pmemlog_open(path.c_str());
    if (log == nullptr) return std::string("does not open: ") + pmemlog_errormsg();
    std::string lines;
    pmemlog_walk(log, 1, add_to, &lines);
    pmemlog_close(log);
    return lines;
}

// What a record is appended with.
using Append = void (*)(PMEMlogpool* log, const std::string& line);

void at_once(PMEMlogpool* log, const std::string& line) {
    if (pmemlog_append(log, line.data(), line.size()) != 0)
        throw std::runtime_error(pmemlog_errormsg());
}

// Each is atomic, and the two together are not.
void in_two_pieces(PMEMlogpool* log, const std::string& line) {
    at_once(log, line.substr(0, line.size() / 2));
    at_once(log, line.substr(line.size() / 2));
}

void append_records(PMEMlogpool* log, crash::History& history, Append append) {
    for (int i = 0; i < 20; ++i) {
        const std::string text =
            "record " + std::to_string(i) + std::string(static_cast<size_t>(i * 37 % 90), '.');
        const size_t operation = history.begin(text);
        append(log, text + "\n");
        history.acknowledge(operation);
    }
}

crash::Test log_test(const std::string& path, Append append) {
    return {.workload =
                [path, append](crash::History& history) {
                    PMEMlogpool* log = pmemlog_open(path.c_str());
                    if (log == nullptr) throw std::runtime_error(pmemlog_errormsg());
                    append_records(log, history, append);
                    pmemlog_close(log);
                },
            .recover_file = recover_log,
            .check = crash::prefix_of_appends()};
}

void create_log(const std::string& path) {
    PMEMlogpool* log = pmemlog_create(path.c_str(), PMEMLOG_MIN_POOL, 0600);
    if (log == nullptr) throw std::runtime_error(pmemlog_errormsg());
    pmemlog_close(log);
}

TEST(Pmemlog, AppendingKeepsItsPromise) {
    const Folder folder;
    const std::string path = folder.file("log");
    create_log(path);
    const crash::Report report = crash::run_file(path, log_test(path, at_once)).value();
    EXPECT_TRUE(report.clean()) << report.text();
    EXPECT_EQ(report.region_bytes, PMEMLOG_MIN_POOL);
    EXPECT_GT(report.images_distinct, 500u) << report.text();
    EXPECT_GT(report.recovery_crash_points, 50u) << report.text();
    std::printf("%s", report.text().c_str());
}

TEST(Pmemlog, ARecordInTwoAppendsIsFound) {
    const Folder folder;
    const std::string path = folder.file("log");
    create_log(path);
    const crash::Report report = crash::run_file(path, log_test(path, in_two_pieces)).value();
    ASSERT_FALSE(report.clean());
    EXPECT_NE(report.violations[0].what.find("and then comes 'rec"), std::string::npos)
        << report.text();
    EXPECT_NE(report.violations[0].where.find("libpmemlog.so.1"), std::string::npos);
    EXPECT_TRUE(
        report.violations[0].order.ends_with("comes too early: nothing of what was stored "
                                             "by then is lost"))
        << report.text();
}

// A log whose creation a crash cut short is no log, and says so.
TEST(Pmemlog, CreationLeavesALogOrNone) {
    const Folder folder;
    const std::string path = folder.file("log");
    const auto prefix = crash::prefix_of_appends();
    crash::Test test = log_test(path, at_once);
    const auto append = test.workload;
    test.workload = [&](crash::History& history) {
        create_log(path);
        append(history);
    };
    test.check = [&](std::string_view digest, const crash::History& history) {
        const bool refused = digest.starts_with("does not open");
        if (refused && history.operations().empty()) return std::string();
        return prefix(digest, history);
    };
    const crash::Report report = crash::run_file(path, test).value();
    EXPECT_TRUE(report.clean()) << report.text();
    std::printf("%s", report.text().c_str());
}

}  // namespace
}  // namespace kit_test
