// What a pool says of itself on its own medium: which one it was opened on, and its superblock in
// two copies. At each crash in a change of either it is the old one or the new one; and the same
// made wrongly.
#include <gtest/gtest.h>

#include <array>
#include <cinnabar/crash.hpp>
#include <cstddef>
#include <fstream>

#include "kit/bounded.hpp"
#include "kit/folder.hpp"
#include "kit/pool_file.hpp"
#include "kit/wrong_pool.hpp"
#include "pool/pool.hpp"
#include "pool/superblock.hpp"
#include "pool/tables.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;
namespace format = cinnabar::format;

using cinnabar::pool::Pool;

// --- the medium ---------------------------------------------------------------------------------

// Row and sum as libpmemobj's recovery leaves them, in an open that writes nothing.
format::MediumRow recovered_medium(const std::string& path) {
    cinnabar::pool::OpenOptions options;
    options.read_only = true;
    const Pool pool = must(Pool::open(path, options));
    if (!cinnabar::pool::medium_row_verifies(pool.space()))
        throw std::runtime_error("the medium row does not verify");
    return pool.space().catalogue->medium;
}

std::string text_of(const format::MediumRow& row) {
    return "domain " + std::to_string(row.domain) + (row.emulated != 0 ? ", emulated, " : ", ") +
           std::to_string(row.modelled_fence_ns) + " and " + std::to_string(row.modelled_line_ns) +
           " ns\n";
}

// The pool is opened as it says that it was, so that it says the same again.
std::string recover_medium(const std::string& path) {
    const format::MediumRow row = recovered_medium(path);
    cinnabar::OpenOptions options;
    options.modelled = {row.modelled_fence_ns, row.modelled_line_ns};
    if (row.emulated != 0) options.emulate = cinnabar::Emulate::cache_line;
    return text_of(row) + recover_pool(path, options);
}

// The lines of a pool's state behind those of another part, which `first` says for n changes.
crash::Oracle both(const std::function<std::string(size_t n)>& first, const PoolState& state) {
    const crash::Oracle rest = all_or_none_of_each(state, {});
    return [=](std::string_view digest, const crash::History& history) {
        const size_t least = history.acknowledged_prefix(), most = history.operations().size();
        for (size_t n = least; n <= most; ++n)
            if (digest.starts_with(first(n))) {
                digest.remove_prefix(first(n).size());
                return rest(digest, crash::History());
            }
        return "it is\n" + std::string(digest) + "and not\n" + first(least) + "or\n" + first(most);
    };
}

constexpr const char* kAtFirst = "domain 2, 0 and 0 ns\n";  // of a file in memory
constexpr const char* kSlow = "domain 1, emulated, 70 and 3 ns\n";

crash::Report medium_report(
    const std::function<void(const std::string& path, crash::History& history)>& workload,
    const crash::Options& options) {
    const Folder folder;
    const std::string path = folder.file("pool");
    const PoolState state = make_pool(path);
    const crash::Test test{
        .workload = [&](crash::History& history) { workload(path, history); },
        .recover_file = recover_medium,
        .check = both([](size_t n) { return n == 0 ? kAtFirst : kSlow; }, state)};
    return crash::run_file(path, test, options).value();
}

TEST(PoolItself, TheMediumIsKept) {
    const auto workload = [](const std::string& path, crash::History& history) {
        Pool pool = open_emulated(path, {70, 3});
        const size_t change = history.begin("keep the medium");
        must(pool.keep_medium());
        history.acknowledge(change);
        must(pool.close());
    };
    expect_clean(medium_report(workload, bounded(kImagesOfPools)));
}

TEST(PoolItself, AMediumWithoutATransactionIsFound) {
    const auto torn = [](const std::string& path, crash::History& history) {
        const WrongPool pool(path);
        const size_t change = history.begin("keep the medium");
        format::MediumRow row;
        row.domain = 1;
        row.emulated = 1;
        row.modelled_fence_ns = 70;
        row.modelled_line_ns = 3;
        row.sum = row_sum(pool.id(), row);
        pool.store(pool.catalogue().medium, row);
        history.acknowledge(change);
    };
    expect_found(medium_report(torn, until_found()), "the medium row does not verify");
}

