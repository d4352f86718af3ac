// Changes of an existing pool's tables, which libpmemobj makes durable: at each crash in one, the
// pool is as it was before it or as it is after it, and goes on; and the same made wrongly.
#include <gtest/gtest.h>

#include <cinnabar/crash.hpp>
#include <filesystem>

#include "format/codec.hpp"
#include "kit/bounded.hpp"
#include "kit/folder.hpp"
#include "kit/pool_file.hpp"
#include "kit/wrong_pool.hpp"
#include "pool/pool.hpp"
#include "pool/tables.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;
namespace format = cinnabar::format;

using cinnabar::ServiceId;
using cinnabar::pool::Pool;

uint32_t number_of(const Pool& pool, const std::string& name) {
    for (const auto& stream : pool.streams())
        if (stream.name == name) return stream.stream;
    throw std::runtime_error("no stream " + name);
}

Step<Pool> add_stream(const std::string& name, bool shared) {
    return {adds_stream(name, shared), [=](Pool& pool) { must(pool.add_stream(name, shared)); }};
}

Step<Pool> remove_stream(const std::string& name) {
    return {removes_stream(name),
            [=](Pool& pool) { must(pool.remove_stream(number_of(pool, name))); }};
}

Step<Pool> add_service(uint16_t number, const ServiceState& service) {
    return {adds_service(number, service), [=](Pool& pool) {
                must(pool.add_service(number_of(pool, service.stream), service.name, service.mark));
            }};
}

Step<Pool> remove_service(uint16_t number) {
    return {removes_service(number),
            [=](Pool& pool) { must(pool.remove_service(ServiceId{number})); }};
}

crash::Report report_of(const std::string& path, const PoolState& before,
                        const std::vector<Step<Pool>>& steps) {
    const auto open = [](const std::string& file) { return open_emulated(file); };
    return crash_steps<Pool>(path, before, open, steps, bounded(kImagesOfPools));
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

// Each of these makes a change that is right once it is done, if power does not fail.

Step<WrongPool> row_before_number() {
    return {adds_stream("new", false), [](WrongPool& pool) {
                const auto number = static_cast<uint32_t>(pool.last_stream() + 1);
                pool.change(pool.free_stream_row(), pool.stream_row(number, "new"));
                pool.raise_last_stream(number);
            }};
}

Step<WrongPool> row_without_transaction() {
    return {adds_stream("new", false), [](WrongPool& pool) {
                const auto number = static_cast<uint32_t>(pool.last_stream() + 1);
                pool.raise_last_stream(number);
                pool.store(pool.free_stream_row(), pool.stream_row(number, "new"));
            }};
}

Step<WrongPool> row_not_durable() {
    return {removes_stream("gone"), [](WrongPool& pool) { pool.row_of("gone") = {}; }};
}

// The service "late" of "audited", in the first free row.
constexpr uint16_t kLate = 5;

format::ServiceRow late_row(const WrongPool& pool) {
    return pool.service_row(pool.row_of("audited").stream, kLate, "late");
}

format::RegisterLine late_mark(const WrongPool& pool, uint64_t mark) {
    const uint32_t key = format::register_key(format::RegisterRole::mark, kLate - 1);
    format::RegisterLine line;
    line.slot[0] = format::register_slot(pool.id(), key, mark);
    return line;
}

Step<WrongPool> row_before_mark(uint64_t mark) {
    return {adds_service(kLate, {"late", "audited", mark}), [=](WrongPool& pool) {
                pool.change(pool.catalogue().services[kLate - 1], late_row(pool));
                pool.store(pool.catalogue().marks[kLate - 1], late_mark(pool, mark));
            }};
}

Step<WrongPool> mark_not_durable(uint64_t mark) {
    return {adds_service(kLate, {"late", "audited", mark}), [=](WrongPool& pool) {
                pool.catalogue().marks[kLate - 1] = late_mark(pool, mark);
                pool.change(pool.catalogue().services[kLate - 1], late_row(pool));
            }};
}

Step<WrongPool> row_before_kept_mark(uint64_t mark) {
    return {removes_service(4), [=](WrongPool& pool) {
                format::StreamRow kept = pool.row_of("kept");
                kept.kept_from = mark;
                kept.sum = row_sum(pool.id(), kept);
                pool.change(pool.catalogue().services[3], format::ServiceRow());
                pool.change(pool.row_of("kept"), kept);
            }};
}

TEST(PoolTables, AChangeMadeWronglyIsFound) {
    const Folder folder;
    const std::string made = folder.file("made"), path = folder.file("pool");
    const PoolState before = make_pool(made);
    const uint64_t mark = before.services.at(4).mark;
    PoolState without = before;
    removes_stream("gone").expect(without);
    const std::pair<Step<WrongPool>, std::string> wrong[] = {
        {row_before_number(), "stream row 3"},
        {row_without_transaction(), "stream row 3"},
        {row_not_durable(), "and not\n" + without.text()},
        {row_before_mark(mark), "the low-water mark of service 'late'"},
        {mark_not_durable(mark), "the low-water mark of service 'late'"},
        {row_before_kept_mark(mark), "missing_segment in stream 'kept'"},
    };
    const auto open = [](const std::string& file) { return WrongPool(file); };
    for (const auto& [step, words] : wrong) {
        std::filesystem::copy_file(made, path, std::filesystem::copy_options::overwrite_existing);
        expect_found(crash_steps<WrongPool>(path, before, open, {step}, until_found()), words);
    }
}

}  // namespace
}  // namespace kit_test
