// What a violation says of itself: the smallest image, the calls to blame, the fix that was tried,
// the replay line, and the image that is kept.
#include <gtest/gtest.h>
#include <regex.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "kit/folder.hpp"
#include "kit/notebook.hpp"
#include "kit/record.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;
using cinnabar::Domain;

// Where the pattern first fits. POSIX's, since gcc 12 warns of std::regex under sanitizers.
std::optional<std::pair<size_t, size_t>> find(const std::string& text, const std::string& pattern) {
    regex_t compiled;
    if (::regcomp(&compiled, pattern.c_str(), REG_EXTENDED) != 0) return std::nullopt;
    regmatch_t found = {};
    const bool fits = ::regexec(&compiled, text.c_str(), 1, &found, 0) == 0;
    ::regfree(&compiled);
    if (!fits) return std::nullopt;
    return std::pair(static_cast<size_t>(found.rm_so), static_cast<size_t>(found.rm_eo));
}

bool matches(const std::string& text, const std::string& pattern) {
    return find(text, "^(" + pattern + ")$").has_value();
}

// The line numbers of the two stores of a notebook, as they are in its source.
const std::string kNote = "store at notebook.hpp:43", kCount = "store at notebook.hpp:53";

TEST(CrashReport, NamesThePairOfCallsAndWhatMendsIt) {
    for (const Wrong wrong : {Wrong::note_not_flushed, Wrong::counted_in_one_fence}) {
        crash::Region region = new_region();
        const auto report = crash::run(region, notebook_test(region, wrong)).value();
        ASSERT_FALSE(report.clean());
        const crash::Violation& first = report.violations[0];
        EXPECT_EQ(first.lost, "offset 80, " + kNote);  // of "note number 0" at 72 the second word
        EXPECT_EQ(first.survived, "offset 0, " + kCount);
        std::string order = kNote;
        order.append(" (offset 80) must be durable before ").append(kCount).append(" (offset 0)");
        EXPECT_EQ(first.order, order);
        EXPECT_EQ(first.fix, "with a flush and a fence behind " + kNote + " nothing is found");
        // One word of the note's line is enough.
        EXPECT_TRUE(matches(first.replay, ".* survives=all but=64:[1.]*0[1.]* sum=.*"))
            << first.replay;
        EXPECT_NE(report.text().find("  order: " + first.order), std::string::npos);
        EXPECT_NE(report.json().find("\"fix\": \"" + first.fix), std::string::npos);
    }
}

TEST(CrashReport, SaysWhenAFenceDoesNotMendIt) {
    crash::Region region = new_region();
    const auto report = crash::run(region, notebook_test(region, Wrong::count_before_note)).value();
    ASSERT_GE(report.violations.size(), 2u);
    EXPECT_EQ(report.violations[0].order, kCount +
                                              " (offset 0) comes too early: nothing of what "
                                              "was stored by then is lost");
    EXPECT_EQ(report.violations[0].fix, "");
    EXPECT_EQ(report.violations[1].order, kNote + " (offset 80) must be durable before " + kCount +
                                              " (offset 0), which is called first");
    EXPECT_EQ(report.violations[1].fix,
              "with a flush and a fence behind " + kNote + " it is found all the same");
}

TEST(CrashReport, SaysWhenAnAcknowledgementComesTooEarly) {
    crash::Region region = new_region();
    const crash::Test test = notebook_test(region, Wrong::no_fence);
    const auto report = crash::run(region, test, {.violations_max = 1000}).value();
    ASSERT_FALSE(report.clean());
    EXPECT_EQ(report.violations[0].order,
              kNote + " (offset 80) must be durable before operation 0 is acknowledged");
    EXPECT_EQ(report.violations[0].fix, "with a flush and a fence behind " + kNote +
                                            " this is gone, and another is found: " + kCount +
                                            " (offset 0) must be durable before operation 0 is "
                                            "acknowledged");
}

std::string half_of(const uint64_t* words) {
    return words[0] == 1 && words[8] == 0 ? "half" : "";
}

std::string half(std::span<std::byte> image) {
    return half_of(reinterpret_cast<const uint64_t*>(image.data()));
}

