// A structure in a region: one that is right raises no alarm, and each way to have it wrong is
// found.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>

#include "kit/notebook.hpp"
#include "kit/pair.hpp"

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
    EXPECT_TRUE(report.violations[1].lost.starts_with("offset 80, store at notebook.hpp:"))
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

TEST(Region, WhatNeedsNoImageIsRemarked) {
    const crash::Report twice = report_of(Wrong::flushed_twice);
    EXPECT_TRUE(twice.clean()) << twice.text();
    EXPECT_TRUE(has_remark(twice, "flush of lines that need none")) << twice.text();
    EXPECT_TRUE(has_remark(report_of(Wrong::both_kinds), "cached and non-temporal stores"));
    crash::Region region = new_region();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [&](crash::History&) { region.fence(); };
    EXPECT_TRUE(has_remark(crash::run(region, test).value(), "fence with nothing to wait for"));
}

// A plain store is seen at the next call, and lost where nothing forces it.
TEST(Region, PlainStoresCount) {
    for (const bool forced : {true, false}) {
        crash::Region region = new_region();
        crash::Test test = notebook_test(region, Wrong::nothing);
        test.workload = [&](crash::History& history) {
            const size_t note = history.begin("note");
            Notebook& book = *reinterpret_cast<Notebook*>(region.bytes().data());
            book.notes[0].length = 4;
            std::memcpy(book.notes[0].text, "note", 4);
            if (forced) region.persist(&book.notes[0], sizeof(Note));
            book.count = 1;
            region.persist(&book.count, sizeof book.count);
            history.acknowledge(note);
        };
        const crash::Report report = crash::run(region, test).value();
        EXPECT_EQ(report.clean(), forced) << report.text();
    }
}

TEST(Region, StoresOfALineKeepTheirOrderAndCopiesDoNot) {
    const Pair both = {1, 1};
    EXPECT_TRUE(pair_report([](crash::Region& region, Pair& pair) {
                    region.store(&pair.first, uint64_t{1});
                    region.store(&pair.second, uint64_t{1});
                }).clean());
    EXPECT_FALSE(pair_report([](crash::Region& region, Pair& pair) {
                     region.store(&pair.second, uint64_t{1});
                     region.store(&pair.first, uint64_t{1});
                 }).clean());
    EXPECT_FALSE(pair_report([&](crash::Region& region, Pair& pair) {
                     region.copy(&pair, &both, sizeof both);
                 }).clean());
    EXPECT_FALSE(pair_report([&](crash::Region& region, Pair& pair) {
                     region.copy_nt(&pair, &both, sizeof both);
                 }).clean());
    EXPECT_FALSE(pair_report([&](crash::Region&, Pair& pair) { pair = both; }).clean());
}

// Past the caches a fence is enough, and needed.
TEST(Region, StoresPastTheCaches) {
    for (const bool past : {true, false})
        for (const bool fenced : {true, false}) {
            crash::Region region = new_region();
            crash::Test test = notebook_test(region, Wrong::nothing);
            test.workload = [&](crash::History& history) {
                const size_t note = history.begin("note");
                Notebook& book = *reinterpret_cast<Notebook*>(region.bytes().data());
                const Note filled = {4, "note"};
                if (past)
                    region.copy_nt(&book.notes[0], &filled, sizeof filled);
                else
                    region.copy(&book.notes[0], &filled, sizeof filled);
                if (fenced) region.fence();
                region.store(&book.count, uint64_t{1});
                region.persist(&book.count, sizeof book.count);
                history.acknowledge(note);
            };
            EXPECT_EQ(crash::run(region, test).value().clean(), past && fenced);
        }
}

