// Breaks the engine one flush, fence, store, ordering or seed at a time and demands that the
// scenario named in the table (mutants.cpp) notices. At the whole engine none notices anything.
#include <set>
#include <span>

#include "crash/harness.hpp"
#include "trials/mutants.hpp"

namespace cinnabar::crash_test {

namespace {

class MutantTest : public testing::TestWithParam<Broken> {};

TEST_P(MutantTest, IsCaught) {
    const Known* known = find_known(GetParam().name);
    ASSERT_NE(known, nullptr) << "mutants.cpp does not say which scenario notices this";
    const Scenario* scenario = find_scenario(known->scenario);
    ASSERT_NE(scenario, nullptr);
    ASSERT_TRUE(scenario->applies_in(GetParam().domain));
    const std::string wrong = notice(GetParam(), *scenario);
    EXPECT_NE(wrong, kDoesNotEnd);
    EXPECT_FALSE(wrong.starts_with(kShowsNothing)) << wrong;
    if (known->harmless.empty())
        EXPECT_NE(wrong, "") << known->scenario << " does not notice";
    else
        EXPECT_EQ(wrong, "") << "said to be harmless: " << known->harmless;
    std::cout << known->scenario << ": " << (wrong.empty() ? known->harmless : wrong) << "\n";
}
INSTANTIATE_TEST_SUITE_P(Broken, MutantTest, testing::ValuesIn(all_broken()),
                         [](const auto& broken) { return broken.param.name; });

TEST(Mutant, TheTableHasEveryOneAndNothingElse) {
    std::set<std::string_view> there, in_table, used;
    const std::vector<Broken> all = all_broken();
    for (const Broken& broken : all) EXPECT_TRUE(there.insert(broken.name).second) << broken.name;
    for (const Known& known : all_known()) {
        EXPECT_TRUE(in_table.insert(known.name).second) << known.name << " stands there twice";
        if (known.harmless.empty()) used.insert(known.scenario);
    }
    EXPECT_EQ(there, in_table);
    for (const Scenario& scenario : scenarios())
        EXPECT_TRUE(used.contains(scenario.name)) << scenario.name << " is needed for no mutant";
}

// Every site and every mutant is broken in some way: what all_broken() makes of the two lists.
TEST(Mutant, EverySiteAndEveryTagIsBroken) {
    std::set<Site> left_out;
    std::set<Mutant> switched_on;
    for (const Broken& broken : all_broken()) {
        if (broken.dropped) left_out.insert(*broken.dropped);
        switched_on.insert(broken.mutant);
    }
    for (const Site site : all_sites()) EXPECT_TRUE(left_out.contains(site)) << name_of(site);
    for (const Mutant mutant : all_mutants())
        EXPECT_TRUE(switched_on.contains(mutant)) << name_of(mutant);
}

// A sanitizer looks at memory and not at images: one run is enough for it.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kRuns = 1;
#else
constexpr size_t kRuns = 3;
#endif

std::vector<std::tuple<Scenario, Domain>> every_scenario() {
    std::vector<std::tuple<Scenario, Domain>> all;
    for (const Scenario& scenario : scenarios())
        for (const Domain domain : {Domain::cache_line, Domain::page, Domain::byte})
            if (scenario.applies_in(domain)) all.emplace_back(scenario, domain);
    return all;
}

// They look at what an engine says, and not at what a crash leaves.
bool looks_at_no_image(std::string_view scenario) {
    return scenario == "overtaken" || scenario == "reading_what_is_released" ||
           scenario == "damaging";
}

class NoAlarm : public testing::TestWithParam<std::tuple<Scenario, Domain>> {};

TEST_P(NoAlarm, AtTheWholeEngine) {
    const auto& [scenario, domain] = GetParam();
    const uint64_t seed = seed_of_this_run();
    const std::pair<uint64_t, bool> runs[] = {{seed, true}, {seed + 1, false}, {1, false}};
    for (const auto& [of_run, cached] : std::span(runs).first(kRuns)) {
        Trial trial({.domain = domain, .forced_cached = cached}, of_run, {});
        EXPECT_EQ(scenario.run(trial), "")
            << "CINNABAR_SEED=" << seed << ", run " << of_run << (cached ? ", cached" : "");
        EXPECT_EQ(trial.explored.images > 0, !looks_at_no_image(scenario.name));
    }
}
INSTANTIATE_TEST_SUITE_P(Scenarios, NoAlarm, testing::ValuesIn(every_scenario()),
                         [](const auto& run) {
                             return std::string(std::get<0>(run.param).name) + "_" +
                                    std::string(name_of(std::get<1>(run.param)));
                         });

}  // namespace

}  // namespace cinnabar::crash_test