// A store comes before the promise behind it, whatever is called in between.
TEST(CrashReport, AForceBeforeThePromiseMendsWhatIsNeverForced) {
    crash::Region region = new_region();
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    const crash::Test test{.workload =
                               [&](crash::History& history) {
                                   const size_t one = history.begin("one");
                                   words[0] = 1;
                                   history.acknowledge(one);
                               },
                           .recover =
                               [](std::span<std::byte> image) {
                                   return std::string(image[0] == std::byte{1} ? "one\n" : "");
                               },
                           .check = crash::prefix_of_appends()};
    const auto report = crash::run(region, test).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_EQ(report.violations[0].fix,
              "with a flush and a fence before acknowledged operation 0 nothing is found");
}

// The next run begins over the same bytes, but of itself a workload may go elsewhere: it comes to
// the call of the fix (and so to many crash points of that), and not to what failed, or not to all
// operations.
TEST(CrashReport, OfAWorkloadThatWentElsewhereNothingIsSaid) {
    for (const bool fewer_operations : {false, true}) {
        crash::Region region = new_region();
        auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
        int runs = 0;
        const crash::Test test{.workload =
                                   [&](crash::History& history) {
                                       const bool is_first = ++runs == 1;
                                       const auto store = [&](size_t line) {
                                           region.store(&words[line * 8], uint64_t{1});
                                       };
                                       history.begin("one");
                                       store(10);
                                       region.persist(&words[80], 8);
                                       store(1);
                                       if (is_first || fewer_operations) store(0);
                                       if (!is_first)
                                           for (size_t line = 11; line < 20; ++line) store(line);
                                       if (is_first || fewer_operations) region.persist(words, 128);
                                       if (is_first) history.begin("two");
                                   },
                               .recover = half,
                               .check = as_digested};
        const auto report = crash::run(region, test).value();
        ASSERT_EQ(report.violations.size(), 1u) << report.text();
        EXPECT_EQ(report.violations[0].crash_point, 3u);
        EXPECT_TRUE(report.violations[0].fix.ends_with(
            " the workload went elsewhere when it was run again"))
            << report.text();
    }
}

// By as many steps: to another line, or to the same ones with other values.
TEST(CrashReport, OfOtherStoresNothingIsSaidAndOtherValuesAreSaid) {
    for (const bool other_line : {false, true}) {
        crash::Region region = new_region();
        auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
        uint64_t runs = 0;
        const crash::Test test{.workload =
                                   [&](crash::History&) {
                                       const uint64_t run = ++runs;
                                       region.store(&words[80 + (other_line ? 8 * run : 0)], run);
                                       region.store(&words[8], uint64_t{1});
                                       region.store(&words[0], uint64_t{1});
                                       region.persist(words, 1024);
                                   },
                               .recover = half,
                               .check = as_digested};
        const auto report = crash::run(region, test).value();
        ASSERT_EQ(report.violations.size(), 1u) << report.text();
        EXPECT_TRUE(report.violations[0].fix.ends_with(
            other_line ? " the workload went elsewhere when it was run again"
                       : ", and other values stored this time, nothing is found"))
            << report.text();
    }
}

// Where the search was stopped by other violations, this one need not be gone.
TEST(CrashReport, AFixIsSaidToMendOnlyWhatWasTried) {
    crash::Region region = new_region();
    const crash::Test test = notebook_test(region, Wrong::no_fence);
    const auto report = crash::run(region, test, {.violations_max = 1}).value();
    ASSERT_EQ(report.violations.size(), 1u);
    EXPECT_TRUE(report.violations[0].fix.starts_with(
        "with a flush and a fence behind " + kNote +
        " this is not found, of what was tried, and another is: "))
        << report.text();
}

TEST(CrashReport, ReducesAnImageOfManyLines) {
    crash::Region region = new_region();
    // The first image that fails: the count survives, and no other line.
    const crash::Test test = record_test(region, 200, true);
    const crash::Options one{.violations_max = 1};
    const auto report = crash::run(region, test, one).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_TRUE(
        matches(report.violations[0].replay, ".* survives=(all|nothing) but=[0-9]+:[01] sum=.*"))
        << report.violations[0].replay;
    EXPECT_EQ(count_of(report.violations[0].lost, "offset"), 1u) << report.violations[0].lost;
    EXPECT_TRUE(report.violations[0].survived.starts_with("offset 0, store at")) << report.text();
    EXPECT_EQ(count_of(report.violations[0].survived, "offset"), 1u);
    EXPECT_NE(report.violations[0].order.find(", which is called first"), std::string::npos)
        << report.text();
    crash::Options plain = one;
    plain.reduction_images_max = 0;
    const auto as_found = crash::run(region, test, plain).value();
    EXPECT_NE(as_found.violations[0].lost.find("; and 192 lines more"), std::string::npos)
        << as_found.text();
    EXPECT_EQ(as_found.violations[0].order, "");
    const auto image = crash::image_of(region, test, as_found.violations[0].replay);
    EXPECT_TRUE(image.has_value()) << image.error().message;
}

