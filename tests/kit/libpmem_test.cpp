// Each of libpmem's functions, as the interposer has it: what it makes durable, and what it does
// not.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <libpmem.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cinnabar/crash.hpp>
#include <functional>
#include <stdexcept>
#include <string>

#include "kit/folder.hpp"
#include "kit/pair.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

// In the file: a block of text, and in another line whether it is there.
struct Pages {
    alignas(64) char block[1024];
    alignas(64) uint64_t written;
};

void* map_new(const std::string& path, size_t bytes) {
    size_t length = 0;
    void* at = pmem_map_file(path.c_str(), bytes, PMEM_FILE_CREATE, 0600, &length, nullptr);
    if (at == nullptr || length != bytes) throw std::runtime_error(pmem_errormsg());
    return at;
}

// Stores the block by `store`, which is to make it durable; then says that it is there.
crash::Report report_of(const std::function<void(char* block)>& store) {
    const Folder folder;
    const std::string path = folder.file("pages");
    const crash::Test test{
        .workload =
            [&](crash::History&) {
                auto* pages = static_cast<Pages*>(map_new(path, 8192));
                store(pages->block);
                pages->written = 1;
                pmem_persist(&pages->written, sizeof pages->written);
                pmem_unmap(pages, 8192);
            },
        .recover =
            [](std::span<std::byte> image) {
                const auto& pages = *reinterpret_cast<const Pages*>(image.data());
                if (pages.written == 0) return std::string("nothing");
                return std::string(pages.block, sizeof pages.block);
            },
        .check =
            [](std::string_view digest, const crash::History&) {
                const bool right = digest == "nothing" || digest == std::string(1024, 'x');
                return std::string(right ? "" : "torn");
            }};
    return crash::run_file(path, test).value();
}

using Store = void (*)(char* block);
const std::string kText(1024, 'x');

TEST(Libpmem, WhatIsDurable) {
    const Store durable[] = {
        [](char* to) { kText.copy(to, 1024), pmem_persist(to, 1024); },
        [](char* to) { kText.copy(to, 1024), pmem_flush(to, 1024), pmem_drain(); },
        [](char* to) { kText.copy(to, 1024), pmem_msync(to, 1024); },
        [](char* to) { kText.copy(to, 1024), pmem_msync(to + 512, 8); },  // its whole page
        [](char* to) { kText.copy(to, 1024), pmem_deep_persist(to, 1024); },
        [](char* to) {
            kText.copy(to, 1024), pmem_deep_flush(to, 1024), pmem_deep_drain(to, 1024);
        },
        [](char* to) { pmem_memcpy_persist(to, kText.data(), 1024); },
        [](char* to) { pmem_memmove_persist(to, kText.data(), 1024); },
        [](char* to) { pmem_memset_persist(to, 'x', 1024); },
        [](char* to) { pmem_memcpy_nodrain(to, kText.data(), 1024), pmem_drain(); },
        [](char* to) { pmem_memmove_nodrain(to, kText.data(), 1024), pmem_drain(); },
        [](char* to) { pmem_memset_nodrain(to, 'x', 1024), pmem_drain(); },
        [](char* to) { pmem_memcpy(to, kText.data(), 1024, PMEM_F_MEM_NONTEMPORAL); },
        [](char* to) { pmem_memmove(to, kText.data(), 1024, PMEM_F_MEM_TEMPORAL); },
        // Whole lines past the caches, and a piece at each end through them.
        [](char* to) { *to = 'x', pmem_persist(to, 1), pmem_memset_persist(to + 1, 'x', 1023); },
    };
    for (size_t i = 0; i < std::size(durable); ++i) {
        const crash::Report report = report_of(durable[i]);
        EXPECT_TRUE(report.clean()) << i << report.text();
        EXPECT_GT(report.images_distinct, 16u) << i << report.text();
    }
}

TEST(Libpmem, WhatIsNot) {
    const Store volatile_yet[] = {
        [](char* to) { kText.copy(to, 1024); },
        [](char* to) { kText.copy(to, 1024), pmem_drain(); },
        [](char* to) { kText.copy(to, 1024), pmem_flush(to, 1024); },
        [](char* to) { kText.copy(to, 1024), pmem_persist(to, 1023 - 64); },
        [](char* to) { pmem_memcpy_nodrain(to, kText.data(), 1024); },
        [](char* to) { pmem_memset(to, 'x', 1024, PMEM_F_MEM_NOFLUSH), pmem_drain(); },
        [](char* to) { kText.copy(to, 1024), pmem_memcpy_persist(to, to, 1024); },
        [](char* to) { kText.copy(to, 1024), pmem_memmove(to, to, 1024, PMEM_F_MEM_TEMPORAL); },
        [](char* to) { pmem_memset(to, 'x', 1024, PMEM_F_MEM_TEMPORAL | PMEM_F_MEM_NODRAIN); },
    };
    for (size_t i = 0; i < std::size(volatile_yet); ++i)
        EXPECT_FALSE(report_of(volatile_yet[i]).clean()) << i;
}

