// Power fails inside of the recovery of a structure in a region.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cinnabar/crash.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "crash/inside.hpp"
#include "explain/replay.hpp"
#include "kit/folder.hpp"
#include "kit/redo_log.hpp"
#include "kit/violation.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;
using cinnabar::Domain;
using crash::ViolationKind;

constexpr const char* kInside = ", then inside of the recovery: ";

Persist persist_to(crash::Region& region) {
    return [&region](const void* from, size_t length, crash::Where where) {
        region.persist(from, length, where);
    };
}

RedoLog& log_at(std::span<std::byte> memory) {
    return *reinterpret_cast<RedoLog*>(memory.data());
}

// The log lies in the region's last page. Its recovery attaches a region in this domain.
crash::Test redo_test(crash::Region& region, Redo how, Domain domain) {
    const auto last_page = [](std::span<std::byte> all) { return all.last(4096); };
    return {.workload =
                [&region, last_page](crash::History& history) {
                    set_amounts({log_at(last_page(region.bytes())), persist_to(region)}, history);
                },
            .recover =
                [how, domain, last_page](std::span<std::byte> image) {
                    const auto page = last_page(image);
                    crash::Region recovered = crash::Region::attach(page, domain).value();
                    RedoLogUser user(log_at(page), persist_to(recovered));
                    user.recover(how);
                    return user.digest();
                },
            .check = same_amounts()};
}

crash::Region new_region(size_t pages = 1, Domain domain = Domain::cache_line) {
    return crash::Region::create(pages * 4096, domain).value();
}

crash::Report redo_report(Redo how, const crash::Options& options = {}) {
    crash::Region region = new_region();
    return crash::run(region, redo_test(region, how, region.domain()), options).value();
}

std::vector<std::byte> bytes_of_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

std::string sum_in(std::span<const std::byte> image) {
    char text[32];
    std::snprintf(text, sizeof text, " sum=%08x", cinnabar::explain::sum_of(image));
    return text;
}

TEST(RecoveryCrash, ARightRecoveryStandsIt) {
    for (const Domain domain : {Domain::cache_line, Domain::byte, Domain::page}) {
        crash::Region region = new_region(2, domain);  // the log is in the second page
        const auto report = crash::run(region, redo_test(region, Redo::right, domain)).value();
        EXPECT_TRUE(report.clean()) << report.text();
        EXPECT_GT(report.recoveries_crashed, 2u) << report.text();
        // Before its two fences; after them nothing is new.
        EXPECT_GE(report.recovery_crash_points, 2 * report.recoveries_crashed) << report.text();
        EXPECT_GT(report.recovery_images, report.recovery_crash_points) << report.text();
        EXPECT_EQ(report.recovery_not_tried_log10, 0) << report.text();
        const std::string words =
            "inside of recovery: " + std::to_string(report.recovery_crash_points) +
            " crash points in " + std::to_string(report.recoveries_crashed) + " recoveries, " +
            std::to_string(report.recovery_images) + " images; not tried: 0\n";
        EXPECT_NE(report.text().find(words), std::string::npos) << report.text();
        EXPECT_NE(report.json().find("\"recoveries_crashed\": " +
                                     std::to_string(report.recoveries_crashed) + ", "),
                  std::string::npos);
        EXPECT_TRUE(report.remarks.empty()) << report.text();
    }
}