// Where nothing has to survive, what is lost is asked of that failure, and not of another one that
// the same lines could come to: the note that was promised, and not the one in flight.
TEST(CrashReport, BothDirectionsAreOfOneFailure) {
    crash::Region region = new_region();
    const crash::Test test = notebook_test(region, Wrong::note_not_flushed);
    const auto report = crash::run(region, test, {.violations_max = 100}).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_EQ(report.violations[0].order,
              kNote + " (offset 80) must be durable before " + kCount + " (offset 0)");
}

// One call that tears: no order of calls mends that.
TEST(CrashReport, ATornCallIsNamed) {
    crash::Region region = new_region();
    crash::Test test = record_test(region, 1);
    test.workload = [&](crash::History& history) {
        const std::array<uint64_t, 16> both{1, 0, 0, 0, 0, 0, 0, 0, 1};
        history.begin("all");
        region.copy(region.bytes().data(), both.data(), sizeof both);
        region.persist(region.bytes().data(), sizeof both);
    };
    const auto report = crash::run(region, test).value();
    ASSERT_FALSE(report.clean());
    EXPECT_TRUE(matches(report.violations[0].order, "store at .* \\(offset 64\\) is torn: .*"))
        << report.text();
    EXPECT_EQ(report.violations[0].fix, "");
}

// Two calls at one place of the source are two: a fence between them helps.
TEST(CrashReport, TwoCallsAtOnePlaceAreNotTorn) {
    crash::Region region = new_region();
    crash::Test test = record_test(region, 1);
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    test.workload = [&](crash::History& history) {
        history.begin("all");
        for (const size_t word : {8, 0}) region.store(&words[word], uint64_t{1});
        region.persist(words, 128);
    };
    const auto report = crash::run(region, test).value();
    ASSERT_FALSE(report.clean());
    EXPECT_TRUE(matches(report.violations[0].order,
                        "store at .* \\(offset 64\\) must be durable before store at .* "
                        "\\(offset 0\\)"))
        << report.text();
    EXPECT_TRUE(matches(report.violations[0].fix, ".* behind store at .* nothing is found"))
        << report.text();
}

// Plain stores of which the next call sees that they were made, and no order.
TEST(CrashReport, PlainStoresAreOrderedByAFenceBetweenThem) {
    crash::Region region = new_region();
    crash::Test test = record_test(region, 1);
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    test.workload = [&](crash::History& history) {
        history.begin("all");
        words[0] = words[8] = 1;
        region.persist(words, 128);
    };
    const auto report = crash::run(region, test).value();
    ASSERT_FALSE(report.clean());
    EXPECT_TRUE(matches(report.violations[0].order,
                        "of what is stored before flush at report_test.cpp:[0-9]+, offset 64 must "
                        "be durable before offset 0"))
        << report.text();
    EXPECT_EQ(report.violations[0].fix,
              "with a flush and a fence between the two nothing is found");
}

