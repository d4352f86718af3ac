// Power fails, recovery runs, and power fails again: a frame that the first crash left torn must
// not be completed by the second one. Trap L6 of engine/doc/TRAPS.md.
#include "crash/harness.hpp"
#include "trials/one_stream.hpp"

namespace cinnabar::crash_test {

namespace {

using Image = std::vector<std::byte>;

// Every image of a crash just before each fence at `site`, while `work` runs.
template <class Work>
std::vector<Image> images_at(Life& life, std::optional<Site> site, Work&& work) {
    std::vector<Image> images;
    life.medium().on_crash_point([&](Site here) {
        if (site && here != *site) return;
        life.medium().visit_images([&](std::span<const std::byte> image) {
            images.emplace_back(image.begin(), image.end());
            return true;
        });
    });
    work();
    life.medium().on_crash_point(nullptr);
    return images;
}

class TornFrame : public testing::TestWithParam<std::tuple<Age, Durability>> {};

// A frame of which all but some words is there is cut. The next record takes its place, is as long,
// and is torn as well: the cut one must not verify with the words that it lacked.
TEST_P(TornFrame, L6_IsNotCompletedByALaterOne) {
    const auto [age, durability] = GetParam();
    SimPool pool({.age = age});
    pool.add_stream("s", false);
    Life first(pool, {});
    ASSERT_TRUE(first.open());
    History history;
    const auto append = [&, durability = durability](Life& life, History& to) {
        ASSERT_TRUE(life.append(to, "s", 24, durability));
        ASSERT_TRUE(life.engine().stream("s")->force(to["s"].appended.back().lsn));
    };
    append(first, history);
    const Site fence = durability == Durability::forced ? Site::forced_fence : Site::second_fence;
    uint64_t cut = 0, seconds = 0;
    for (const Image& image : images_at(first, fence, [&] { append(first, history); })) {
        SimPool torn(pool, image);
        Life second(torn, {});
        ASSERT_TRUE(second.open());
        if (second.read("s")->size() != 1) continue;
        ++cut;
        History after;
        after["s"].appended.push_back(history["s"].appended.front());
        after["s"].last_number = 76;
        const auto images = images_at(second, fence, [&] { append(second, after); });
        after["s"].acknowledged = after["s"].appended.front().lsn.value + 1;  // at the crash
        for (const Image& again : images) {
            ++seconds;
            ASSERT_EQ(recover_and_compare(torn, again, after, {}), "");
        }
    }
    EXPECT_GT(cut, 5u);
    EXPECT_GT(seconds, 100u);
}
INSTANTIATE_TEST_SUITE_P(Trap, TornFrame,
                         testing::Combine(testing::Values(Age::zero, Age::stale, Age::random),
                                          testing::Values(Durability::forced, Durability::lazy)));

}  // namespace

}  // namespace cinnabar::crash_test
