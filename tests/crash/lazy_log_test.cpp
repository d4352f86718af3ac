// The log under the search by what recovery reads: what a crash left open is decided when the
// engine's recovery looks at it.
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "crash/harness.hpp"
#include "sim/lazy_search.hpp"
#include "trials/one_stream.hpp"

namespace cinnabar::crash_test {

namespace {

struct Total {
    uint64_t points = 0;
    uint64_t exhausted = 0;  // of these
    uint64_t runs = 0;
    uint64_t cuts = 0;  // sums inside of sums
    std::string failure;

    void add(const Total& other) {
        points += other.points;
        exhausted += other.exhausted;
        runs += other.runs;
        cuts += other.cuts;
        if (failure.empty()) failure = other.failure;
    }
};

void tell(const Total& total) {
    std::cout << total.points << " crash points, " << total.exhausted << " exhausted, "
              << total.runs << " runs of recovery, " << total.cuts << " sums inside of sums\n";
}

// Searches at every crash point of a life, from now on.
class LazySearches {
  public:
    LazySearches(Life& life, const SimPool& pool, const History& history,
                 const Life::Options& options, const sim::LazySearch::Options& search)
        : life_(life),
          pool_(pool),
          history_(history),
          options_(options),
          search_options_(search),
          image_(life.medium().live().size()) {
        life.medium().on_crash_point([this](Site site) { look(std::string(name_of(site))); });
    }
    ~LazySearches() { life_.medium().on_crash_point(nullptr); }

    void look(const std::string& where) {
        if (!total.failure.empty()) return;
        sim::LazySearch search(life_.medium().live(), life_.medium().pending(), image_,
                               search_options_);
        const auto result = search.run([&] { return recover(search, where); });
        ++total.points;
        total.runs += result.runs;
        total.cuts += result.sums_cut;
        total.exhausted += result.exhausted ? 1 : 0;
        if (result.inconsistent)
            total.failure = where + ": another outcome where the same bytes were read";
    }

    Total total;

  private:
    sim::LazySearch::Outcome recover(sim::LazySearch& search, const std::string& where) {
        Crashed crashed(pool_, image_, options_);
        crashed.life.medium().on_store([&](uint64_t offset, Bytes value) {
            search.before_store(image_.bytes().data() + offset, value.size());
        });
        const std::string wrong = recover_and_compare(crashed.pool, crashed.life, history_);
        if (!wrong.empty()) total.failure = where + ": " + wrong;
        std::string outcome = wrong;
        for (const StreamReport& stream : crashed.life.report().streams)
            outcome += std::to_string(stream.begin.value) + "-" + std::to_string(stream.end.value) +
                       std::string(stream.end_verdict);
        return {.digest = std::hash<std::string>()(outcome), .go_on = wrong.empty()};
    }