// Of two stores to a line that are lost, and two that survive, the pair that leaves most room.
TEST(CrashReport, OfSeveralStoresTheFirstLostAndTheLastThatSurvived) {
    crash::Region region = new_region();
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    unsigned line = 0;
    const crash::Test test{.workload =
                               [&](crash::History&) {
                                   line = __LINE__ + 1;  // of the first store; each has its own
                                   region.store(&words[0], uint64_t{1});
                                   region.store(&words[1], uint64_t{1});
                                   region.store(&words[8], uint64_t{1});
                                   region.store(&words[9], uint64_t{1});
                                   region.store(&words[16], uint64_t{1});
                                   region.store(&words[24], uint64_t{1});
                                   region.persist(words, 256);
                               },
                           .recover =
                               [](std::span<std::byte> image) {
                                   const auto* found =
                                       reinterpret_cast<const uint64_t*>(image.data());
                                   const bool wrong = found[0] == 0 && found[9] == 1 &&
                                                      found[16] == 0 && found[24] == 1;
                                   return std::string(wrong ? "wrong" : "");
                               },
                           .check = [](std::string_view digest,
                                       const crash::History&) { return std::string(digest); }};
    const auto report = crash::run(region, test).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    const auto place = [&](unsigned store, const char* offset) {
        return "store at report_test.cpp:" + std::to_string(line + store) + " (offset " + offset +
               ")";
    };
    EXPECT_EQ(report.violations[0].order,
              place(0, "0") + " must be durable before " + place(5, "192"));
    EXPECT_EQ(report.violations[0].lost,
              "offset 0, store at report_test.cpp:" + std::to_string(line) +
                  "; offset 128, store at report_test.cpp:" + std::to_string(line + 4));
    EXPECT_EQ(report.violations[0].survived,
              "offset 72, store at report_test.cpp:" + std::to_string(line + 3) +
                  "; offset 192, store at report_test.cpp:" + std::to_string(line + 5));
}

// Not the line's, nor the word's: of each the first byte that the crash left otherwise.
TEST(CrashReport, TheFirstByteIsNamed) {
    crash::Region region = new_region();
    std::byte* bytes = region.bytes().data();
    const crash::Test test{
        .workload =
            [&](crash::History&) {
                const std::array<std::byte, 16> same{};
                region.copy(&bytes[0], same.data(), same.size());  // changes nothing
                region.store(reinterpret_cast<uint16_t*>(&bytes[14]), uint16_t{0x100});
                region.store(reinterpret_cast<uint8_t*>(&bytes[64 + 37]), uint8_t{1});
                region.persist(bytes, 128);
            },
        .recover =
            [](std::span<std::byte> image) {
                return std::string(image[15] == std::byte{0} && image[101] != std::byte{0} ? "half"
                                                                                           : "");
            },
        .check = [](std::string_view digest,
                    const crash::History&) { return std::string(digest); }};
    const auto report = crash::run(region, test).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_TRUE(report.violations[0].lost.starts_with("offset 15, store at")) << report.text();
    EXPECT_TRUE(report.violations[0].survived.starts_with("offset 101, store at"));
    EXPECT_TRUE(matches(report.violations[0].order, ".*\\(offset 15\\) must .*\\(offset 101\\)"));
}

// Images that fail for one reason, in one word or another of a record, are one violation.
TEST(CrashReport, OneReasonIsOneViolation) {
    crash::Region region = new_region();
    crash::Test test = record_test(region, 1);
    test.workload = [&](crash::History& history) {
        std::array<uint64_t, 8> record{};
        record.fill(7);
        history.begin("all");
        region.copy(&region.bytes()[64], record.data(), sizeof record);
        region.store(reinterpret_cast<uint64_t*>(region.bytes().data()), uint64_t{1});
        region.persist(region.bytes().data(), 128);
    };
    test.recover = [](std::span<std::byte> image) {
        const auto* words = reinterpret_cast<const uint64_t*>(image.data());
        for (size_t word = 8; word < 16; ++word)
            if (words[0] == 1 && words[word] != 7) return "torn at " + std::to_string(word);
        return std::string();
    };
    test.check = as_digested;
    crash::Options options;
    options.violations_max = 100;
    const auto report = crash::run(region, test, options).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_GT(report.violations[0].images, 10u);
}

// 60 lines, from the third on; the first has a count and the second its record.
void store_sixty_lines(crash::Region& region, uint64_t* words) {
    for (size_t line = 2; line < 62; ++line) region.store(&words[line * 8], uint64_t{line});
}

// They are durable then, in the second operation, and one more is stored.
void force_sixty_lines(crash::Region& region, uint64_t* words, crash::History& history) {
    history.begin("second");
    region.persist(&words[16], 60 * 64);
    region.store(&words[62 * 8], uint64_t{1});
    history.begin("third");
}

