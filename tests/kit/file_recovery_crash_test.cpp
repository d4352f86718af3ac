// Power fails inside of the recovery of a structure in a file, which maps it and makes what it
// stores durable by libpmem's functions.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <libpmem.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cinnabar/crash.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "kit/folder.hpp"
#include "kit/redo_log.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

constexpr size_t kFileBytes = 8192;
constexpr const char* kInside = ", then inside of the recovery: pmem_persist by test_kit_foreign";

void persist(const void* from, size_t length, crash::Where) {
    pmem_persist(from, length);
}

// The file as the log, while it lives.
class Mapped {
  public:
    explicit Mapped(const std::string& path) {
        const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0 || ::ftruncate(file, kFileBytes) != 0) throw std::runtime_error("no file");
        at_ = ::mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        ::close(file);
        if (at_ == MAP_FAILED) throw std::runtime_error("no mapping");
    }
    ~Mapped() { ::munmap(at_, kFileBytes); }
    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;

    RedoLog& log() const { return *static_cast<RedoLog*>(at_); }

  private:
    void* at_;
};

std::string recover_file(const std::string& path, Redo how, const Persist& by) {
    const Mapped mapped(path);
    RedoLogUser user(mapped.log(), by);
    user.recover(how);
    return user.digest();
}

crash::Test redo_test(const std::string& path, Redo how) {
    return {.workload =
                [path](crash::History& history) {
                    const Mapped mapped(path);
                    set_amounts({mapped.log(), persist}, history);
                },
            .recover_file =
                [how](const std::string& image) { return recover_file(image, how, persist); },
            .check = same_amounts()};
}

crash::Report redo_report(Redo how, const crash::Options& options = {}) {
    const Folder folder;
    const std::string path = folder.file("redo");
    return crash::run_file(path, redo_test(path, how), options).value();
}

std::string text_of_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(FileRecoveryCrash, ARightRecoveryStandsIt) {
    const Folder images;
    // Of a file in memory and of one in a folder.
    for (const std::string& folder : {std::string(), images.path()}) {
        const crash::Report report = redo_report(Redo::right, {.image_folder = folder});
        EXPECT_TRUE(report.clean()) << report.text();
        EXPECT_GT(report.recoveries_crashed, 2u) << report.text();
        EXPECT_GE(report.recovery_crash_points, 2 * report.recoveries_crashed) << report.text();
        EXPECT_GT(report.recovery_images, report.recovery_crash_points) << report.text();
        EXPECT_EQ(report.remarks.size(), 0u) << report.text();
    }
}

TEST(FileRecoveryCrash, ARecoveryInTheWrongOrderIsFound) {
    for (const Redo how : {Redo::done_before_redone, Redo::done_in_one_fence,
                           Redo::erased_before_copied, Redo::dies_again}) {
        const crash::Report without = redo_report(how, {.recovery_crashes_max = 0});
        EXPECT_TRUE(without.clean()) << without.text();
        const crash::Report report = redo_report(how);
        ASSERT_FALSE(report.clean()) << report.text();
        const crash::Violation& found = report.violations[0];
        EXPECT_EQ(found.kind, how == Redo::dies_again ? crash::ViolationKind::crashed
                                                      : crash::ViolationKind::wrong);
        EXPECT_NE(found.where.find(kInside), std::string::npos) << report.text();
        EXPECT_GT(found.recovery_crash_point, 0u) << report.text();
    }
}

TEST(FileRecoveryCrash, TheReplayIsTheKeptImage) {
    const Folder folder;
    const std::string path = folder.file("redo");
    const crash::Test test = redo_test(path, Redo::done_in_one_fence);
    const auto report = crash::run_file(path, test, {.image_folder = folder.path()}).value();
    ASSERT_FALSE(report.clean());
    for (const crash::Violation& violation : report.violations) {
        std::filesystem::remove(path);  // as it was: the workload creates it
        const auto image = crash::image_of_file(path, test, violation.replay);
        ASSERT_TRUE(image.has_value()) << image.error().message;
        const std::string bytes(reinterpret_cast<const char*>(image->data()), image->size());
        EXPECT_TRUE(text_of_file(violation.image_file) == bytes) << violation.image_file;
        const std::string digest = recover_file(violation.image_file, Redo::right, persist);
        const std::string line = crash::line_of(std::as_bytes(std::span(digest)));
        EXPECT_TRUE(violation.what.starts_with("'" + line + "' is not")) << line;
    }
}

// In a program of its own, or by instruction: nobody sees what it makes durable.
TEST(FileRecoveryCrash, WhatIsNotSeenIsRemarked) {
    const Folder folder;
    const std::string path = folder.file("redo");
    crash::Test test = redo_test(path, Redo::right);
    test.recover_file = [](const std::string& image) {
        return recover_file(image, Redo::done_before_redone, [](auto...) {});
    };
    const auto report = crash::run_file(path, test).value();
    EXPECT_TRUE(report.clean()) << report.text();
    EXPECT_GT(report.recoveries_crashed, 0u);
    EXPECT_EQ(report.recovery_crash_points, 0u);
    EXPECT_NE(report.text().find("remark: power fails nowhere inside of recovery: it stores to "
                                 "its image, and calls nothing that makes that durable"),
              std::string::npos)
        << report.text();
}

TEST(FileRecoveryCrash, ARecoveryThatCutsTheFileOffIsRemarked) {
    const Folder folder;
    const std::string path = folder.file("redo");
    crash::Test test = redo_test(path, Redo::right);
    test.recover_file = [](const std::string& image) {
        const Mapped mapped(image);
        RedoLogUser user(mapped.log(), persist);
        user.recover(Redo::right);
        if (::truncate(image.c_str(), 4096) != 0) throw std::runtime_error("not cut off");
        mapped.log().recovering = 1;
        persist(&mapped.log(), sizeof mapped.log(), {});
        return user.digest();
    };
    const auto report = crash::run_file(path, test).value();
    EXPECT_TRUE(report.clean()) << report.text();
    EXPECT_GT(report.recovery_crash_points, 0u);
    EXPECT_NE(report.text().find("remark: power fails in no further part of recovery: the file's "
                                 "size has changed under the workload, which is not modelled"),
              std::string::npos)
        << report.text();
}

}  // namespace
}  // namespace kit_test
