// Where results go: nothing is touched before there are some, nothing half written is left.
#include "force/results_file.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace cinnabar::bench {
namespace {

class ResultsFile : public testing::Test {
  protected:
    void SetUp() override {
        directory_ = testing::TempDir() + "cinnabar-results-" + std::to_string(::getpid());
        std::filesystem::create_directory(directory_);
        path_ = directory_ + "/results";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    void put(const std::string& text) { std::ofstream(path_) << text; }
    std::string content() const {
        std::ifstream in(path_);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    // A file system that has no more room, as far as this process can tell.
    template <class Call>
    static auto with_files_limited_to(rlim_t bytes, const Call& call) {
        std::signal(SIGXFSZ, SIG_IGN);
        rlimit before;
        ::getrlimit(RLIMIT_FSIZE, &before);
        rlimit small = before;
        small.rlim_cur = bytes;
        ::setrlimit(RLIMIT_FSIZE, &small);
        auto result = call();
        ::setrlimit(RLIMIT_FSIZE, &before);
        return result;
    }

    std::string directory_;
    std::string path_;
};

TEST_F(ResultsFile, ACheckLeavesEverythingAsItWas) {
    ASSERT_TRUE(check_results_file(path_));
    EXPECT_FALSE(std::filesystem::exists(path_));
    put("old");
    ASSERT_TRUE(check_results_file(path_));
    EXPECT_EQ(content(), "old");
    ASSERT_TRUE(check_results_file("/dev/null"));
}

TEST_F(ResultsFile, ACheckRefusesWhatCannotBeWritten) {
    for (const std::string& path : {directory_, directory_ + "/nowhere/results"}) {
        const auto checked = check_results_file(path);
        ASSERT_FALSE(checked) << path;
        EXPECT_NE(checked.error().message.find(path), std::string::npos);
    }
}

TEST_F(ResultsFile, WritesANewFileAndReplacesAnOldOne) {
    ASSERT_TRUE(write_results_file(path_, "a long first content"));
    EXPECT_EQ(content(), "a long first content");
    ASSERT_TRUE(write_results_file(path_, "short"));
    EXPECT_EQ(content(), "short");
}

TEST_F(ResultsFile, ALinkToAFileThatIsYetToBeMadeIsFollowed) {
    std::filesystem::create_symlink("target", path_);
    ASSERT_TRUE(check_results_file(path_));
    ASSERT_TRUE(write_results_file(path_, "through the link"));
    EXPECT_TRUE(std::filesystem::is_symlink(path_));
    EXPECT_EQ(content(), "through the link");
}

TEST_F(ResultsFile, AFailureLeavesNoNewFileAndKeepsTheOldContent) {
    const std::string text(100'000, 'x');
    const auto write = [&] { return write_results_file(path_, text); };
    EXPECT_FALSE(with_files_limited_to(1000, write));
    EXPECT_FALSE(std::filesystem::exists(path_));
    put("old");
    EXPECT_FALSE(with_files_limited_to(1000, write));
    EXPECT_EQ(content(), "old");
}

}  // namespace
}  // namespace cinnabar::bench
