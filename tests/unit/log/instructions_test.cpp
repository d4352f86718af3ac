// The log in production, from the instructions that it executes: what an append or a force has made
// durable when it returns. Of the medium's own calls, tests/unit/medium/instructions_test.cpp.
#include "../medium/single_step.hpp"

#include "fixture.hpp"
#include "medium/domain.hpp"

namespace cinnabar::log_test {
namespace {

using medium::Executed;
using Kind = Executed::Kind;
using Steps = std::vector<Executed>;

constexpr uint64_t kHeader = 32;
constexpr uint64_t kRecord = 300;
constexpr uint64_t kFrame = 384;  // header and record, in whole lines

const Medium kByte{"byte", "/dev/shm", Emulate::byte};

class LogInstructions : public LogTest {
  protected:
    void SetUp() override {
        LogTest::SetUp();
        if (!medium::can_single_step())
            GTEST_SKIP() << "here the trap flag of the processor does nothing";
        create();
    }

    // What the second of two such calls executes, with record 2; the first one has bound the
    // functions and taken a segment.
    template <class Call>
    Steps second_of_two(Call&& call) {
        const auto one = pattern(1, kRecord);
        const auto two = pattern(2, kRecord);
        call(one);
        return medium::single_step({}, [&] { call(two); });
    }

    // The end, if it is this; it is taken off.
    static bool take_last(Steps& steps, Kind kind) {
        if (steps.empty() || steps.back().kind != kind) return false;
        steps.pop_back();
        return true;
    }

    // Where they begin, if they are one after another of this kind and so many bytes in all, each
    // once; null if they are not.
    static const std::byte* run_of(Steps steps, Kind kind, uint64_t bytes) {
        std::ranges::sort(steps, {}, &Executed::address);
        if (steps.empty()) return nullptr;
        uintptr_t end = steps[0].address;
        for (const Executed& step : steps) {
            if (step.kind != kind || step.address != end) return nullptr;
            end += step.bytes;
        }
        const auto* const first = reinterpret_cast<const std::byte*>(steps[0].address);
        return end - steps[0].address == bytes ? first : nullptr;
    }

    static bool holds(const std::byte* frame, uint64_t number) {
        return frame != nullptr &&
               std::ranges::equal(Bytes(frame + kHeader, kRecord), pattern(number, kRecord));
    }

    static Kind flush() {
        constexpr Kind kinds[] = {Kind::clflush, Kind::clflushopt, Kind::clwb};
        return kinds[static_cast<size_t>(medium::best_flush_instruction())];
    }
};

INSTANTIATE_TEST_SUITE_P(Log, LogInstructions, testing::Values(kCacheLine, kByte, kPage),
                         medium_name);

TEST_P(LogInstructions, AForcedRecordIsDurableWhenItsAppendReturns) {
    for (const Writers writers : {Writers::one, Writers::many}) {
        for (const bool cached : {false, true}) {
            OpenOptions with = options();
            with.forced_cached = cached;
            Log log = open(with);
            const std::string name = std::to_string(int{cached}) + std::to_string(int(writers));
            Stream stream = must(log.add_stream(name, writers));
            Steps steps = second_of_two([&](Bytes record) { must(stream.append(record)); });
            SCOPED_TRACE(testing::PrintToString(steps));
            if (GetParam().emulate == Emulate::no) {
                ASSERT_EQ(steps.size(), 1u);
                EXPECT_EQ(steps[0].kind, Kind::msync);
                EXPECT_TRUE(holds(
                    reinterpret_cast<const std::byte*>(steps[0].address + steps[0].bytes - kFrame),
                    2));
                continue;
            }
            EXPECT_TRUE(take_last(steps, Kind::sfence));
            if (!cached)
                EXPECT_TRUE(holds(run_of(steps, Kind::non_temporal_store, kFrame), 2));
            else if (GetParam().emulate == Emulate::cache_line)
                EXPECT_TRUE(holds(run_of(steps, flush(), kFrame), 2));
            else
                EXPECT_EQ(steps, Steps{});
        }
    }
}

TEST_P(LogInstructions, ALazyRecordIsDurableOnceItIsForced) {
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    Lsn last;
    EXPECT_EQ(second_of_two([&](Bytes record) { last = must(stream.append(record, lazy())); }),
              Steps{});
    must(stream.force(last));
    last = must(stream.append(pattern(3, kRecord), lazy()));
    Steps steps = medium::single_step({}, [&] { must(stream.force(last)); });
    SCOPED_TRACE(testing::PrintToString(steps));
    if (GetParam().emulate == Emulate::no) {
        ASSERT_EQ(steps.size(), 1u);
        EXPECT_EQ(steps[0].kind, Kind::msync);
        EXPECT_TRUE(holds(
            reinterpret_cast<const std::byte*>(steps[0].address + steps[0].bytes - kFrame), 3));
        return;
    }
    EXPECT_TRUE(take_last(steps, Kind::sfence));
    if (GetParam().emulate == Emulate::cache_line)
        EXPECT_TRUE(holds(run_of(steps, flush(), kFrame), 3));
    else
        EXPECT_EQ(steps, Steps{});
}

}  // namespace
}  // namespace cinnabar::log_test