// What was stored plainly before a call comes before what the call stores, in one line too.
TEST(Libpmem, ACallComesAfterWhatWasStoredBefore) {
    const Folder folder;
    const std::string path = folder.file("pages");
    const auto workload = [&](crash::History&) {
        auto* pair = static_cast<Pair*>(map_new(path, 4096));
        pair->first = 1;
        const uint64_t one = 1;
        pmem_memcpy(&pair->second, &one, sizeof one, PMEM_F_MEM_NOFLUSH);
        pmem_unmap(pair, 4096);
    };
    const crash::Test test{workload, recover_pair, {}, check_pair};
    const crash::Report report = crash::run_file(path, test).value();
    EXPECT_TRUE(report.clean()) << report.text();
    EXPECT_EQ(report.images_distinct, 3u) << report.text();
}

// It flushes nothing, and it drains.
TEST(Libpmem, ACopyOntoItselfIsAFence) {
    const crash::Report report = report_of([](char* to) {
        kText.copy(to, 1024);
        pmem_flush(to, 1024);
        pmem_memcpy_persist(to, to, 1024);
    });
    EXPECT_TRUE(report.clean()) << report.text();
}

// Maps the file of that path and stores what report_of's workload does.
void write_pages(const std::string& path, int flags) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ::ftruncate(file, 8192) != 0) throw std::runtime_error("no file");
    void* at = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, flags, file, 0);
    ::close(file);
    if (at == MAP_FAILED) throw std::runtime_error("no mapping");
    auto* pages = static_cast<Pages*>(at);
    pages->written = 1;
    pmem_persist(&pages->written, sizeof pages->written);
    ::munmap(at, 8192);
}

crash::Report report_of_file(const std::string& path,
                             const std::function<void(crash::History&)>& workload) {
    const crash::Test test{
        .workload = workload,
        .recover =
            [](std::span<std::byte> image) {
                return std::to_string(reinterpret_cast<const Pages*>(image.data())->written);
            },
        .check = [](std::string_view, const crash::History&) { return std::string(); }};
    return crash::run_file(path, test).value();
}

void expect_misuse(const crash::Report& report, const std::string& words) {
    ASSERT_FALSE(report.clean());
    EXPECT_EQ(report.violations[0].kind, crash::ViolationKind::misuse);
    EXPECT_NE(report.violations[0].what.find(words), std::string::npos) << report.text();
}

TEST(Libpmem, AFileThatWasInTheFolderIsRefused) {
    const Folder folder;
    const std::string path = folder.file("pages");
    const auto workload = [&](crash::History&) { write_pages(path, MAP_SHARED); };
    const crash::Report created = report_of_file(folder.path(), workload);
    EXPECT_TRUE(created.clean()) << created.text();
    expect_misuse(report_of_file(folder.path(), workload), "was in the folder before");
    const crash::Report by_name = report_of_file(path, workload);
    EXPECT_TRUE(by_name.clean()) << by_name.text();
}

TEST(Libpmem, APrivateMappingIsNoRegion) {
    const Folder folder;
    const std::string path = folder.file("pages");
    expect_misuse(report_of_file(path, [&](crash::History&) { write_pages(path, MAP_PRIVATE); }),
                  "called no function of libpmem, nor msync, with an address in");
}

// Where the file was mapped something else may lie later: none of its stores are the file's.
TEST(Libpmem, AnAddressThatIsMappedAnew) {
    const Folder folder;
    const std::string path = folder.file("pages");
    const crash::Report report = report_of_file(path, [&](crash::History&) {
        void* at = map_new(path, 8192);
        *static_cast<char*>(at) = 'x';
        pmem_persist(at, 1);
        void* other = ::mmap(at, 8192, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (other != at) throw std::runtime_error("no mapping");
        pmem_memset_persist(at, 'x', 1024);
        pmem_unmap(at, 8192);
    });
    EXPECT_EQ(report.crash_points, 1u) << report.text();
}

// Memory that is not the file's goes on to libpmem.
TEST(Libpmem, OtherMemoryIsLeftAlone) {
    alignas(64) static char elsewhere[1024];
    const crash::Report report = report_of([](char* to) {
        pmem_memset_persist(elsewhere, 'x', 1024);
        pmem_memcpy_persist(to, elsewhere, 1024);
    });
    EXPECT_TRUE(report.clean()) << report.text();
    EXPECT_EQ(std::string(elsewhere, 1024), kText);
}

}  // namespace
}  // namespace kit_test
