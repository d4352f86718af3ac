// The ready oracles, each with digests that are right and ones that are not.
#include <gtest/gtest.h>

#include <cinnabar/crash.hpp>

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

// The first `acknowledged` of these are.
crash::History history_of(const std::vector<std::string>& operations, size_t acknowledged) {
    crash::History history;
    for (const std::string& what : operations) history.begin(what);
    for (size_t i = 0; i < acknowledged; ++i) history.acknowledge(i);
    return history;
}

struct Case {
    std::string digest;
    std::string words;  // of what is wrong; empty: right
};

void expect(const crash::Oracle& oracle, const crash::History& history,
            const std::vector<Case>& cases) {
    for (const auto& [digest, words] : cases) {
        const std::string wrong = oracle(digest, history);
        EXPECT_EQ(wrong.empty(), words.empty()) << digest << ": " << wrong;
        EXPECT_NE(wrong.find(words), std::string::npos) << digest << ": " << wrong;
    }
}

TEST(Oracle, PrefixOfAppends) {
    expect(crash::prefix_of_appends(), history_of({"a", "b", "c"}, 1),
           {{"a\n", ""},
            {"a\nb", ""},
            {"a\nb\nc\n", ""},
            {"", "1 were acknowledged"},
            {"b\n", "only the first 0 of 3"},
            {"a\nc\n", "and then comes 'c'"},
            {"a\nb\nc\nd\n", "and then comes 'd'"},
            {"a\na\n", "and then comes 'a'"},
            {"a\n\n", "and then comes ''"}});
    expect(crash::prefix_of_appends(), history_of({}, 0), {{"", ""}, {"x", "and then comes 'x'"}});
    // One operation, two records.
    expect(crash::prefix_of_appends(), history_of({"a\nb", "c"}, 1),
           {{"a\nb\n", ""}, {"a\n", "1 were acknowledged"}});
}

TEST(Oracle, AcknowledgedSubset) {
    expect(crash::acknowledged_subset(), history_of({"a", "b", "b", "c"}, 2),
           {{"b\na\n", ""},
            {"c\nb\na\nb\n", ""},
            {"a\n", "'b' was acknowledged and is missing"},
            {"a\nb\nx\n", "'x' was recovered and never written"},
            {"a\nb\na\n", "'a' was recovered and never written, or not so often"}});
}

// The operation in flight comes first, and is no excuse for the acknowledged one.
TEST(Oracle, EqualTextsInFlightAndAcknowledged) {
    crash::History history;
    history.begin("a\nb");
    history.acknowledge(history.begin("a\nb"));
    for (const crash::Oracle& oracle : {crash::acknowledged_subset(), crash::atomic_records()})
        expect(oracle, history,
               {{"a\nb\n", ""},
                {"a\nb\na\nb\n", ""},
                {"", "was acknowledged and is missing"},
                {"a\nb\na\nb\na\nb\n", "or not so often"}});
    expect(crash::atomic_records(), history, {{"a\nb\na\n", "only 1 of 2 records are there"}});
}

// What another operation wrote is no part of one that has lines in common with it.
TEST(Oracle, OperationsWithLinesInCommon) {
    expect(crash::atomic_records(), history_of({"a\nb", "a\nc", "d\nd"}, 0),
           {{"a\nc\n", ""},
            {"a\nb\na\nc\n", ""},
            {"a\n", "of the operation 'a\\x0ab' only 1 of 2"},
            {"d\n", "only 1 of 2 records are there"},
            {"d\nd\n", ""}});
}

TEST(Oracle, AnEmptyRecordIsALine) {
    for (const crash::Oracle& oracle :
         {crash::prefix_of_appends(), crash::acknowledged_subset(), crash::atomic_records()})
        expect(oracle, history_of({"", "a"}, 1),
               {{"\n", ""}, {"\na\n", ""}, {"", "acknowledged"}, {"a\n", "acknowledged"}});
}

TEST(Oracle, AtomicRecords) {
    expect(crash::atomic_records(), history_of({"a\nb", "c\nd\ne"}, 1),
           {{"b\na\n", ""},
            {"a\nb\nc\nd\ne\n", ""},
            {"a\nb\nc\ne\n", "only 2 of 3 records are there"},
            {"a\n", "only 1 of 2 records are there"},
            {"c\nd\ne\n", "was acknowledged and is missing"},
            {"a\nb\nz\n", "'z' was recovered and never written"}});
}

TEST(Oracle, EqualToARun) {
    // A counter: its state is the sum.
    const auto model = [](std::span<const crash::History::Operation> done) {
        int sum = 0;
        for (const auto& operation : done) sum += std::stoi(operation.what);
        return std::to_string(sum);
    };
    expect(crash::equal_to_a_run(model), history_of({"5", "7", "-2"}, 1),
           {{"5", ""},
            {"12", ""},
            {"10", ""},
            {"0", "'0' is not the state after any first 1 to 3 operations"},
            {"7", "is not the state"}});
}

// What was recovered may be any bytes; the report is text, and valid JSON.
TEST(Oracle, WhatIsWrongIsText) {
    crash::Report report;
    report.violations.emplace_back();
    report.violations[0].what =
        crash::prefix_of_appends()("\xFF\x01\n", history_of({"a"}, 0)) + "\"\\\xFF";
    EXPECT_NE(report.text().find("'\\xff\\x01'"), std::string::npos) << report.text();
    const std::string json = report.json();
    EXPECT_NE(json.find(R"('\\xff\\x01'\"\\\u00ff")"), std::string::npos) << json;
}

TEST(Oracle, BytesAsALine) {
    const char bytes[] = {'a', '\n', '\\', '\x7F', '\xFF', ' '};
    EXPECT_EQ(crash::line_of(std::as_bytes(std::span(bytes))), "a\\x0a\\x5c\\x7f\\xff ");
}

}  // namespace
}  // namespace kit_test
