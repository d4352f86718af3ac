// A structure in a region: one that is right raises no alarm, and each way to have it wrong is
// found.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "kit/notebook.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;
using cinnabar::Domain;

crash::Region new_region(Domain domain = Domain::cache_line) {
    return crash::Region::create(4096, domain).value();
}

crash::Report report_of(Wrong wrong) {
    crash::Region region = new_region();
    return crash::run(region, notebook_test(region, wrong)).value();
}

bool has_remark(const crash::Report& report, const std::string& rule) {
    return std::any_of(
        report.remarks.begin(), report.remarks.end(),
        [&](const crash::Remark& remark) { return remark.rule.find(rule) != std::string::npos; });
}

TEST(Region, ARightStructureRaisesNoAlarm) {
    const crash::Report report = report_of(Wrong::nothing);
    EXPECT_TRUE(report.clean()) << report.text();
    EXPECT_TRUE(report.remarks.empty()) << report.text();
    EXPECT_EQ(report.operations, 10u);
    EXPECT_GT(report.crash_points, 20u);
    EXPECT_GT(report.images_distinct, 100u);
    EXPECT_GT(report.recoveries, report.images_distinct);
    std::printf("%s", report.json().c_str());
}

TEST(Region, ACountBeforeItsNoteIsFound) {
    const crash::Report report = report_of(Wrong::count_before_note);
    ASSERT_FALSE(report.clean());
    EXPECT_EQ(report.violations[0].kind, crash::ViolationKind::wrong);
    EXPECT_TRUE(report.violations[0].where.starts_with("fence at notebook.hpp:"));
    EXPECT_EQ(report.violations[0].lost, "");  // the note was not stored yet
    EXPECT_TRUE(report.violations[1].lost.starts_with("offset 64, store at notebook.hpp:"))
        << report.text();
    EXPECT_TRUE(report.stopped);
}

TEST(Region, ANoteThatIsNotFlushedIsFound) {
    const crash::Report report = report_of(Wrong::note_not_flushed);
    EXPECT_FALSE(report.clean());
    EXPECT_TRUE(has_remark(report, "acknowledged and not flushed")) << report.text();
}

TEST(Region, NoteAndCountInOneFenceAreFound) {
    EXPECT_FALSE(report_of(Wrong::counted_in_one_fence).clean());
}

}  // namespace
}  // namespace kit_test
