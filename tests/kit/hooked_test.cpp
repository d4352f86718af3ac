// Plain stores in the hook build: their order is that of the program. Compiled without hooks the
// same stores are a bag, and both orders alarm.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "kit/pair.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

TEST(Hooked, PlainStoresKeepTheirOrder) {
    const crash::Report right = pair_report([](crash::Region&, Pair& pair) {
        pair.first = 1;
        pair.second = 1;
    });
    EXPECT_TRUE(right.clean()) << right.text();
    const crash::Report wrong = pair_report([](crash::Region&, Pair& pair) {
        pair.second = 1;
        pair.first = 1;
    });
    EXPECT_FALSE(wrong.clean());
}

// Of a recovery as well: power fails inside of it, and a bag would alarm in both orders.
TEST(Hooked, PlainStoresOfARecoveryKeepTheirOrder) {
    const auto report = [](void (*store)(Pair&)) {
        crash::Region region = crash::Region::create(4096, cinnabar::Domain::cache_line).value();
        const crash::Test test{
            .workload =
                [&](crash::History&) {
                    std::byte* behind = region.bytes().data() + 64;
                    region.store(behind, std::byte{1});
                    region.persist(behind, 1);
                },
            .recover =
                [store](std::span<std::byte> image) {
                    auto recovered =
                        crash::Region::attach(image, cinnabar::Domain::cache_line).value();
                    const std::string found = recover_pair(image);
                    store(*reinterpret_cast<Pair*>(image.data()));
                    recovered.persist(image.data(), sizeof(Pair));
                    return std::string(found == "01" ? "01" : "whole");
                },
            .check = check_pair};
        return crash::run(region, test).value();
    };
    const crash::Report right = report([](Pair& pair) {
        pair.first = 1;
        pair.second = 1;
    });
    EXPECT_TRUE(right.clean()) << right.text();
    EXPECT_GT(right.recovery_crash_points, 0u) << right.text();
    const crash::Report wrong = report([](Pair& pair) {
        pair.second = 1;
        pair.first = 1;
    });
    EXPECT_FALSE(wrong.clean());
}

// Two stores to one word are two, and copies a bag as before.
TEST(Hooked, EveryStoreCounts) {
    const crash::Report twice = pair_report([](crash::Region&, Pair& pair) {
        volatile uint64_t& second = pair.second;
        second = 1;
        second = 0;
    });
    EXPECT_FALSE(twice.clean());
    static const Pair both = {1, 1};
    EXPECT_FALSE(pair_report([](crash::Region&, Pair& pair) {
                     std::memcpy(&pair, &both, sizeof both);
                 }).clean());
}

// What addr2line says of the place: "hooked_test.cpp:12".
std::string line_of_code(const std::string& place) {
    const std::string offset = place.substr(place.find('+') + 1);
    const std::string command =
        "addr2line -e " + std::filesystem::read_symlink("/proc/self/exe").string() + " " + offset;
    std::FILE* said = ::popen(command.c_str(), "r");
    char text[1024] = {};
    if (said == nullptr || std::fgets(text, sizeof text, said) == nullptr) return "";
    ::pclose(said);
    std::string line = text;
    line.erase(0, line.rfind('/') + 1);
    return line.substr(0, line.find_first_of(" \n"));
}

// Was this program built with lines? Asked of a function, without what is tested.
bool has_lines() {
    const auto* here = reinterpret_cast<const char*>(&line_of_code);
    Dl_info info = {};
    if (::dladdr(here, &info) == 0) return false;
    char offset[32];
    std::snprintf(offset, sizeof offset, "+0x%tx", here - static_cast<const char*>(info.dli_fbase));
    return !line_of_code(offset).starts_with("??");
}

// The line of the source, of the two stores and of the fence that orders them.
TEST(Hooked, APlainStoreHasAPlace) {
    crash::Region region = crash::Region::create(4096, cinnabar::Domain::cache_line).value();
    auto* words = reinterpret_cast<uint64_t*>(region.bytes().data());
    int line = 0;
    const crash::Test test{.workload =
                               [&](crash::History&) {
                                   line = __LINE__ + 1;
                                   words[9] = 1;
                                   words[0] = 1;
                                   region.persist(words, 128);
                               },
                           .recover =
                               [](std::span<std::byte> image) {
                                   const auto* found =
                                       reinterpret_cast<const uint64_t*>(image.data());
                                   return std::string(found[0] == 1 && found[9] == 0 ? "half" : "");
                               },
                           .check = [](std::string_view digest,
                                       const crash::History&) { return std::string(digest); }};
    const crash::Report report = crash::run(region, test).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    const crash::Violation& one = report.violations[0];
    const std::string place = "plain store at test_kit_hooked+0x";
    EXPECT_TRUE(one.lost.starts_with("offset 72, " + place)) << report.text();
    EXPECT_TRUE(one.survived.starts_with("offset 0, " + place)) << report.text();
    EXPECT_TRUE(one.fix.starts_with("with a flush and a fence behind " + place));
    EXPECT_TRUE(one.fix.ends_with(" nothing is found")) << report.text();
    if (!has_lines()) GTEST_SKIP() << "built without lines";
    EXPECT_EQ(line_of_code(one.lost), "hooked_test.cpp:" + std::to_string(line));
    EXPECT_EQ(line_of_code(one.survived), "hooked_test.cpp:" + std::to_string(line + 1));
}

// Whatever the access is compiled to: a copy, an atomic, a store of 16 bytes.
TEST(Hooked, EveryKindOfStoreHasAPlaceHere) {
    if (!has_lines()) GTEST_SKIP() << "built without lines";
    static const Pair half = {0, 1};
    const std::vector<std::function<void(Pair&)>> stores = {
        [](Pair& pair) { std::memcpy(&pair, &half, sizeof half); },
        [](Pair& pair) { __atomic_fetch_add(&pair.second, 1, __ATOMIC_SEQ_CST); },
        [](Pair& pair) { pair = half; },
    };
    for (const auto& store : stores) {
        const crash::Report report = pair_report([&](crash::Region&, Pair& pair) { store(pair); });
        ASSERT_FALSE(report.clean());
        const std::string line = line_of_code(report.violations[0].survived);
        EXPECT_TRUE(line.starts_with("hooked_test.cpp:")) << line << "\n" << report.text();
    }
}

}  // namespace
}  // namespace kit_test
