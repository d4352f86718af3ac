// What the system does not give to recoveries is no violation: the run goes on with a new process,
// or ends with an error, or with what it has found until then.
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <functional>
#include <new>
#include <string>

#include "kit/folder.hpp"
#include "kit/notebook.hpp"
#include "kit/record.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

// From now on no file of the process may grow: in the place of a disk that is full.
void fill_the_disk(pid_t process) {
    const struct rlimit none = {0, RLIM_INFINITY};
    ::prlimit(process, RLIMIT_FSIZE, &none, nullptr);
}

// Of a notebook whose recovery puts a copy in the place of its image's file, so that the next image
// needs another, and does something then, knowing how many recoveries there were by now.
cinnabar::Result<crash::Report> run(Wrong wrong, const std::function<void(int recoveries)>& then) {
    const Folder folder;
    ::signal(SIGXFSZ, SIG_IGN);
    void* shared = ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    auto& recoveries = *new (shared) std::atomic<int>(0);
    crash::Region region = crash::Region::create(4096, cinnabar::Domain::cache_line).value();
    crash::Test test = notebook_test(region, wrong);
    test.recover = nullptr;
    std::error_code ignored;
    test.recover_file = [&](const std::string& path) {
        std::string bytes = text_of_file(path);
        std::filesystem::copy_file(path, path + ".copy", ignored);
        std::filesystem::rename(path + ".copy", path, ignored);
        then(++recoveries);
        return recover_notebook(std::as_writable_bytes(std::span(bytes)));
    };
    auto report = crash::run(
        region, test, {.violations_max = 1000, .fixes_max = 0, .image_folder = folder.path()});
    ::munmap(shared, sizeof(std::atomic<int>));
    return report;
}

// From so many on: of this process, and of those that come after it.
std::function<void(int)> fill_for_all(int begin) {
    return [begin](int recoveries) {
        if (recoveries != begin) return;
        fill_the_disk(::getpid());
        fill_the_disk(::getppid());
    };
}

TEST(Unavailable, IsNoViolationWhereANewProcessHasIt) {
    const auto report = run(Wrong::nothing, [](int recoveries) {
        if (recoveries % 10 == 0) fill_the_disk(::getpid());
    });
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_TRUE(report->clean()) << report->text();
    EXPECT_TRUE(report->remarks.empty()) << report->text();
    EXPECT_GT(report->images_distinct, 20u);
}

TEST(Unavailable, EndsTheRunWithAnError) {
    const auto report = run(Wrong::nothing, fill_for_all(100));
    ASSERT_FALSE(report.has_value()) << report->text();
    EXPECT_EQ(report.error().code, cinnabar::Errc::io);
    EXPECT_TRUE(report.error().message.starts_with("no file for the image at /"))
        << report.error().message;
}

TEST(Unavailable, LeavesWhatWasFoundBefore) {
    const auto report = run(Wrong::count_before_note, fill_for_all(100));
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_TRUE(report->stopped);
    ASSERT_FALSE(report->violations.empty());
    for (const crash::Violation& violation : report->violations)
        EXPECT_EQ(violation.kind, crash::ViolationKind::wrong) << report->text();
    ASSERT_EQ(report->remarks.size(), 1u) << report->text();
    EXPECT_TRUE(report->remarks[0].rule.starts_with("no file for the image at /"));
}

// Amidst the recoveries of images that are made smaller, too: who is not asked has said nothing.
TEST(Unavailable, NeverMakesAViolationAnotherOne) {
    size_t found = 0;
    for (int begin = 1; begin <= 60; ++begin) {
        const auto report = run(Wrong::count_before_note, fill_for_all(begin));
        if (!report) continue;
        found += report->violations.size();
        for (const crash::Violation& violation : report->violations)
            ASSERT_EQ(violation.kind, crash::ViolationKind::wrong) << begin << report->text();
    }
    EXPECT_GT(found, 30u);
}

}  // namespace
}  // namespace kit_test