// A count before its record, both never forced, which is wrong where of 60 other lines all are
// there or none. While these are pending the budget leaves out what fails; beside durable ones not.
crash::Test late_test(crash::Region& region) {
    crash::Test test = record_test(region, 1);
    test.workload = [&](crash::History& history) {
        auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
        history.begin("first");
        region.store(&words[8], uint64_t{1});
        region.store(&words[0], uint64_t{1});
        store_sixty_lines(region, words);
        force_sixty_lines(region, words, history);
    };
    test.recover = [](std::span<std::byte> image) {
        const auto* words = reinterpret_cast<const uint64_t*>(image.data());
        for (size_t line = 3; line < 62; ++line)
            if ((words[line * 8] != 0) != (words[16] != 0)) return std::string();
        return half_of(words);
    };
    test.check = as_digested;
    return test;
}

TEST(CrashReport, TheEarliestCrashPointHasTheFewestOperations) {
    const Folder folder;
    crash::Region region = new_region();
    const crash::Test test = late_test(region);
    crash::Options options{.images_per_crash_point_max = 12, .random_images = 0, .fixes_max = 0};
    const crash::Violation late = crash::run(region, test, options).value().violations.at(0);
    EXPECT_TRUE(late.where.starts_with("begin of operation 2")) << late.where;
    EXPECT_EQ(late.operations, 2u);
    EXPECT_EQ(
        late.since,
        "operation 1 (crash point 3); no earlier crash point fails so, of what was tried there");
    options.fixes_max = 1;
    options.image_folder = options.page_folder = folder.path();
    std::filesystem::create_directory(folder.file("cinnabar-earlier.abcdef"));  // it was killed
    std::filesystem::create_directory(folder.file("earlier.backup"));           // somebody's own
    const auto report = crash::run(region, test, options).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    const crash::Violation& early = report.violations[0];
    EXPECT_TRUE(early.where.starts_with("begin of operation 1")) << early.where;
    EXPECT_EQ(early.operations, 1u);
    EXPECT_EQ(
        early.since,
        "operation 0 (crash point 2); no earlier crash point fails so, of what was tried there");
    EXPECT_EQ(early.order, late.order);
    EXPECT_GT(early.images, late.images);
    EXPECT_TRUE(early.fix.ends_with(" nothing is found, of what was tried")) << report.text();
    EXPECT_EQ(early.image_file, folder.file("violation-1.image"));
    const auto image = crash::image_of(region, test, early.replay);
    ASSERT_TRUE(image.has_value()) << image.error().message;
    const std::string kept = text_of_file(early.image_file);
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(kept)), *image));
    EXPECT_NE(text_of_file(early.page_file).find(early.replay), std::string::npos);
    EXPECT_TRUE(std::filesystem::remove(folder.file("earlier.backup")));
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
        EXPECT_FALSE(entry.is_directory()) << entry.path();
}

// A fence behind the record mends nothing where the count is stored before it; but there 62 lines
// are pending, of which the budget leaves out what fails. The violation's own lines show it.
TEST(CrashReport, ABudgetDoesNotHideThatAFixMendsNothing) {
    crash::Region region = new_region();
    crash::Test test = late_test(region);
    test.workload = [&](crash::History& history) {
        auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
        history.begin("first");
        store_sixty_lines(region, words);
        region.store(&words[0], uint64_t{1});
        region.store(&words[8], uint64_t{1});
        force_sixty_lines(region, words, history);
    };
    test.recover = [](std::span<std::byte> image) {
        const auto* words = reinterpret_cast<const uint64_t*>(image.data());
        for (size_t line = 2; line < 62; ++line)
            if (words[line * 8] == 0) return std::string();
        return half_of(words);
    };
    const crash::Options options{.images_per_crash_point_max = 12, .random_images = 0};
    const auto report = crash::run(region, test, options).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_TRUE(report.violations[0].fix.ends_with(" it is found all the same")) << report.text();
}

TEST(CrashReport, SaysWhatIsKnownOfEarlierCrashPoints) {
    crash::Region region = new_region();
    crash::Test test = record_test(region, 1);
    const auto since = [&] { return crash::run(region, test).value().violations.at(0).since; };
    EXPECT_EQ(
        since(),
        "operation 0 (crash point 2); no earlier crash point fails so, and all images there were "
        "tried");
    test.check = [](std::string_view, const crash::History&) { return "wrong"; };
    test.workload = [&](crash::History&) { region.persist(region.bytes().data(), 8); };
    EXPECT_EQ(since(), "before any operation (crash point 1, the first)");
}

