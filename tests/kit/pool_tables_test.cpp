// Changes of an existing pool's tables, which libpmemobj makes durable: at each crash in one, the
// pool is as it was before it or as it is after it, and goes on; and the same made wrongly.
#include <gtest/gtest.h>

#include <cinnabar/crash.hpp>
#include <filesystem>

#include "format/codec.hpp"
#include "kit/bounded.hpp"
#include "kit/folder.hpp"
#include "kit/pool_state.hpp"
#include "kit/wrong_pool.hpp"
#include "pool/pool.hpp"
#include "pool/tables.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;
namespace format = cinnabar::format;

using cinnabar::ServiceId;
using cinnabar::pool::Pool;

// A change, and the call that makes it.
struct Step {
    Change change;
    std::function<void(Pool& pool)> make;
};

uint32_t number_of(const Pool& pool, const std::string& name) {
    for (const auto& stream : pool.streams())
        if (stream.name == name) return stream.stream;
    throw std::runtime_error("no stream " + name);
}

Step add_stream(const std::string& name, bool shared) {
    return {adds_stream(name, shared), [=](Pool& pool) { must(pool.add_stream(name, shared)); }};
}

Step remove_stream(const std::string& name) {
    return {removes_stream(name),
            [=](Pool& pool) { must(pool.remove_stream(number_of(pool, name))); }};
}

Step add_service(uint16_t number, const ServiceState& service) {
    return {adds_service(number, service), [=](Pool& pool) {
                must(pool.add_service(number_of(pool, service.stream), service.name, service.mark));
            }};
}

Step remove_service(uint16_t number) {
    return {removes_service(number),
            [=](Pool& pool) { must(pool.remove_service(ServiceId{number})); }};
}

std::vector<Change> changes_of(const std::vector<Step>& steps) {
    std::vector<Change> changes;
    for (const Step& step : steps) changes.push_back(step.change);
    return changes;
}

crash::Report report_of(const std::string& path, const PoolState& before,
                        const std::vector<Step>& steps) {
    const crash::Test test{
        .workload =
            [&](crash::History& history) {
                Pool pool = open_emulated(path);
                for (const Step& step : steps) {
                    const size_t change = history.begin(step.change.what);
                    step.make(pool);
                    history.acknowledge(change);
                }
                must(pool.close());
            },
        .recover_file = [](const std::string& image) { return recover_pool(image); },
        .check = all_or_none_of_each(before, changes_of(steps))};
    return crash::run_file(path, test, bounded(kImagesOfPools)).value();
}

TEST(PoolTables, StreamsComeAndGo) {
    const Folder folder;
    const std::string path = folder.file("pool");
    const PoolState before = make_pool(path);
    expect_clean(report_of(path, before,
                           {add_stream("new", true), remove_stream("gone"),
                            add_stream("gone", false), remove_stream("new")}));
}

TEST(PoolTables, ServicesComeAndGo) {
    const Folder folder;
    const std::string path = folder.file("pool");
    const PoolState before = make_pool(path);
    const uint64_t lowest = before.services.at(1).mark;
    // The last one of its stream; then, in the row of one with a greater mark, another one; and the
    // one that alone held a segment.
    expect_clean(report_of(
        path, before,
        {remove_service(4), remove_service(2), add_service(2, {"late", "audited", lowest}),
         remove_service(1), remove_service(2)}));
}

bool find_stream(const std::string& path, const std::string& name) {
    return cinnabar::pool::find_named(read_catalogue(path).catalogue.streams, name).has_value();
}

// Power fails again while libpmemobj takes a change back that the first time had cut short.
TEST(PoolTables, AChangeIsTakenBack) {
    const Folder folder;
    const std::string path = folder.file("pool"), cut_short = folder.file("cut short");
    const PoolState before = make_pool(path);
    {
        const WrongPool pool(path);
        pool.change(pool.row_of("gone"), format::StreamRow(),
                    [&] { std::filesystem::copy_file(path, cut_short); });
    }
    ASSERT_FALSE(find_stream(cut_short, "gone"));
    expect_clean(report_of(cut_short, before, {add_stream("new", true)}));
}

// --- the same made wrongly ----------------------------------------------------------------------

struct Planted {
    Change change;
    std::function<void(const WrongPool& pool)> make;
    const char* words;  // of what is found
};

format::RegisterLine mark_line(const WrongPool& pool, uint32_t row, uint64_t mark) {
    format::RegisterLine line;
    line.slot[0] = format::register_slot(
        pool.id(), format::register_key(format::RegisterRole::mark, row), mark);
    return line;
}

// Each makes a change that is right once it is done, if power does not fail.
std::vector<Planted> planted(const PoolState& before) {
    const uint64_t mark = before.services.at(2).mark;
    const Change late = adds_service(5, {"late", "audited", mark});
    return {
        // its row before its number
        {adds_stream("new", false),
         [](const WrongPool& pool) {
             const auto number = static_cast<uint32_t>(pool.last_stream() + 1);
             pool.change(pool.free_stream_row(), pool.stream_row(number, "new"));
             pool.raise_last_stream(number);
         },
         "stream row 3"},
        // its row without a transaction
        {adds_stream("new", false),
         [](const WrongPool& pool) {
             const auto number = static_cast<uint32_t>(pool.last_stream() + 1);
             pool.raise_last_stream(number);
             pool.store(pool.free_stream_row(), pool.stream_row(number, "new"));
         },
         "stream row 3"},
        // not made durable
        {removes_stream("gone"), [](const WrongPool& pool) { pool.row_of("gone") = {}; },
         "stream gone"},
        // its row before its mark
        {late,
         [=](const WrongPool& pool) {
             pool.change(pool.catalogue().services[4],
                         pool.service_row(pool.row_of("audited").stream, 5, "late"));
             pool.store(pool.catalogue().marks[4], mark_line(pool, 4, mark));
         },
         "the low-water mark of service 'late'"},
        // its mark is not made durable
        {late,
         [=](const WrongPool& pool) {
             pool.catalogue().marks[4] = mark_line(pool, 4, mark);
             pool.change(pool.catalogue().services[4],
                         pool.service_row(pool.row_of("audited").stream, 5, "late"));
         },
         "the low-water mark of service 'late'"},
        // its row before its stream keeps the mark
        {removes_service(4),
         [=](const WrongPool& pool) {
             format::StreamRow kept = pool.row_of("kept");
             kept.kept_from = before.services.at(4).mark;
             kept.sum = row_sum(pool.id(), kept);
             pool.change(pool.catalogue().services[3], format::ServiceRow());
             pool.change(pool.row_of("kept"), kept);
         },
         "missing_segment in stream 'kept'"},
    };
}

crash::Report report_of(const Planted& planted, const std::string& path, const PoolState& before) {
    const crash::Test test{
        .workload =
            [&](crash::History& history) {
                const WrongPool pool(path);
                const size_t change = history.begin(planted.change.what);
                planted.make(pool);
                history.acknowledge(change);
            },
        .recover_file = [](const std::string& image) { return recover_pool(image); },
        .check = all_or_none_of_each(before, {planted.change})};
    return crash::run_file(path, test, until_found()).value();
}

TEST(PoolTables, AChangeMadeWronglyIsFound) {
    const Folder folder;
    const std::string made = folder.file("made"), path = folder.file("pool");
    const PoolState before = make_pool(made);
    for (const Planted& wrong : planted(before)) {
        std::filesystem::copy_file(made, path, std::filesystem::copy_options::overwrite_existing);
        expect_found(report_of(wrong, path, before), wrong.words);
    }
}

}  // namespace
}  // namespace kit_test
