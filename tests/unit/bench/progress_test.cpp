// What a run says about itself where no terminal is.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include "force/force_bench.hpp"

namespace cinnabar::bench {
namespace {

std::string said(double apart_s) {
    std::FILE* out = std::tmpfile();
    {
        TerminalProgress progress(out, apart_s);
        progress.begins("2 cells");
        for (int i = 0; i < 100; ++i) progress.at(0.01 * i, "a cell");
    }
    std::array<char, 4096> text = {};
    std::rewind(out);
    const size_t bytes = std::fread(text.data(), 1, text.size(), out);
    std::fclose(out);
    return {text.data(), bytes};
}

TEST(Progress, EveryTenthHasALineWithoutControlCharacters) {
    const std::string text = said(0);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10) << text;
    EXPECT_TRUE(text.starts_with("cinnabar: 2 cells\ncinnabar: 10 % done, now a cell\n")) << text;
    for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << text;
}

TEST(Progress, AShortRunHasTheFirstLineAlone) {
    EXPECT_EQ(said(60), "cinnabar: 2 cells\n");
}

}  // namespace
}  // namespace cinnabar::bench