// There may be more only where something is left to try.
TEST(CrashReport, StoppedIsWhatLeavesImagesUntried) {
    crash::Region region = new_region();
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    const auto report_of = [&](std::string_view wrong, bool more_comes) {
        const crash::Test test{
            .workload =
                [&](crash::History&) {
                    region.store(&words[0], uint64_t{1});
                    region.persist(words, 8);
                    if (more_comes) region.store(&words[1], uint64_t{1});
                },
            .recover = [](std::span<std::byte> image) { return std::to_string(int(image[0])); },
            .check =
                [&](std::string_view digest, const crash::History&) {
                    return std::string(digest == wrong ? "wrong" : "");
                }};
        return crash::run(region, test, {.violations_max = 1, .fixes_max = 0}).value();
    };
    // Two images at one crash point, of which the first fails, or the last.
    EXPECT_TRUE(report_of("0", false).stopped);
    const crash::Report last = report_of("1", false);
    EXPECT_FALSE(last.stopped);
    EXPECT_TRUE(last.text().ends_with("1 violation\n")) << last.text();
    EXPECT_EQ(last.not_tried_log10, 0);
    // The last there, and another crash point comes.
    const crash::Report more = report_of("1", true);
    EXPECT_TRUE(more.stopped);
    EXPECT_TRUE(more.text().ends_with("1 violation; stopped, there may be more\n"));
}

// The operation whose record is lost is to blame, not the last one that was acknowledged.
TEST(CrashReport, TheBrokenPromiseIsFound) {
    crash::Region region = new_region();
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    const crash::Test test{
        .workload =
            [&](crash::History& history) {
                for (uint64_t i = 0; i < 3; ++i) {
                    const size_t operation = history.begin(std::to_string(i));
                    region.store(&words[i * 8], i + 1);
                    if (i != 1) region.persist(&words[i * 8], 8);
                    history.acknowledge(operation);
                }
            },
        .recover =
            [](std::span<std::byte> image) {
                std::string lines;
                for (uint64_t i = 0; i < 3; ++i)
                    if (reinterpret_cast<const uint64_t*>(image.data())[i * 8] != 0)
                        lines += std::to_string(i) + "\n";
                return lines;
            },
        .check = crash::acknowledged_subset()};
    const auto report = crash::run(region, test).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_TRUE(
        report.violations[0].order.ends_with(" must be durable before operation 1 is "
                                             "acknowledged"))
        << report.text();
    EXPECT_GT(report.violations[0].images, 3u);  // of later crash points too
}

// Two slots, and which of them counts, which is switched before the new one is there. What was
// promised of the value before says nothing of the new one's store.
TEST(CrashReport, AnOlderPromiseIsNotOfAStoreThatCameLater) {
    crash::Region region = new_region();
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    const auto switch_and_fill = [&](crash::History& history, uint64_t value) {
        const size_t operation = history.begin(std::to_string(value));
        const uint64_t other = 1 - words[0];
        region.store(&words[0], other);
        const std::string switched = "store at report_test.cpp:" + std::to_string(__LINE__ - 1);
        region.persist(&words[0], 8);
        region.store(&words[8 * (1 + other)], value);
        region.persist(&words[8 * (1 + other)], 8);
        history.acknowledge(operation);
        return switched;
    };
    std::string switched;
    const crash::Test test{.workload =
                               [&](crash::History& history) {
                                   switch_and_fill(history, 1);
                                   switched = switch_and_fill(history, 2);
                               },
                           .recover =
                               [](std::span<std::byte> image) {
                                   const auto* slots =
                                       reinterpret_cast<const uint64_t*>(image.data());
                                   return std::to_string(slots[8 * (1 + (slots[0] & 1))]);
                               },
                           .check =
                               [](std::string_view digest, const crash::History& history) {
                                   const auto& all = history.operations();
                                   const bool promised = !all.empty() && all[0].acknowledged;
                                   return std::string(promised && digest == "0" ? "gone" : "");
                               }};
    const auto report = crash::run(region, test).value();
    ASSERT_EQ(report.violations.size(), 2u) << report.text();
    EXPECT_TRUE(report.violations[0].order.starts_with(switched + " (offset 0) comes too early"))
        << report.text();
    EXPECT_TRUE(report.violations[1].order.ends_with(" must be durable before " + switched +
                                                     " (offset 0), which is called first"))
        << report.text();
}