// What only a crash in there shows: whoever lets recovery end finds nothing.
TEST(RecoveryCrash, ARecoveryInTheWrongOrderIsFound) {
    for (const Redo how : {Redo::done_before_redone, Redo::done_in_one_fence,
                           Redo::erased_before_copied, Redo::forces_nothing}) {
        const crash::Report without = redo_report(how, {.recovery_crashes_max = 0});
        EXPECT_TRUE(without.clean()) << without.text();
        EXPECT_EQ(without.recoveries_crashed, 0u);
        EXPECT_EQ(without.text().find("inside of recovery"), std::string::npos);

        const crash::Report report = redo_report(how);
        expect_violation(report, ViolationKind::wrong, "is not the state after any first");
        ASSERT_FALSE(report.clean());
        const crash::Violation& found = report.violations[0];
        EXPECT_NE(found.where.find(kInside), std::string::npos) << report.text();
        EXPECT_GT(found.crash_point, 1u) << report.text();
        EXPECT_GT(found.recovery_crash_point, 0u) << report.text();
        EXPECT_NE(found.order, "") << report.text();
        EXPECT_LE(report.recoveries_crashed, 5u) << "it goes on behind violations_max";
        EXPECT_NE(report.text().find("stopped, there may be more"), std::string::npos);
    }
}

// One mistake, told once: with all crash points in there at which it was found.
TEST(RecoveryCrash, EachRecoveryHasCrashPointsOfItsOwn) {
    const crash::Report report = redo_report(Redo::done_before_redone, {.violations_max = 1000});
    ASSERT_FALSE(report.clean());
    for (const crash::Violation& violation : report.violations)
        EXPECT_LE(violation.crash_points, violation.images) << report.text();
    EXPECT_GE(report.violations[0].crash_points, 2u) << report.text();
    EXPECT_LE(report.violations[0].crash_points, report.recovery_crash_points) << report.text();
    EXPECT_NE(report.text().find(" at " + std::to_string(report.violations[0].crash_points) +
                                 " crash points"),
              std::string::npos)
        << report.text();
}

// The same calls are wrong in the workload and in recovery: two violations.
TEST(RecoveryCrash, InThereAndOutHereIsNotTheSame) {
    crash::Region region = new_region();
    crash::Test test = redo_test(region, Redo::done_before_redone, region.domain());
    test.workload = [&region](crash::History& history) {
        set_amounts({log_at(region.bytes()), persist_to(region)}, history,
                    Redo::done_before_redone);
    };
    const auto report = crash::run(region, test).value();
    const auto inside = [&](const crash::Violation& one) { return one.recovery_crash_point > 0; };
    const auto found = std::ranges::count_if(report.violations, inside);
    EXPECT_GT(found, 0) << report.text();
    EXPECT_LT(found, static_cast<long>(report.violations.size())) << report.text();
    const auto both = [&](const crash::Violation& one) {
        return inside(one) && std::ranges::any_of(report.violations, [&](const auto& other) {
                   return !inside(other) && other.order == one.order;
               });
    };
    EXPECT_TRUE(std::ranges::any_of(report.violations, both)) << report.text();
}

TEST(RecoveryCrash, SaysWhatIsLostInThere) {
    const crash::Report report = redo_report(Redo::done_in_one_fence, {.violations_max = 1});
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    const crash::Violation& found = report.violations[0];
    EXPECT_TRUE(found.where.starts_with("fence at redo_log.hpp:")) << report.text();
    EXPECT_NE(found.where.find(std::string(kInside) + "fence at redo_log.hpp:"), std::string::npos)
        << report.text();
    EXPECT_NE(found.lost.find("offset 448, before flush at redo_log.hpp:"), std::string::npos)
        << report.text();
    EXPECT_NE(found.order.find("must be durable before"), std::string::npos) << report.text();
    // Another line of the same call is lost then.
    EXPECT_TRUE(found.fix.starts_with(
        "with a flush and a fence between the two it is found all the same: of what is stored"))
        << report.text();
    EXPECT_NE(report.json().find("\"recovery_crash_point\": 1, "), std::string::npos)
        << report.json();
}

