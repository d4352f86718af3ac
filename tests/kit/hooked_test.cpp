// Plain stores in the hook build: their order is that of the program. Compiled without hooks the
// same stores are a bag, and both orders alarm.
#include <gtest/gtest.h>

#include <cstring>

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

}  // namespace
}  // namespace kit_test
