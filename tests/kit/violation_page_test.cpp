// What the page of a violation holds. (page_test.py opens one in a browser.)
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "kit/folder.hpp"
#include "kit/notebook.hpp"
#include "kit/record.hpp"

namespace kit_test {
namespace {

TEST(ViolationPage, HasALaneForEachLineThatMatters) {
    const Folder folder;
    crash::Region region = new_region();
    const crash::Options options{.page_folder = folder.path()};
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [&](crash::History& history) {
        const size_t first = history.begin("right");
        NotebookWriter(region, Wrong::nothing).add("right");
        history.acknowledge(first);
        history.begin("note number 1");
        NotebookWriter(region, Wrong::count_before_note).add("note number 1");
    };
    const auto report = crash::run(region, test, options).value();
    ASSERT_EQ(report.violations.size(), 2u) << report.text();
    const std::string page = text_of_file(folder.file("violation-2.html"));
    const crash::Violation& second = report.violations[1];
    EXPECT_EQ(count_of(page, "<g class=\"lane\">"), 3u);  // the count and two notes
    EXPECT_EQ(count_of(page, "<line class=\"fence\""), 3u);
    EXPECT_EQ(count_of(page, "<line class=\"crash\""), 1u);
    EXPECT_EQ(count_of(page, "<circle class=\"store\""), 4u + 1u);  // one in the legend
    EXPECT_EQ(count_of(page, "<rect class=\"dirty\""), 4u + 1u);
    EXPECT_EQ(count_of(page, "<rect class=\"in_flight\""), 4u + 1u);
    EXPECT_EQ(count_of(page, "<rect class=\"durable\""), 3u + 1u);
    EXPECT_EQ(count_of(page, "begin of operation"), 2u);
    EXPECT_EQ(count_of(page, "acknowledged operation"), 1u);
    EXPECT_EQ(count_of(page, "class=\"word\""), 8u);
    EXPECT_NE(page.find(second.replay), std::string::npos);
    EXPECT_NE(page.find(second.order), std::string::npos);
    EXPECT_NE(page.find("<dt>Since</dt><dd>operation 1 (crash point "), std::string::npos);
    EXPECT_NE(page.find(second.since), std::string::npos);
    EXPECT_NE(page.find(second.fix), std::string::npos);
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_NE(page.find("128: 0xd '"), std::string::npos);  // the length that was stored there
}

// On the count: another one, and nothing is wrong. Not on the record, which is wrong either way,
// nor on a line that recovery never reads.
TEST(ViolationPage, ShowsOnWhichLinesTheOutcomeDepends) {
    const Folder folder;
    crash::Region region = new_region();
    crash::Test test = record_test(region, 1, true);
    const auto workload = test.workload;
    test.workload = [&, workload](crash::History& history) {
        auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
        region.store(&words[80], uint64_t{1});
        region.persist(&words[80], 8);
        workload(history);
    };
    test.recover = [](std::span<std::byte> image) {
        const auto* words = reinterpret_cast<const uint64_t*>(image.data());
        return std::string(words[0] == 1 && words[8] != 1 ? "half" : "");
    };
    test.check = as_digested;
    (void)crash::run(region, test, {.violations_max = 1, .page_folder = folder.path()}).value();
    const std::string page = text_of_file(folder.file("violation-1.html"));
    EXPECT_EQ(count_of(page, "<g class=\"lane\">"), 3u);
    // One in the legend. The line that is lost is to blame, whatever else it might hold.
    EXPECT_EQ(count_of(page, "<path class=\"deciding\""), 2u + 1u);
    EXPECT_EQ(count_of(page, "<path class=\"same\""), 1u + 1u);
    EXPECT_EQ(count_of(page, "<text class=\"unknown\""), 1u);
    EXPECT_EQ(page.find("Left open"), std::string::npos);
    const size_t lane = page.find("offset 0</text>");
    EXPECT_LT(page.find("class=\"deciding\"", lane), page.find("<g class=\"lane\">", lane));
}

[[noreturn]] void hang() {
    for (volatile bool forever = true; forever;) continue;
    std::abort();
}

// Recovery believes what stands in each of twelve lines: inverted, it is too much of it.
TEST(ViolationPage, ARecoveryThatBelievesWhatItReadsDoesNotTakeForever) {
    const Folder folder;
    crash::Region region = new_region();
    crash::Test test = record_test(region, 12, true);
    test.recover = [](std::span<std::byte> image) {
        const auto* words = reinterpret_cast<const uint64_t*>(image.data());
        bool is_half = false;
        for (size_t line = 1; line <= 12; ++line) {
            if (words[line * 8] > 12) hang();
            is_half = is_half || (words[0] == 12 && words[line * 8] == 0);
        }
        return std::string(is_half ? "half" : "");
    };
    test.check = as_digested;
    const crash::Options options{.recovery_time_max = std::chrono::milliseconds(300),
                                 .violations_max = 1,
                                 .fixes_max = 0,
                                 .page_folder = folder.path()};
    const auto report = crash::run(region, test, options).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    const std::string page = text_of_file(folder.file("violation-1.html"));
    EXPECT_EQ(count_of(page, "<g class=\"lane\">"), 13u);
    // The lines that are to blame are asked of first: the count, and one that is lost.
    EXPECT_GE(count_of(page, "<path class=\"deciding\""), 2u + 1u);
    // A hang counts when it comes a second time, and for all there is the time of three.
    const size_t unknown = count_of(page, "<text class=\"unknown\"") - 1;
    EXPECT_GE(unknown, 9u);
    const std::string open =
        "of " + std::to_string(unknown) + " of 13 lines whether the outcome depends on them";
    EXPECT_NE(page.find("Left open: " + open), std::string::npos);
    EXPECT_NE(report.text().find("  not written: left open on the page: " + open),
              std::string::npos)
        << report.text();
}

TEST(ViolationPage, OfARecoveryThatHangsNoLineIsAsked) {
    const Folder folder;
    crash::Region region = new_region();
    crash::Test test = record_test(region, 2);
    test.recover = [](std::span<std::byte> image) {
        if (*reinterpret_cast<const uint64_t*>(image.data()) != 0) hang();
        return std::string();
    };
    const crash::Options options{.recovery_time_max = std::chrono::milliseconds(300),
                                 .violations_max = 1,
                                 .page_folder = folder.path()};
    const auto report = crash::run(region, test, options).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_EQ(report.violations[0].kind, crash::ViolationKind::hung);
    EXPECT_EQ(report.violations[0].not_written, "");
    const std::string page = text_of_file(folder.file("violation-1.html"));
    EXPECT_EQ(count_of(page, "<text class=\"unknown\""), 3u + 1u);
    EXPECT_NE(page.find("a recovery that does not end"), std::string::npos);
}

TEST(ViolationPage, IsBounded) {
    const Folder folder;
    crash::Region region = new_region();
    const crash::Options options{
        .images_per_crash_point_max = 40, .violations_max = 1, .page_folder = folder.path()};
    (void)crash::run(region, record_test(region, 200), options).value();
    const std::string page = text_of_file(folder.file("violation-1.html"));
    EXPECT_EQ(count_of(page, "<g class=\"lane\">"), 40u);
    EXPECT_LT(page.size(), size_t{200'000});
}

TEST(ViolationPage, WhatAWorkloadSaysIsNoMarkup) {
    const Folder folder;
    crash::Region region = new_region();
    crash::Test test = record_test(region, 1);
    test.check = [](std::string_view, const crash::History&) {
        return std::string("<script>alert('&')</script>");
    };
    (void)crash::run(region, test, {.page_folder = folder.path()}).value();
    const std::string page = text_of_file(folder.file("violation-1.html"));
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_NE(page.find("&lt;script&gt;alert('&amp;')"), std::string::npos);
}

}  // namespace
}  // namespace kit_test
