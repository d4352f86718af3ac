// Plain stores to a file, under libpmem's functions and in the hook build: their order is that of
// the program. Compiled without hooks the same stores are a bag, and both orders alarm.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <libpmem.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cinnabar/crash.hpp>
#include <stdexcept>
#include <string>

#include "kit/folder.hpp"
#include "kit/pair.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

constexpr size_t kFileBytes = 8192;

// In the file's second page.
Pair& pair_in(void* file) {
    return *reinterpret_cast<Pair*>(static_cast<char*>(file) + 4096);
}

void in_order(Pair& pair) {
    pair.first = 1;
    pair.second = 1;
}

void the_other_way(Pair& pair) {
    pair.second = 1;
    pair.first = 1;
}

using StorePair = void (*)(Pair&);

void store_by_libpmem(const std::string& path, StorePair store) {
    size_t length = 0;
    void* at = pmem_map_file(path.c_str(), kFileBytes, PMEM_FILE_CREATE, 0600, &length, nullptr);
    if (at == nullptr) throw std::runtime_error(pmem_errormsg());
    store(pair_in(at));
    pmem_persist(&pair_in(at), sizeof(Pair));
    pmem_unmap(at, length);
}

std::string recovered(std::span<std::byte> image) {
    return recover_pair(image.subspan(4096));
}

crash::Report report_of(const std::function<void(const std::string& path)>& workload,
                        const crash::Options& options = {}) {
    const Folder folder;
    const std::string path = folder.file("pair");
    const crash::Test test{[&](crash::History&) { workload(path); }, recovered, {}, check_pair};
    return crash::run_file(path, test, options).value();
}

TEST(HookedFile, PlainStoresKeepTheirOrder) {
    const crash::Report right =
        report_of([](const std::string& path) { store_by_libpmem(path, in_order); });
    EXPECT_TRUE(right.clean()) << right.text();
    EXPECT_EQ(right.images_distinct, 3u) << right.text();  // nothing, the first, and both
    const crash::Report wrong =
        report_of([](const std::string& path) { store_by_libpmem(path, the_other_way); });
    ASSERT_EQ(wrong.violations.size(), 1u) << wrong.text();
    const crash::Violation& found = wrong.violations[0];
    EXPECT_NE(found.lost.find("offset 4096, plain store at test_kit_foreign_hooked+0x"),
              std::string::npos)
        << wrong.text();
    // The workload has run once more, and its stores were told then too.
    EXPECT_NE(found.fix.find("plain store at test_kit_foreign_hooked+0x"), std::string::npos)
        << wrong.text();
}

void* map_second_page(int file) {
    void* at = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 4096);
    if (at == MAP_FAILED) throw std::runtime_error("no mapping");
    return at;
}

// A part of the file, and then somewhere else, each seen from the first call with an address there.
TEST(HookedFile, AMappingMayMove) {
    const auto workload = [](const std::string& path, StorePair store) {
        const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0 || ::ftruncate(file, kFileBytes) != 0) throw std::runtime_error("no file");
        auto* first = static_cast<Pair*>(map_second_page(file));
        pmem_persist(first, sizeof *first);
        auto* second = static_cast<Pair*>(map_second_page(file));
        ::munmap(first, 4096);
        pmem_persist(second, sizeof *second);
        store(*second);
        pmem_persist(second, sizeof *second);
        ::munmap(second, 4096);
        ::close(file);
    };
    const crash::Report right =
        report_of([&](const std::string& path) { workload(path, in_order); });
    EXPECT_TRUE(right.clean()) << right.text();
    EXPECT_EQ(right.images_distinct, 4u) << right.text();  // the first before anything is stored
    EXPECT_FALSE(
        report_of([&](const std::string& path) { workload(path, the_other_way); }).clean());
}

// What was stored to a part that is cut off is not looked at any more.
TEST(HookedFile, AFileMayLoseAPart) {
    const crash::Report report = report_of([](const std::string& path) {
        size_t length = 0;
        void* at =
            pmem_map_file(path.c_str(), kFileBytes, PMEM_FILE_CREATE, 0600, &length, nullptr);
        in_order(pair_in(at));
        if (::truncate(path.c_str(), 4096) != 0) throw std::runtime_error("not cut off");
        in_order(*static_cast<Pair*>(at));
        pmem_persist(at, sizeof(Pair));
        pmem_unmap(at, length);
    });
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_EQ(report.violations[0].kind, crash::ViolationKind::misuse);
}

// Power fails inside of a recovery of a file, too.
TEST(HookedFile, PlainStoresOfARecoveryKeepTheirOrder) {
    const auto report = [](StorePair store) {
        const Folder folder;
        const std::string path = folder.file("pair");
        const crash::Test test{
            .workload =
                [&](crash::History&) {
                    store_by_libpmem(path, [](Pair& pair) { (&pair)[8].first = 1; });
                    store_by_libpmem(path, [](Pair& pair) { (&pair)[8].first = 2; });
                },
            .recover = {},
            .recover_file =
                [store](const std::string& image) {
                    size_t length = 0;
                    void* at = pmem_map_file(image.c_str(), 0, 0, 0, &length, nullptr);
                    Pair& pair = pair_in(at);
                    const bool is_torn = pair.first == 0 && pair.second == 1;
                    store(pair);
                    pmem_persist(&pair, sizeof pair);
                    pmem_unmap(at, length);
                    return std::string(is_torn ? "01" : "whole");
                },
            .check = check_pair};
        return crash::run_file(path, test).value();
    };
    const crash::Report right = report(in_order);
    EXPECT_TRUE(right.clean()) << right.text();
    EXPECT_GT(right.recovery_crash_points, 0u) << right.text();
    EXPECT_FALSE(report(the_other_way).clean());
}

}  // namespace
}  // namespace kit_test