TEST(RecoveryCrash, TheReplayIsTheKeptImage) {
    for (const Redo how :
         {Redo::done_before_redone, Redo::done_in_one_fence, Redo::erased_before_copied}) {
        const Folder images, pages;
        crash::Region region = new_region(2);
        const crash::Test test = redo_test(region, how, region.domain());
        const auto report =
            crash::run(region, test, {.image_folder = images.path(), .page_folder = pages.path()});
        ASSERT_FALSE(report->clean());
        for (const crash::Violation& violation : report->violations) {
            const auto image = crash::image_of(region, test, violation.replay);
            ASSERT_TRUE(image.has_value()) << image.error().message;
            EXPECT_TRUE(violation.replay.ends_with(sum_in(*image))) << violation.replay;
            ASSERT_TRUE(violation.image_file.starts_with(images.file("violation-")));
            EXPECT_EQ(bytes_of_file(violation.image_file), *image);
            EXPECT_TRUE(violation.page_file.starts_with(pages.file("violation-")));
            const auto page = bytes_of_file(violation.page_file);
            const std::string text(reinterpret_cast<const char*>(page.data()), page.size());
            EXPECT_NE(text.find(" then build="), std::string::npos);
            // And it is what recovery fails on.
            std::vector<std::byte> recovered = *image;
            RedoLogUser user(log_at(std::span(recovered).last(4096)), [](auto...) {});
            user.recover(how);
            const std::string digest = user.digest();
            const std::string line = crash::line_of(std::as_bytes(std::span(digest)));
            EXPECT_TRUE(violation.what.starts_with("'" + line + "' is not")) << line;
        }
        const auto left = std::filesystem::directory_iterator(images.path());
        for (const auto& entry : left) EXPECT_TRUE(entry.is_regular_file()) << entry.path();
    }
}

TEST(RecoveryCrash, AnotherReplayLineIsRefused) {
    crash::Region region = new_region();
    const crash::Test test = redo_test(region, Redo::done_before_redone, region.domain());
    const crash::Test other = redo_test(region, Redo::erased_before_copied, region.domain());
    const std::string line = redo_report(Redo::done_before_redone).violations[0].replay;
    const std::string first = line.substr(0, line.find(" then ")),
                      second = line.substr(line.find(" then ") + 6);
    ASSERT_TRUE(crash::image_of(region, test, line).has_value());
    const auto refusal = [&](const crash::Test& of, const std::string& replay) {
        const auto image = crash::image_of(region, of, replay);
        if (image) return std::string("it is taken");
        EXPECT_EQ(image.error().code, cinnabar::Errc::invalid_argument) << replay;
        return image.error().message;
    };
    for (const std::string& nonsense : {std::string(" then "), first + " then ", first + " then x",
                                        " then " + second, line + " then " + second, line + " "})
        EXPECT_NE(refusal(test, nonsense).find("is no replay line"), std::string::npos)
            << nonsense << ": " << refusal(test, nonsense);
    EXPECT_NE(refusal(other, line).find("has stored elsewhere"), std::string::npos)
        << refusal(other, line);
    std::string late = second;
    late.replace(late.find("crash_point="), 13, "crash_point=9");
    EXPECT_NE(refusal(test, first + " then " + late).find("ends before the crash point"),
              std::string::npos);
    // The image's own line is one still.
    EXPECT_TRUE(crash::image_of(region, test, first).has_value());
}

TEST(RecoveryCrash, ASecondRecoveryThatFails) {
    const crash::Options quick{.recovery_time_max = std::chrono::milliseconds(1000),
                               .violations_max = 1};
    crash::Options none = quick;
    none.recovery_crashes_max = 0;
    const std::pair<Redo, ViolationKind> all[] = {{Redo::hangs_again, ViolationKind::hung},
                                                  {Redo::dies_again, ViolationKind::crashed}};
    for (const auto& [how, kind] : all) {
        EXPECT_TRUE(redo_report(how, none).clean()) << redo_report(how, none).text();
        const crash::Report report = redo_report(how, quick);
        expect_violation(report, kind, "recovery ");
        EXPECT_NE(report.violations[0].where.find(kInside), std::string::npos) << report.text();
    }
}