// The flush alone has not made it durable; that nothing is stored in between changes nothing.
TEST(Region, AnAcknowledgementIsACrashPoint) {
    crash::Region region = new_region();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [&](crash::History& history) {
        Notebook& book = *reinterpret_cast<Notebook*>(region.bytes().data());
        const size_t note = history.begin("");
        region.store(&book.count, uint64_t{1});
        region.flush(&book.count, sizeof book.count);
        history.begin("never added");
        history.acknowledge(note);
        region.fence();
    };
    test.recover = [](std::span<std::byte> image) {
        return std::string(1, image[0] == std::byte{1} ? '1' : '0');
    };
    test.check = [](std::string_view digest, const crash::History& history) {
        return std::string(digest == "0" && history.acknowledged_prefix() > 0 ? "lost" : "");
    };
    const crash::Report report = crash::run(region, test).value();
    ASSERT_FALSE(report.clean());
    EXPECT_EQ(report.violations[0].where, "acknowledged operation 0");
}

// What is stored before an operation begins is not its effect.
TEST(Region, ABeginIsACrashPointOfItsOwn) {
    for (const bool leaks : {true, false}) {
        crash::Region region = new_region();
        crash::Test test = notebook_test(region, Wrong::nothing);
        test.workload = [&](crash::History& history) {
            Notebook& book = *reinterpret_cast<Notebook*>(region.bytes().data());
            const size_t none = leaks ? 0 : history.begin("");
            region.store(&book.count, uint64_t{1});
            const size_t note = leaks ? history.begin("") : none;
            region.persist(&book.count, sizeof book.count);
            history.acknowledge(note);
        };
        test.check = [](std::string_view digest, const crash::History& history) {
            const bool early = digest == "\n" && history.operations().empty();
            return std::string(early ? "early" : "");
        };
        const crash::Report report = crash::run(region, test).value();
        ASSERT_EQ(report.clean(), !leaks) << report.text();
        if (leaks) {
            EXPECT_EQ(report.violations[0].where, "begin of operation 0");
        }
    }
}

TEST(Region, TheSeedDecidesWhatIsDrawn) {
    const auto digests = [](uint64_t seed) {
        crash::Region region = new_region();
        std::set<std::string> all;
        const std::vector<std::byte> ones(2048, std::byte{1});
        const crash::Test test{
            .workload =
                [&](crash::History&) { region.copy(region.bytes().data(), ones.data(), 2048); },
            .recover = [](std::span<std::byte> image) { return crash::line_of(image.first(2048)); },
            .check =
                [&](std::string_view digest, const crash::History&) {
                    all.emplace(digest);
                    return std::string();
                }};
        EXPECT_TRUE(crash::run(region, test, {.seed = seed, .random_images = 5}).has_value());
        return all;
    };
    EXPECT_EQ(digests(1), digests(1));
    EXPECT_NE(digests(1), digests(2));
}

TEST(Region, ABudgetIsKept) {
    crash::Region region = new_region();
    const crash::Test test = notebook_test(region, Wrong::nothing);
    const crash::Report all = crash::run(region, test).value();
    const crash::Report few = crash::run(region, test, {.images_per_crash_point_max = 2}).value();
    EXPECT_EQ(few.crash_points, all.crash_points);
    EXPECT_LE(few.images_distinct, 2 * few.crash_points);
    EXPECT_GE(few.images_distinct, few.crash_points);
    EXPECT_EQ(all.not_tried_log10, 0);
    EXPECT_NEAR(std::pow(10, few.not_tried_log10) - 1,
                static_cast<double>(all.images_distinct - few.images_distinct), 0.5);
}

TEST(Region, EveryDomain) {
    for (const Domain domain : {Domain::byte, Domain::cache_line, Domain::page}) {
        crash::Region region = new_region(domain);
        crash::Test test = notebook_test(region, Wrong::nothing);
        for (const bool forced : {true, false}) {
            test.workload = [&](crash::History& history) {
                const size_t note = history.begin("note");
                Notebook& book = *reinterpret_cast<Notebook*>(region.bytes().data());
                const Note filled = {4, "note"};
                region.copy(&book.notes[0], &filled, sizeof filled);
                if (forced) region.persist(&book.notes[0], sizeof(Note));
                region.store(&book.count, uint64_t{1});
                region.persist(&book.count, sizeof book.count);
                history.acknowledge(note);
            };
            const crash::Report report = crash::run(region, test).value();
            EXPECT_EQ(report.clean(), forced) << name_of(domain) << report.text();
        }
    }
}