// Whatever is promised: nobody holds an image against that.
TEST(CrashReport, OfASecondRecoveryNoPromiseIsBlamed) {
    crash::Region region = new_region();
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    const crash::Test test{
        .workload =
            [&](crash::History& history) {
                for (uint64_t i = 1; i <= 30; ++i) {  // one image in sixteen is recovered again
                    const size_t operation = history.begin(std::to_string(i));
                    region.store(&words[0], i);
                    region.persist(&words[0], 8);
                    history.acknowledge(operation);
                }
            },
        .recover =
            [](std::span<std::byte> image) {
                auto& value = reinterpret_cast<uint64_t&>(image[0]);
                return std::to_string(value < 2 ? value : ++value);
            },
        .check = [](std::string_view, const crash::History&) { return std::string(); }};
    const auto report = crash::run(region, test, {.fixes_max = 0}).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_EQ(report.violations[0].kind, crash::ViolationKind::not_idempotent);
    EXPECT_GT(report.violations[0].operations, 2u);
    EXPECT_EQ(report.violations[0].order,
              "none helps: what was durable by then fails, whatever survives beside it");
}

// Reducing leaves the search as it was.
TEST(CrashReport, ReductionChangesNoOtherImage) {
    const auto images = [](uint64_t reduction_images_max) {
        crash::Region region = new_region();
        crash::Options options;
        options.violations_max = 1'000'000;
        options.reduction_images_max = reduction_images_max;
        options.fixes_max = 0;
        options.random_images = 0;
        const auto report = crash::run(region, record_test(region, 6, true), options).value();
        uint64_t failing = 0;
        for (const crash::Violation& violation : report.violations) failing += violation.images;
        return std::pair(report.images_distinct, failing);
    };
    EXPECT_EQ(images(200), images(0));
}

TEST(CrashReport, FixesInEveryDomain) {
    for (const Domain domain : {Domain::byte, Domain::cache_line, Domain::page}) {
        crash::Region region = new_region(domain);
        const auto report = crash::run(region, record_test(region, 1)).value();
        ASSERT_FALSE(report.clean()) << name_of(domain);
        const std::string words = domain == Domain::page   ? "a sync"
                                  : domain == Domain::byte ? "a fence"
                                                           : "a flush and a fence";
        EXPECT_TRUE(
            matches(report.violations[0].fix, "with " + words +
                                                  " behind store at record.hpp:[0-9]+ nothing "
                                                  "is found"))
            << report.text();
    }
}

TEST(CrashReport, TheReplayIsTheKeptImageBitByBit) {
    const Folder folder;
    crash::Region region = new_region();
    region.bytes()[kBytes - 1] = std::byte{7};  // neither is all of it zeros
    const crash::Test test = notebook_test(region, Wrong::count_before_note);
    const crash::Options options{.image_folder = folder.path()};
    const auto report = crash::run(region, test, options).value();
    ASSERT_GE(report.violations.size(), 2u);
    for (size_t i = 0; i < report.violations.size(); ++i) {
        const std::string path = folder.file("violation-" + std::to_string(i + 1) + ".image");
        const std::string kept = text_of_file(path);
        const auto image = crash::image_of(region, test, report.violations[i].replay);
        ASSERT_TRUE(image.has_value()) << image.error().message;
        EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(kept)), *image));
        struct stat status = {};
        ASSERT_EQ(::stat(path.c_str(), &status), 0);
        EXPECT_EQ(static_cast<size_t>(status.st_size), kBytes);
        EXPECT_LE(status.st_blocks * 512, 16384);  // the rest are holes
    }
}

