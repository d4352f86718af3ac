// Plain stores in the hook build: their order is that of the program. Compiled without hooks the
// same stores are a bag, and both orders alarm.
#include <gtest/gtest.h>

#include <cinnabar/crash.hpp>
#include <cstring>

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

// The second word says that the first one is there; both lie in one line.
struct Pair {
    uint64_t first;
    uint64_t second;
};

crash::Report pair_report(void (*store)(Pair& pair)) {
    crash::Region region = crash::Region::create(4096, cinnabar::Domain::cache_line).value();
    const crash::Test test{
        .workload =
            [&](crash::History&) {
                Pair& pair = *reinterpret_cast<Pair*>(region.bytes().data());
                store(pair);
                region.persist(&pair, sizeof pair);
            },
        .recover =
            [](std::span<std::byte> image) {
                const Pair& pair = *reinterpret_cast<const Pair*>(image.data());
                return std::to_string(pair.first) + std::to_string(pair.second);
            },
        .check = [](std::string_view digest,
                    const crash::History&) { return std::string(digest == "01" ? "torn" : ""); }};
    return crash::run(region, test).value();
}

TEST(Hooked, PlainStoresKeepTheirOrder) {
    const crash::Report right = pair_report([](Pair& pair) {
        pair.first = 1;
        pair.second = 1;
    });
    EXPECT_TRUE(right.clean()) << right.text();
    const crash::Report wrong = pair_report([](Pair& pair) {
        pair.second = 1;
        pair.first = 1;
    });
    EXPECT_FALSE(wrong.clean());
}

// Two stores to one word are two, and copies a bag as before.
TEST(Hooked, EveryStoreCounts) {
    const crash::Report twice = pair_report([](Pair& pair) {
        volatile uint64_t& second = pair.second;
        second = 1;
        second = 0;
    });
    EXPECT_FALSE(twice.clean());
    static const Pair both = {1, 1};
    EXPECT_FALSE(pair_report([](Pair& pair) { std::memcpy(&pair, &both, sizeof both); }).clean());
}

}  // namespace
}  // namespace kit_test
