// What a run says about itself where no terminal is.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

#include "force/force_bench.hpp"

namespace cinnabar::bench {
namespace {

std::string said(double apart_s) {
    std::FILE* out = std::tmpfile();
    {
        TerminalProgress progress(out, apart_s);
        progress.begins("2 cells");
        for (int i = 0; i < 30; ++i) {
            progress.at(0.01 * i, "a cell");
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
    }
    std::array<char, 4096> text = {};
    std::rewind(out);
    const size_t bytes = std::fread(text.data(), 1, text.size(), out);
    std::fclose(out);
    return {text.data(), bytes};
}

TEST(Progress, HasALineNowAndThenWithoutControlCharacters) {
    const std::string text = said(0.1);
    const auto lines = std::count(text.begin(), text.end(), '\n');
    EXPECT_GE(lines, 3) << text;
    EXPECT_LE(lines, 10) << text;
    EXPECT_TRUE(text.starts_with("cinnabar: 2 cells\ncinnabar: ")) << text;
    EXPECT_TRUE(text.ends_with(" % done, now a cell\n")) << text;
    for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << text;
}

TEST(Progress, AShortRunHasTheFirstLineAlone) {
    EXPECT_EQ(said(60), "cinnabar: 2 cells\n");
}

}  // namespace
}  // namespace cinnabar::bench