TEST(CrashReport, WhatALinkLeadsToIsNotWrittenOver) {
    const Folder folder;
    const std::string mine = folder.file("mine");
    std::ofstream(mine) << "mine";
    for (const char* name : {"violation-1.image", "violation-1.html"})
        std::filesystem::create_symlink(mine, folder.file(name));
    std::filesystem::create_hard_link(mine, folder.file("violation-2.image"));
    crash::Region region = new_region();
    const crash::Test test = notebook_test(region, Wrong::count_before_note);
    const crash::Options options{.image_folder = folder.path(), .page_folder = folder.path()};
    ASSERT_GE(crash::run(region, test, options).value().violations.size(), 2u);
    EXPECT_EQ(text_of_file(mine), "mine");
    for (const char* name : {"violation-1.image", "violation-1.html", "violation-2.image"})
        EXPECT_GT(std::filesystem::file_size(folder.file(name)), 4u) << name;
    // The next run removes them.
    ASSERT_TRUE(crash::run(region, notebook_test(region, Wrong::nothing), options)->clean());
    EXPECT_FALSE(std::filesystem::exists(folder.file("violation-1.html")));
    EXPECT_FALSE(std::filesystem::exists(folder.file("violation-2.image")));
}

TEST(CrashReport, AReplayOfSomethingElseIsRefused) {
    crash::Region region = new_region();
    const crash::Test test = notebook_test(region, Wrong::counted_in_one_fence);
    const auto report = crash::run(region, test).value();
    ASSERT_FALSE(report.clean());
    const std::string replay = report.violations[0].replay;
    const auto refused = [&](const crash::Test& other, const std::string& line,
                             const std::string& words) {
        const auto image = crash::image_of(region, other, line);
        ASSERT_FALSE(image.has_value()) << line;
        EXPECT_EQ(image.error().code, cinnabar::Errc::invalid_argument);
        EXPECT_NE(image.error().message.find(words), std::string::npos) << image.error().message;
    };
    ASSERT_TRUE(crash::image_of(region, test, replay).has_value());
    const auto with = [&](const char* pattern, const char* instead) {
        const auto [begin, end] = find(replay, pattern).value();
        return std::string(replay).replace(begin, end - begin, instead);
    };
    refused(test, with("build=[0-9a-f]+", "build=12345678"), "another build of the program");
    refused(test, with("workload=[0-9a-f]+", "workload=12345678"), "stored elsewhere");
    refused(test, with("crash_point=[0-9]+", "crash_point=4000"), "ends before the crash point");
    refused(test, with("but=64", "but=640"), "stored elsewhere");
    refused(test, with("but=64:1", "but=64:9"), "stored elsewhere");
    refused(test, with("sum=[0-9a-f]+", "sum=12345678"), "stores other values now");
    refused(notebook_test(region, Wrong::nothing), replay, "stored elsewhere");
    refused(notebook_test(region, Wrong::note_not_flushed), replay, "stored elsewhere");
    crash::Test renamed = test;
    renamed.workload = [&](crash::History& history) {
        NotebookWriter writer(region, Wrong::counted_in_one_fence);
        for (const char* text : {"NOTE number 0", "NOTE number 1"}) {
            const size_t note = history.begin(text);
            writer.add(text);
            history.acknowledge(note);
        }
    };
    refused(renamed, replay, "stores other values now");
    region.bytes()[kBytes - 1] = std::byte{7};
    refused(test, replay, "began over other bytes");
    for (const char* line : {"", "seed=1", "build=1", "build=00000000 workload=00000000"})
        refused(test, line, "is no replay line");
    refused(test, replay + " ", "is no replay line");
    refused(test, with("but=[^ ]+", "but=64:1.1"), "is no replay line");
    refused(test, with("but=[^ ]+", "but=64:99999999999999999999"), "is no replay line");
}

// The same calls, with other ranges.
TEST(CrashReport, AReplayOfOtherRangesIsRefused) {
    crash::Region region = new_region();
    uint64_t at = 8;
    crash::Test test = record_test(region, 1);
    test.workload = [&](crash::History&) {
        auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
        region.store(&words[at], uint64_t{0});
        region.store(&words[0], uint64_t{1});
        region.persist(words, 4096);
    };
    const auto report = crash::run(region, test).value();
    ASSERT_FALSE(report.clean());
    const std::string replay = report.violations[0].replay;
    EXPECT_TRUE(crash::image_of(region, test, replay).has_value());
    at = 16;
    const auto image = crash::image_of(region, test, replay);
    ASSERT_FALSE(image.has_value());
    EXPECT_NE(image.error().message.find("stored elsewhere"), std::string::npos);
}

}  // namespace
}  // namespace kit_test