// What the region holds at the start is durable, and it holds that again at the end.
TEST(Region, ARunLeavesNoTrace) {
    crash::Region region = new_region();
    std::ranges::fill(region.bytes(), std::byte{0xFF});
    reinterpret_cast<Notebook*>(region.bytes().data())->count = 0;
    const std::vector<std::byte> before(region.bytes().begin(), region.bytes().end());
    const crash::Test test = notebook_test(region, Wrong::nothing);
    const crash::Report first = crash::run(region, test).value();
    EXPECT_TRUE(first.clean()) << first.text();
    EXPECT_TRUE(std::ranges::equal(region.bytes(), before));
    const crash::Report second = crash::run(region, test).value();
    EXPECT_EQ(second.images_distinct, first.images_distinct);
}

TEST(Region, AReplayGivesTheImage) {
    crash::Region region = new_region();
    crash::Test test = notebook_test(region, Wrong::note_not_flushed);
    std::map<std::string, std::set<std::string>> bad;  // digests, by what is wrong with them
    test.check = [&](std::string_view digest, const crash::History& history) {
        std::string wrong = crash::prefix_of_appends()(digest, history);
        if (!wrong.empty()) bad[wrong].emplace(digest);
        return wrong;
    };
    const crash::Options options{.seed = 7};
    const crash::Report report = crash::run(region, test, options).value();
    ASSERT_FALSE(report.clean());
    for (const crash::Violation& violation : report.violations) {
        auto image = crash::image_of(region, test, violation.replay);
        ASSERT_TRUE(image.has_value()) << image.error().message;
        EXPECT_TRUE(bad[violation.what].contains(recover_notebook(*image))) << violation.what;
    }
    // Another workload does not come to it.
    const crash::Test other = notebook_test(region, Wrong::nothing);
    EXPECT_FALSE(crash::image_of(region, other, report.violations[0].replay).has_value());
    EXPECT_FALSE(crash::image_of(region, test, "seed=1").has_value());
}

// Recovery writes, and what it writes is taken back before the next image.
TEST(Region, AnImageIsRecoveredAsTheCrashLeftIt) {
    crash::Region region = crash::Region::create(1 << 20, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.recover = [](std::span<std::byte> image) {
        const std::string lines = recover_notebook(image);
        // Idempotent, and wrong for every later image if it stayed there.
        reinterpret_cast<Notebook*>(image.data())->notes[14].length = 1;
        if (image[1 << 19] != std::byte{}) return std::string("dirty");
        std::ranges::fill(image.subspan(image.size() / 2 + 1), std::byte{1});
        return lines;
    };
    const crash::Report report = crash::run(region, test).value();
    EXPECT_TRUE(report.clean()) << report.text();
    crash::Test spoiled = test;
    spoiled.recover = [](std::span<std::byte> image) {
        std::string lines = recover_notebook(image);
        const bool dirty = image[1 << 19] != std::byte{};
        image[1 << 19] = std::byte{1};
        return dirty ? "dirty" : lines;
    };
    // What it leaves is there for the recovery of that, and for no other image.
    const crash::Report left = crash::run(region, spoiled).value();
    ASSERT_FALSE(left.clean());
    for (const crash::Violation& violation : left.violations)
        EXPECT_EQ(violation.kind, crash::ViolationKind::not_idempotent) << violation.what;
    EXPECT_LE(left.violations.size(), left.images_distinct / 16 + 1);
}

TEST(Region, TheWorkloadSeesNothingOfRecovery) {
    crash::Region region = new_region();
    crash::Test test = notebook_test(region, Wrong::nothing);
    static int changed_by_workload = 0;
    test.workload = [&](crash::History& history) {
        changed_by_workload = 1;
        write_notes(NotebookWriter(region, Wrong::nothing), history);
    };
    test.recover = [](std::span<std::byte> image) {
        return changed_by_workload == 0 ? recover_notebook(image) : "leaked";
    };
    EXPECT_TRUE(crash::run(region, test).value().clean());
}

}  // namespace
}  // namespace kit_test