// The oracle is the run's, with its history.
TEST(RecoveryCrash, AnOracleThatThrows) {
    crash::Region region = new_region();
    crash::Test test = redo_test(region, Redo::done_before_redone, region.domain());
    test.check = [](std::string_view digest, const crash::History& history) {
        if (digest == "0\n0\n10\n")
            throw std::runtime_error(history.operations()[0].what + " euro");
        return std::string();
    };
    const auto report = crash::run(region, test).value();
    expect_violation(report, ViolationKind::oracle_threw, "the oracle threw: 10 euro");
    ASSERT_FALSE(report.clean());
    EXPECT_EQ(report.violations[0].what, "the oracle threw: 10 euro");
}

// The image was recovered rightly before.
TEST(RecoveryCrash, ARecoveryThatDiesInTheSecondProcess) {
    auto* pids = static_cast<std::atomic<pid_t>*>(
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(pids, MAP_FAILED);
    crash::Region region = new_region();
    crash::Test test = redo_test(region, Redo::right, region.domain());
    test.recover = [pids, recover = test.recover](std::span<std::byte> image) {
        pid_t nobody = 0;
        pids[0].compare_exchange_strong(nobody, ::getpid());
        if (pids[0] != ::getpid() && pids[1].exchange(1) == 0) std::abort();
        return recover(image);
    };
    const auto report = crash::run(region, test).value();
    expect_violation(report, ViolationKind::not_deterministic,
                     "recovery, run once more for power to fail inside of it, died: Aborted");
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_EQ(report.violations[0].recovery_crash_point, 0u);
    EXPECT_TRUE(crash::image_of(region, test, report.violations[0].replay).has_value());
    ::munmap(pids, 4096);
}

TEST(RecoveryCrash, WhatIsNotSeenIsRemarked) {
    const auto remark_of = [](const crash::Report& report) {
        EXPECT_TRUE(report.clean()) << report.text();
        EXPECT_GT(report.recoveries_crashed, 0u) << report.text();
        EXPECT_EQ(report.recovery_crash_points, 0u) << report.text();
        EXPECT_EQ(report.recovery_images, 0u) << report.text();
        return report.remarks.size() == 1 ? report.remarks[0].rule : report.text();
    };
    crash::Region region = new_region();
    crash::Test plain = redo_test(region, Redo::done_before_redone, region.domain());
    plain.recover = [](std::span<std::byte> image) {
        RedoLogUser user(log_at(image), [](auto...) {});
        user.recover(Redo::done_before_redone);
        return user.digest();
    };
    EXPECT_EQ(remark_of(crash::run(region, plain).value()),
              "power fails nowhere inside of recovery: it stores to its image, and calls nothing "
              "that makes that durable");
    EXPECT_EQ(
        remark_of(
            crash::run(region, redo_test(region, Redo::done_before_redone, Domain::page)).value()),
        "power fails in no further part of recovery: recovery attaches a region to its image "
        "in another domain than the workload's region has");
}

// A recovery that stores nothing is not crashed, and nothing is said.
TEST(RecoveryCrash, ARecoveryThatReadsOnly) {
    crash::Region region = new_region();
    crash::Test test = redo_test(region, Redo::right, region.domain());
    test.recover = [](std::span<std::byte> image) { return std::to_string(image.size()); };
    test.check = [](std::string_view, const crash::History&) { return std::string(); };
    const auto report = crash::run(region, test).value();
    EXPECT_TRUE(report.clean());
    EXPECT_EQ(report.recoveries_crashed, 0u);
    EXPECT_TRUE(report.remarks.empty()) << report.text();
}

// Words that recovery stores, each in a line, in every image; the workload has stored this one.
crash::Test words_test(crash::Region& region, uint64_t operations, size_t words,
                       std::function<std::string(uint64_t stored, const uint64_t* words)> digest) {
    return {
        .workload =
            [&region, operations](crash::History&) {
                auto* stored = reinterpret_cast<uint64_t*>(region.bytes().data());
                for (uint64_t i = 0; i < operations; ++i) {
                    region.store(stored, *stored + 1);
                    region.persist(stored, sizeof *stored);
                }
            },
        .recover =
            [words, digest](std::span<std::byte> image) {
                auto recovered = crash::Region::attach(image, Domain::cache_line).value();
                auto* all = reinterpret_cast<uint64_t*>(image.data());
                const std::string text = digest(all[0], all);
                for (size_t i = 1; i <= words; ++i) recovered.store(&all[8 * i], all[0] + 1);
                recovered.persist(all, image.size());
                return text;
            },
        .check = [](std::string_view text, const crash::History&) { return std::string(text); }};
}

TEST(RecoveryCrash, WordsOfAnOracleThatHaveNoRoomInThereAreCutOff) {
    crash::Region region = new_region();
    const auto digest = [](uint64_t, const uint64_t* words) {
        return std::string(words[8] != 0 ? "wrong" : "");
    };
    crash::Test test = words_test(region, 2, 1, digest);
    test.check = [](std::string_view text, const crash::History&) {
        return text.empty() ? "" : "wrong" + std::string((size_t{17} << 20) - 5, 'w');
    };
    const auto report = crash::run(region, test).value();
    const auto is_inside = [](const crash::Violation& one) {
        return one.kind == ViolationKind::wrong && one.recovery_crash_point > 0;
    };
    const auto inside = std::ranges::find_if(report.violations, is_inside);
    ASSERT_NE(inside, report.violations.end());
    const crash::Violation& found = *inside;
    EXPECT_TRUE(found.what.starts_with("wrongwww"));
    EXPECT_TRUE(found.what.ends_with("ww... (17 MiB in all)"))
        << found.what.substr(found.what.size() - 40);
    EXPECT_LT(found.what.size(), size_t{64} << 10);
}

// What a run in there has to say goes through the memory that both share.
TEST(RecoveryCrash, ViolationsThatHaveNoRoomInThereAreCounted) {
    crash::Report found;
    for (const char letter : std::string("abcdefghijklmnopqrs")) {
        found.violations.emplace_back();
        found.violations.back().what = std::string(size_t{1} << 20, letter);
    }
    const crash::Report told = crash::report_of(crash::bytes_of(found));
    ASSERT_EQ(told.violations.size(), 9u);  // of 19
    for (size_t i = 0; i < 9; ++i)
        EXPECT_TRUE(told.violations[i].what == found.violations[i].what) << i;
    EXPECT_EQ(told.violations.front().not_written, "");
    EXPECT_TRUE(told.violations.back().not_written.starts_with("10 other violations that were "))
        << told.violations.back().not_written;
    found.violations.resize(15);
    EXPECT_EQ(crash::report_of(crash::bytes_of(found)).violations.size(), 15u);
}

// Of a long run not only the beginning: the last recoveries are the ones that fail.
TEST(RecoveryCrash, SpreadsOverTheRun) {
    crash::Region region = new_region();
    const auto digest = [](uint64_t stored, const uint64_t* words) {
        return std::string(stored > 150 && words[8] != 0 ? "wrong" : "");
    };
    const auto report = crash::run(region, words_test(region, 200, 1, digest)).value();
    EXPECT_FALSE(report.clean()) << report.text();
    EXPECT_LE(report.recoveries_crashed, crash::Options().recovery_crashes_max);
    EXPECT_NE(report.text().find(kInside), std::string::npos) << report.text();
}

// Many lines that recovery stores at once: so many images in there are not tried for each out here.
TEST(RecoveryCrash, TriesNoMoreInsideThanOutside) {
    crash::Region region = new_region();
    const auto digest = [](uint64_t, const uint64_t*) { return std::string(); };
    const auto report = crash::run(region, words_test(region, 30, 20, digest)).value();
    EXPECT_TRUE(report.clean()) << report.text();
    EXPECT_EQ(report.recoveries_crashed, 1u) << report.text();
    EXPECT_GT(report.recovery_images, report.images_distinct) << report.text();
    EXPECT_GT(report.recovery_not_tried_log10, 5) << report.text();
}

}  // namespace
}  // namespace kit_test
