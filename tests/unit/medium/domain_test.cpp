// What the medium is found to be, and how it is said.
#include "medium/domain.hpp"

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string>

#include "cinnabar/medium.hpp"

namespace cinnabar::medium {
namespace {

constexpr size_t kBytes = 1 << 16;

Domain domain_of_file_in(const std::string& folder) {
    std::string name = folder + "/cinnabar-domain-XXXXXX";
    const int file = mkstemp(name.data());
    if (file < 0 || ftruncate(file, kBytes) != 0) return Domain::page;
    unlink(name.c_str());
    const Domain domain = find_domain(file);
    close(file);
    return domain;
}

TEST(FindDomain, PageCacheIsPage) {
    EXPECT_EQ(domain_of_file_in("/tmp"), Domain::page);
    EXPECT_EQ(domain_of_file_in("/dev/shm"), Domain::page);
}

// libpmem reads its environment once, at the start of a process: so the case above is run again in
// another one.
TEST(FindDomain, PageCacheIsPageEvenIfLibpmemIsToldToPretend) {
    std::array<char*, 3> arguments = {
        const_cast<char*>("self"), const_cast<char*>("--gtest_filter=FindDomain.PageCacheIsPage"),
        nullptr};
    std::array<char*, 2> environment = {const_cast<char*>("PMEM_IS_PMEM_FORCE=1"), nullptr};
    pid_t child = 0;
    ASSERT_EQ(posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments.data(),
                          environment.data()),
              0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(FlushInstruction, IsTheBestThatTheKernelReports) {
    std::ifstream file("/proc/cpuinfo");
    std::string line;
    while (std::getline(file, line) && line.rfind("flags", 0) != 0) {
    }
    std::istringstream words(line);
    std::string best = "clflush";
    for (std::string word; words >> word;) {
        if (word == "clwb" || (word == "clflushopt" && best != "clwb")) best = word;
    }
    EXPECT_EQ(flush_instruction(), best);
}

TEST(MediumInfo, OneSentence) {
    MediumInfo info;
    info.domain = Domain::cache_line;
    info.emulated = true;
    info.flush = "clwb";
    info.file_system = "tmpfs";
    EXPECT_EQ(info.sentence(), "cache_line domain, emulated on tmpfs, clwb");
    info.modelled = {.fence_ns = 300, .line_ns = 0};
    EXPECT_EQ(info.sentence(),
              "cache_line domain, emulated on tmpfs, clwb, +300 ns a fence (modelled)");
    info.modelled = {.fence_ns = 300, .line_ns = 20};
    EXPECT_EQ(info.sentence(),
              "cache_line domain, emulated on tmpfs, clwb, +300 ns a fence, +20 ns a line "
              "(modelled)");
    info = {};
    info.flush = "msync";
    info.file_system = "ext4";
    EXPECT_EQ(info.sentence(), "page domain on ext4, msync");
}

}  // namespace
}  // namespace cinnabar::medium
