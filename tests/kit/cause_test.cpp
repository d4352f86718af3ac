// Violations of one cause are one, those of different causes are not.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "cinnabar/crash.hpp"
#include "explain/violation.hpp"
#include "kit/notebook.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;
using cinnabar::Domain;

TEST(Cause, OfEachOperationIsToldOnce) {
    auto region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    // With no words of each note's own, but for its number.
    test.check = [](std::string_view digest, const crash::History& history) {
        const auto lines = static_cast<size_t>(std::ranges::count(digest, '\n'));
        if (history.acknowledged_prefix() <= lines) return std::string();
        return "note " + std::to_string(history.acknowledged_prefix() - 1) + " is gone";
    };
    test.recover = [](std::span<std::byte> image) {
        const Notebook& book = *reinterpret_cast<const Notebook*>(image.data());
        uint64_t whole = 0;
        while (whole < book.count && book.notes[whole].length > 0) ++whole;
        return std::string(whole, '\n');
    };
    test.workload = [&](crash::History& history) {
        write_notes(NotebookWriter(region, Wrong::note_not_flushed), history);
    };
    const auto report = crash::run(region, test, {.violations_max = 10'000}).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    const crash::Violation& one = report.violations[0];
    EXPECT_EQ(one.what, "note 0 is gone");  // the first of ten
    EXPECT_EQ(one.operations, 1u);
    EXPECT_GE(one.crash_points, 10u);
    EXPECT_GT(one.images, one.crash_points);
    EXPECT_NE(
        report.text().find(" images at " + std::to_string(one.crash_points) + " crash points\n"),
        std::string::npos);
    EXPECT_NE(report.json().find("\"crash_points\": " + std::to_string(one.crash_points) + ", "),
              std::string::npos);
}

// Entries that are counted before they are stored, in two functions: the same mistake in the same
// words, and yet two places to mend.
TEST(Cause, InTwoPlacesIsTwo) {
    auto region = crash::Region::create(4096, Domain::cache_line).value();
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    const auto add = [&](size_t i, crash::Where where) {
        region.store(&words[8 * (i + 1)], uint64_t{1}, where);
        region.store(words, i + 1, {"count.cpp", 1});
        region.persist(words, 1024, {"count.cpp", 2});
    };
    const crash::Test test{.workload =
                               [&](crash::History&) {
                                   for (size_t i = 0; i < 6; ++i)
                                       add(i, {i % 2 == 0 ? "even.cpp" : "odd.cpp", 10});
                               },
                           .recover =
                               [](std::span<std::byte> image) {
                                   const auto* found =
                                       reinterpret_cast<const uint64_t*>(image.data());
                                   for (size_t i = 0; i < found[0]; ++i)
                                       if (found[8 * (i + 1)] != 1)
                                           return "entry " + std::to_string(i) + " is not there";
                                   return std::string();
                               },
                           .recover_file = {},
                           .check = [](std::string_view digest,
                                       const crash::History&) { return std::string(digest); }};
    const auto report = crash::run(region, test, {.violations_max = 10'000}).value();
    ASSERT_EQ(report.violations.size(), 2u) << report.text();
    EXPECT_EQ(report.violations[0].what, "entry 0 is not there");
    EXPECT_EQ(report.violations[1].what, "entry 1 is not there");
    for (const crash::Violation& one : report.violations) EXPECT_EQ(one.crash_points, 3u);
}

// Recovery trusts a count that was stored before its notes: whatever it does about that, it is one
// mistake.
TEST(Cause, OfARecoveryThatHangsIsToldOnce) {
    auto region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.recover = [](std::span<std::byte> image) {
        const Notebook& book = *reinterpret_cast<const Notebook*>(image.data());
        for (volatile uint64_t left = book.count; left != 0;) continue;
        return std::string();
    };
    const crash::Options options{.recovery_time_max = std::chrono::milliseconds(300),
                                 .violations_max = 5};
    const auto report = crash::run(region, test, options).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_EQ(report.violations[0].kind, crash::ViolationKind::hung);
    EXPECT_EQ(report.violations[0].images, 3u);
    EXPECT_GE(report.violations[0].crash_points, 2u);
}

// The ready oracles quote a record, which is another one each time.
TEST(Cause, OfARecordThatIsThereTwiceIsToldOnce) {
    auto region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.recover = [recover = test.recover](std::span<std::byte> image) {
        const std::string found = recover(image);
        if (found.empty()) return found;
        const size_t last = found.rfind('\n', found.size() - 2);
        return found + found.substr(last == found.npos ? 0 : last + 1);
    };
    test.workload = [&](crash::History& history) {
        for (const char* text : {"ten tons", "of it", "that's all"}) {
            const size_t note = history.begin(text);
            NotebookWriter(region, Wrong::nothing).add(text);
            history.acknowledge(note);
        }
    };
    const auto report = crash::run(region, test, {.violations_max = 10'000}).value();
    // By itself, and where a note is not acknowledged yet.
    ASSERT_EQ(report.violations.size(), 2u) << report.text();
    EXPECT_GE(report.violations[1].crash_points, 6u);
}

// Every image behind the acknowledgement fails, and so each in which the entry is torn could be
// reduced to one in which it is not.
TEST(Cause, OfASecondMistakeBesideOneThatIsAlwaysThereIsToldToo) {
    auto region = crash::Region::create(4096, Domain::cache_line).value();
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    const crash::Test test{
        .workload =
            [&](crash::History& history) {
                history.acknowledge(history.begin("never stored"));
                region.store(&words[8], uint64_t{1}, {"entry.cpp", 1});
                region.store(words, uint64_t{1}, {"count.cpp", 2});
                region.persist(words, 1024, {"entry.cpp", 3});
            },
        .recover =
            [](std::span<std::byte> image) {
                const auto* found = reinterpret_cast<const uint64_t*>(image.data());
                return std::string(found[0] > found[8] ? "torn" : "whole");
            },
        .recover_file = {},
        .check =
            [](std::string_view digest, const crash::History& history) {
                if (digest == "torn") return std::string("an entry is counted and not there");
                return std::string(history.acknowledged_prefix() > 0 ? "an operation is gone" : "");
            }};
    const auto report = crash::run(region, test, {}).value();
    ASSERT_EQ(report.violations.size(), 2u) << report.text();
    EXPECT_EQ(report.violations[0].what, "an operation is gone");
    EXPECT_EQ(report.violations[1].what, "an entry is counted and not there");
    EXPECT_EQ(report.violations[1].images, 1u);
    EXPECT_NE(report.violations[1].order.find("entry.cpp:1 (offset 64) must be durable before "),
              std::string::npos)
        << report.violations[1].order;
}

// Of a run over three words in lines of their own, of which recovery gives what it finds.
crash::Report report_of_words(
    const std::function<void(crash::Region&, uint64_t* words, crash::History&)>& workload,
    const crash::Oracle& check) {
    auto region = crash::Region::create(4096, Domain::cache_line).value();
    const crash::Test test{
        .workload =
            [&](crash::History& history) {
                workload(region, reinterpret_cast<uint64_t*>(region.bytes().data()), history);
            },
        .recover =
            [](std::span<std::byte> image) {
                const auto* found = reinterpret_cast<const uint64_t*>(image.data());
                return std::to_string(found[0]) + std::to_string(found[8]) +
                       std::to_string(found[16]);
            },
        .recover_file = {},
        .check = check};
    return crash::run(region, test, {}).value();
}

// A store that came too early is blamed for no failure of other words.
TEST(Cause, OfAStructureIsNotBlamedForAnothers) {
    const auto report = report_of_words(
        [](crash::Region& region, uint64_t* words, crash::History& history) {
            region.store(&words[0], uint64_t{1}, {"magic.cpp", 1});
            region.persist(&words[0], 8, {"magic.cpp", 2});
            region.store(&words[8], uint64_t{1}, {"body.cpp", 1});
            region.persist(&words[8], 8, {"body.cpp", 2});
            history.acknowledge(history.begin("x"));
            region.store(&words[16], uint64_t{1}, {"late.cpp", 1});
            region.persist(&words[16], 8, {"late.cpp", 2});
        },
        [](std::string_view found, const crash::History& history) {
            if (found.starts_with("10")) return std::string("a magic without its body");
            if (history.acknowledged_prefix() == 0 || found.ends_with("1")) return std::string();
            return std::string("acknowledged and gone");
        });
    EXPECT_NE(report.text().find("magic.cpp"), std::string::npos) << report.text();
    for (const crash::Violation& found : report.violations) {
        const bool is_of_magic = found.what == "a magic without its body";
        EXPECT_EQ(found.order.find("magic.cpp") != found.order.npos, is_of_magic) << report.text();
    }
    EXPECT_EQ(report.violations.back().what, "acknowledged and gone") << report.text();
}

crash::Violation violation(const std::string& what, const std::string& order) {
    crash::Violation one;
    one.what = what;
    one.order = order;
    one.crash_point = 1;
    return one;
}

TEST(Cause, IsToldByTheCallsAndTheWords) {
    const std::string order =
        "store at list.cpp:41 (offset 64) must be durable before operation 1 is acknowledged";
    const auto is_same = [&](const std::string& what, const std::string& other) {
        return cinnabar::explain::is_same_cause(violation("note 1 is gone", order),
                                                violation(what, other));
    };
    const auto with = [&](const std::string& from, const std::string& to) {
        std::string other = order;
        return other.replace(other.find(from), from.size(), to);
    };
    EXPECT_TRUE(is_same("note 1 is gone", order));
    EXPECT_TRUE(is_same("note 12 is gone", with("offset 64", "offset 128")));
    EXPECT_TRUE(is_same("note a3f0 is gone", with("offset 64", "offset 128")));
    EXPECT_FALSE(is_same("note is gone1", with("offset 64", "offset 128")));
    EXPECT_TRUE(is_same("note 2 is gone", with("operation 1", "operation 12")));
    EXPECT_TRUE(is_same("other words", order));  // of the very same stores
    const auto printed = [](const std::string& line) {
        return violation("note is gone",
                         "x must be durable before '" + line + "' is printed, and so acknowledged");
    };
    EXPECT_TRUE(cinnabar::explain::is_same_cause(printed("note 1"), printed("that's note two")));
    EXPECT_FALSE(is_same("other words", with("offset 64", "offset 128")));
    EXPECT_FALSE(is_same("note 2 is gone", with("list.cpp:41", "list.cpp:42")));
    EXPECT_FALSE(
        is_same("note 2 is gone", with("operation 1 is acknowledged", "store at a.cpp:1")));
    crash::Violation crashed = violation("note 1 is gone", order);
    crashed.kind = crash::ViolationKind::crashed;
    EXPECT_FALSE(cinnabar::explain::is_same_cause(crashed, violation("note 1 is gone", order)));
    // An order without two calls says nothing of what failed.
    for (const std::string vague :
         {"store at a.cpp:1 (offset 0) comes too early: it survives, and nothing else does",
          "store at a.cpp:1 must be durable before what was durable or acknowledged by then"}) {
        const auto are_same = [&](const std::string& what) {
            return cinnabar::explain::is_same_cause(violation("note 1 is gone", vague),
                                                    violation(what, vague));
        };
        EXPECT_TRUE(are_same("note 2 is gone"));
        EXPECT_FALSE(are_same("other words"));
    }
    // What is quoted is data; an apostrophe quotes nothing.
    const std::string other_offset = with("offset 64", "offset 128");
    EXPECT_TRUE(cinnabar::explain::is_same_cause(violation("'one' isn't 'here'", order),
                                                 violation("'that's' isn't ''", other_offset)));
    EXPECT_FALSE(
        cinnabar::explain::is_same_cause(violation("it isn't a, and can't b", order),
                                         violation("it isn't b, and can't b", other_offset)));
    // What is not reduced has no order: there are its words alone, or no image at all.
    const crash::Violation hung = violation("no end within 50 ms", "");
    EXPECT_TRUE(cinnabar::explain::is_same_cause(hung, hung));
    EXPECT_FALSE(cinnabar::explain::is_same_cause(hung, violation("other words", "")));
    EXPECT_FALSE(cinnabar::explain::is_same_cause(hung, violation("no end within 50 ms", order)));
    crash::Violation misuse = hung;
    misuse.crash_point = 0;
    EXPECT_FALSE(cinnabar::explain::is_same_cause(misuse, misuse));
}

}  // namespace
}  // namespace kit_test