// --- a copy of the superblock -------------------------------------------------------------------

constexpr uint64_t kCopyOffset[] = {offsetof(format::Catalogue, superblock_a),
                                    offsetof(format::Catalogue, superblock_b)};

template <class T>
void write_at(const std::string& path, uint64_t offset, const T& value) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    if (!file.write(reinterpret_cast<const char*>(&value), sizeof value).flush())
        throw std::runtime_error("cannot write to " + path);
}

// What a reader is told of the copies.
std::string said_of_copies(const std::string& path) {
    cinnabar::OpenOptions options;
    options.read_only = true;
    const auto log = must(cinnabar::Log::open(path, options));
    std::string said;
    for (const cinnabar::Damage& damage : must(log.check())) said += damage.verdict + "\n";
    for (const std::string& note : log.report().notes)
        if (note.starts_with("superblock copy "))
            said += note.substr(0, std::string("superblock copy X").size()) + "\n";
    return said;
}

std::string damaged(char letter) {
    return std::string("corrupt_superblock_copy\nsuperblock copy ") + letter + "\n";
}

// What was damaged is so again at the end, so that a second recovery finds the same.
std::string recover_copies(const std::string& path) {
    const FoundBytes before = read_catalogue(path);
    const format::Superblock* const copies[] = {&before.catalogue.superblock_a,
                                                &before.catalogue.superblock_b};
    std::string text;
    for (size_t i = 0; i < 2; ++i)
        if (!cinnabar::pool::is_intact(*copies[i])) text += damaged(i == 0 ? 'A' : 'B');
    if (said_of_copies(path) != text) return "not said of it: " + text;
    const std::string state = recover_pool(path);
    const format::Catalogue after = read_catalogue(path).catalogue;
    if (after.superblock_a != after.superblock_b || !cinnabar::pool::is_intact(after.superblock_a))
        return "opened for writing, and not mended";
    for (size_t i = 0; i < 2; ++i)
        if (!cinnabar::pool::is_intact(*copies[i]))
            write_at(path, before.offset + kCopyOffset[i], *copies[i]);
    return (text.empty() ? "whole\n" : text) + state;
}

crash::Report copies_report(size_t copy, const std::function<void(const std::string& path)>& mend,
                            const crash::Options& options) {
    const Folder folder;
    const std::string path = folder.file("pool");
    const PoolState state = make_pool(path);
    std::array<char, sizeof(format::Superblock)> rot;
    rot.fill(0x5A);
    write_at(path, read_catalogue(path).offset + kCopyOffset[copy], rot);
    const crash::Test test{
        .workload =
            [&](crash::History& history) {
                const size_t mending = history.begin("mend");
                mend(path);
                history.acknowledge(mending);
            },
        .recover_file = recover_copies,
        .check = both([=](size_t n) { return n == 0 ? damaged(copy == 0 ? 'A' : 'B') : "whole\n"; },
                      state)};
    return crash::run_file(path, test, options).value();
}

TEST(PoolItself, ADamagedCopyIsReplaced) {
    const auto open_and_close = [](const std::string& path) { must(open_emulated(path).close()); };
    for (const size_t copy : {0, 1})
        expect_clean(copies_report(copy, open_and_close, bounded(kImagesOfPools)));
}

// Both copies are stored anew, under one fence.
TEST(PoolItself, BothCopiesUnderOneFenceAreFound) {
    const auto mend = [](const std::string& path) {
        const WrongPool pool(path);
        format::Superblock next = pool.catalogue().superblock_b;
        next.compatible_features = 1;
        next.sum = superblock_sum(next);
        pool.catalogue().superblock_a = next;
        pool.catalogue().superblock_b = next;
        pool.persist(&pool.catalogue(), sizeof(format::Catalogue));
    };
    expect_found(copies_report(0, mend, until_found()), "neither copy of its superblock verifies");
}

// Acknowledged, and not made durable.
TEST(PoolItself, ACopyThatIsNotMadeDurableIsFound) {
    const auto mend = [](const std::string& path) {
        const WrongPool pool(path);
        pool.catalogue().superblock_a = pool.catalogue().superblock_b;
    };
    expect_found(copies_report(0, mend, until_found()), damaged('A'));
}

}  // namespace
}  // namespace kit_test