    Life& life_;
    const SimPool& pool_;
    const History& history_;
    const Life::Options options_;
    const sim::LazySearch::Options search_options_;
    sim::Image image_;
};

struct Workload {
    int records;
    size_t length_max;
    int lazy_of_3;
    sim::LazySearch::Options search;
    Age age = Age::stale;
    bool shared = false;
};

Total search(const Workload& workload, const Life::Options& options = {}) {
    SimPool pool(SimPool::Options{.segments = 5, .age = workload.age});
    pool.add_stream("s", workload.shared);
    Life life(pool, options);
    History history;
    history["s"];
    LazySearches searches(life, pool, history, options, workload.search);
    if (auto opened = life.open(); !opened) return {.failure = opened.error().message};
    for (int i = 0; i < workload.records && searches.total.failure.empty(); ++i) {
        const auto durability = i % 3 < workload.lazy_of_3 ? Durability::lazy : Durability::forced;
        const size_t length = 1 + static_cast<size_t>(i) * 97 % workload.length_max;
        if (auto lsn = life.append(history, "s", length, durability); !lsn)
            return {.failure = lsn.error().message};
    }
    searches.look("at the end");
    tell(searches.total);
    return searches.total;
}

// Up to two lines torn, the others old or new, within what a checksum collapses: what recovery
// comes to is right in every case.
TEST(LazyLog, ForcedAppendsAreExhausted) {
    for (const Age age : {Age::ones, Age::random, Age::stale})
        for (const bool shared : {false, true}) {
            const Total total = search({.records = 12,
                                        .length_max = 100,
                                        .lazy_of_3 = 0,
                                        .search = {.torn_lines_max = 2},
                                        .age = age,
                                        .shared = shared});
            EXPECT_EQ(total.failure, "");
            EXPECT_EQ(total.exhausted, total.points);
        }
}

// Records of six lines that cross into new segments, one line torn.
TEST(LazyLog, ForcedAppendsOfManyLinesAreExhausted) {
    const std::pair<Age, int> ages[] = {{Age::zero, 10}, {Age::stale, 24}};
    for (const auto& [age, records] : ages) {
        const Total total = search({.records = records,
                                    .length_max = 330,
                                    .lazy_of_3 = 0,
                                    .search = {.torn_lines_max = 1},
                                    .age = age});
        EXPECT_EQ(total.failure, "");
        EXPECT_EQ(total.exhausted, total.points);
    }
}

// A full log: marks, and appends into the space below them.
Total recycle(const Life::Options& options) {
    OneStream setup(options, {.segments = 3});
    const ServiceId keeper = setup.add_service();
    CNB_CHECK(setup.life.open().has_value());
    LazySearches searches(setup.life, setup.pool, setup.history, options, {.torn_lines_max = 1});
    for (int released = 0; released < 3 && searches.total.failure.empty();) {
        if (setup.life.append(setup.history, "s", 330, Durability::forced)) continue;
        const Lsn oldest{setup.life.engine().stream("s")->oldest_end()};
        CNB_CHECK(setup.life.release(setup.history, keeper, oldest).has_value());
        ++released;
    }
    searches.look("at the end");
    tell(searches.total);
    return searches.total;
}

TEST(LazyLog, RecyclingIsExhausted) {
    for (const Domain domain : {Domain::cache_line, Domain::page, Domain::byte}) {
        const Total total = recycle({.domain = domain, .spares = 0});
        EXPECT_EQ(total.failure, "") << name_of(domain);
        EXPECT_EQ(total.exhausted, total.points);
        EXPECT_NE(recycle({.domain = domain, .spares = 0, .dropped = Site::mark_fence}).failure, "")
            << name_of(domain);
    }
}

// Recovery of what a crash left of lazy records, one line torn. In new space: of a used segment it
// erases all lines behind the cut, and their states multiply.
TEST(LazyLog, CrashesInRecoveryAreExhausted) {
    for (const Domain domain : {Domain::cache_line, Domain::page, Domain::byte}) {
        OneStream setup({.domain = domain, .spares = 0}, {.age = Age::zero});
        ASSERT_TRUE(setup.life.open());
        for (int i = 0; i < 7; ++i)
            setup.append(i == 4 ? 90 : 24, i == 0 ? Durability::forced : Durability::lazy);
        std::mt19937_64 random(seed_of_this_run());
        Total total;
        for (int crash = 0; crash < 4; ++crash) {
            SimPool pool(setup.pool, setup.life.medium().image_of_power_loss(random));
            Life life(pool, setup.options);
            LazySearches searches(life, pool, setup.history, setup.options, {.torn_lines_max = 1});
            ASSERT_TRUE(life.open());
            searches.look("at the end");
            total.add(searches.total);
        }
        EXPECT_EQ(total.failure, "") << name_of(domain) << ", seed " << seed_of_this_run();
        tell(total);
        EXPECT_EQ(total.exhausted, total.points);
    }
}

// Up to three records wait for one fence, one line torn.
TEST(LazyLog, LazyRecordsAreExhausted) {
    for (const int lazy_of_3 : {1, 2}) {
        const Total total = search({.records = 9,
                                    .length_max = 200,
                                    .lazy_of_3 = lazy_of_3,
                                    .search = {.torn_lines_max = 1}});
        EXPECT_EQ(total.failure, "");
        EXPECT_EQ(total.exhausted, total.points);
    }
}

TEST(LazyLog, FindsWhatIsMissing) {
    Workload workload = {
        .records = 24, .length_max = 200, .lazy_of_3 = 1, .search = {.runs_max = 500}};
    const std::pair<Age, std::vector<Site>> missing[] = {
        {Age::stale,
         {Site::forced_fence, Site::forcer_flush, Site::link_flush, Site::header_b_flush}},
        {Age::zero, {Site::ceiling_fence}}};
    for (const auto& [age, sites] : missing) {
        workload.age = age;
        EXPECT_EQ(search(workload).failure, "");
        for (const Site site : sites)
            EXPECT_NE(search(workload, {.dropped = site}).failure, "") << name_of(site);
    }
}

}  // namespace

}  // namespace cinnabar::crash_test
