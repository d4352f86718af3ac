// Many threads: one stream that all append to, streams side by side, and the calls that may come
// at any time meanwhile.
#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

using Clock = std::chrono::steady_clock;

class Threads : public LogTest {
  protected:
    struct Content {
        uint64_t thread = 0;
        uint64_t number = 0;
        uint64_t length = 0;
    };

    // A record says who wrote it, as which one, and how long it is.
    static std::vector<std::byte> record(uint64_t thread, uint64_t number) {
        const uint64_t length = sizeof(Content) + (number * 37 + thread * 11) % 300;
        auto bytes = pattern(thread * 1'000'000 + number, length);
        const Content content{thread, number, length};
        std::memcpy(bytes.data(), &content, sizeof content);
        return bytes;
    }
    static Content content_of(const std::vector<std::byte>& bytes) {
        Content content;
        std::memcpy(&content, bytes.data(), sizeof content);
        return content;
    }
};
INSTANTIATE_TEST_SUITE_P(Log, Threads, kBoth, medium_name);

// Everything acknowledged is there once, each thread's records in their order.
TEST_P(Threads, EveryAcknowledgedRecordIsThereOnce) {
    constexpr uint64_t kThreads = 8;
    create(16384, uint64_t{512} << 20);
    std::vector<std::map<uint64_t, Lsn>> acknowledged(kThreads);
    std::filesystem::path killed;
    {
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::many));
        std::vector<std::thread> threads;
        const auto end = Clock::now() + milliseconds(1000);
        for (uint64_t t = 0; t < kThreads; ++t)
            threads.emplace_back([&, t] {
                for (uint64_t i = 0; Clock::now() < end; ++i) {
                    const bool forced = (i * 7 + t) % 5 == 0;
                    const auto done =
                        stream.append(record(t, i), forced ? AppendOptions{} : lazy());
                    if (!done && done.error().code == Errc::full) break;
                    const Lsn lsn = must(done);
                    acknowledged[t][i] = lsn;
                    EXPECT_TRUE(!forced || stream.durable() > lsn);
                    if (i % 64 == 63) must(stream.force(lsn));
                }
            });
        for (std::thread& thread : threads) thread.join();
        EXPECT_EQ(stream.published(), stream.appended());
    }
    Log log = open();
    EXPECT_TRUE(log.report().clean());
    std::vector<uint64_t> next(kThreads, 0);
    std::set<uint64_t> lsns;
    Reader reader = must(must(log.stream("s")).read());
    while (auto read = must(reader.next())) {
        const auto bytes = copy_of(read->payload);
        const Content content = content_of(bytes);
        ASSERT_LT(content.thread, kThreads);
        ASSERT_EQ(content.number, next[content.thread]++);
        ASSERT_TRUE(bytes == record(content.thread, content.number));
        ASSERT_EQ(acknowledged[content.thread].at(content.number), read->lsn);
        ASSERT_TRUE(lsns.insert(read->lsn.value).second);
    }
    for (uint64_t t = 0; t < kThreads; ++t) {
        EXPECT_EQ(next[t], acknowledged[t].size()) << t;
        EXPECT_GT(next[t], 0u);
    }
    EXPECT_TRUE(must(log.check()).empty());
}

// Threads are preempted between looking at the tail and taking space: nobody may hang for it.
TEST_P(Threads, NobodyHangsWhereManyAppendTheSmallest) {
    create(65536, uint64_t{64} << 20);
    expect_ends_well([this] {
        ::alarm(8);
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::many));
        const ServiceId service = must(log.add_service("s", "service"));
        const auto end = Clock::now() + milliseconds(1500);
        std::vector<std::thread> threads;
        for (int t = 0; t < 12; ++t)
            threads.emplace_back([&] {
                const std::byte one[1] = {};
                while (Clock::now() < end)
                    for (int i = 0; i < 50; ++i)
                        if (!stream.append(one, lazy()))
                            (void)log.release(service, stream.durable());
            });
        for (std::thread& thread : threads) thread.join();
    });
}

// A small window of work for each thread and the log always nearly full: recycling under load.
TEST_P(Threads, RecyclingUnderLoad) {
    create(2048, kPoolBytes);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    const ServiceId service = must(log.add_service("s", "service"));
    std::atomic<uint64_t> total{0};
    std::vector<std::thread> threads;
    const auto end = Clock::now() + milliseconds(600);
    for (uint64_t t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (uint64_t i = 0; Clock::now() < end;) {
                const auto done =
                    stream.append(record(t, i), i % 9 == 0 ? AppendOptions{} : lazy());
                if (done) {
                    ++i;
                    ++total;
                } else if (done.error().code != Errc::full) {
                    ADD_FAILURE() << done.error().message;
                    return;
                }
            }
        });
    std::thread releaser([&] {
        while (Clock::now() < end + milliseconds(50)) {
            // A reader walks what is durable, and then it is given up.
            Reader reader = must(stream.read());
            std::vector<uint64_t> last(4, 0);
            for (;;) {
                const auto read = must(reader.next());
                if (!read) break;
                const Content content = content_of(copy_of(read->payload));
                ASSERT_LT(content.thread, 4u);
                ASSERT_TRUE(last[content.thread] == 0 ||
                            content.number == last[content.thread] + 1);
                last[content.thread] = content.number;
            }
            must(log.release(service, reader.position()));
        }
    });
    for (std::thread& thread : threads) thread.join();
    releaser.join();
    EXPECT_GT(total.load(), 100u);
    EXPECT_TRUE(must(log.check()).empty());
}

// A check beside writers finds a sound pool sound.
TEST_P(Threads, CheckingWhileOthersWork) {
    create(2048);
    OpenOptions with = options();
    with.spare_segments = 0;
    with.modelled.fence_ns = 50'000;  // what stands between two fences stands long
    Log log = open(with);
    Stream shared = must(log.add_stream("shared", Writers::many));
    const ServiceId service = must(log.add_service("shared", "service"));
    const auto end = Clock::now() + milliseconds(1000);
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 2; ++t)
        threads.emplace_back([&, t] {
            for (uint64_t i = 0; Clock::now() < end; ++i)
                if (!shared.append(record(t, i), lazy()))
                    must(log.release(service, shared.durable()));
        });
    threads.emplace_back([&] {
        for (int i = 0; Clock::now() < end; ++i) {
            must(log.add_stream("t" + std::to_string(i), Writers::one));
            const ServiceId added =
                must(log.add_service("t" + std::to_string(i), "v" + std::to_string(i)));
            must(log.remove_service(added));
            must(log.remove_stream("t" + std::to_string(i)));
        }
    });
    std::map<std::string, int> found;
    int checks = 0;
    for (; Clock::now() < end; ++checks)
        for (const Damage& damage : must(log.check())) ++found[damage.verdict];
    for (std::thread& thread : threads) thread.join();
    for (const auto& [verdict, times] : found)
        ADD_FAILURE() << verdict << " found " << times << " times in " << checks << " checks";
    EXPECT_TRUE(must(log.check()).empty());
}

// The lists beside those who change them.
TEST_P(Threads, ListsAndMarksWhileOthersChangeThem) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    const ServiceId service = must(log.add_service("s", "steady"));
    const auto end = Clock::now() + milliseconds(400);
    std::thread changer([&] {
        for (int i = 0; Clock::now() < end; ++i) {
            const Lsn lsn = must(stream.append(pattern(1, 100)));
            must(log.release(service, lsn));
            const ServiceId added = must(log.add_service("s", "passing"));
            must(log.remove_service(added));
        }
    });
    Lsn last;
    while (Clock::now() < end) {
        for (const ServiceInfo& info : log.services())
            if (info.name == "steady") {
                ASSERT_GE(info.low_water, last);
                last = info.low_water;
            }
        ASSERT_EQ(log.streams().size(), 1u);
    }
    changer.join();
}

TEST_P(Threads, OneWriterStreamsSideBySide) {
    create(4096, uint64_t{64} << 20);
    constexpr uint64_t kThreads = 4;
    {
        Log log = open();
        std::vector<std::thread> threads;
        for (uint64_t t = 0; t < kThreads; ++t)
            threads.emplace_back([&, t] {
                Stream stream = must(log.add_stream("s" + std::to_string(t), Writers::one));
                for (uint64_t i = 0; i < 1000; ++i)
                    must(stream.append(record(t, i), i % 10 == 0 ? AppendOptions{} : lazy()));
            });
        for (std::thread& thread : threads) thread.join();
    }
    Log log = open();
    for (uint64_t t = 0; t < kThreads; ++t) {
        const auto records = read_all(must(log.stream("s" + std::to_string(t))));
        ASSERT_EQ(records.size(), 1000u);
        for (uint64_t i = 0; i < 1000; ++i) ASSERT_TRUE(records[i].payload == record(t, i));
    }
}

// Waiters and forcers on one shared stream; nobody is forgotten.
TEST_P(Threads, SomeWaitWhileOthersForce) {
    create(65536, uint64_t{64} << 20);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    std::vector<std::thread> threads;
    const uint64_t rounds = GetParam().emulate == Emulate::no ? 100 : 2000;
    std::atomic<int> waiting{4};
    for (uint64_t t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (uint64_t i = 0; i < rounds; ++i) {
                const Lsn lsn = must(stream.append(record(t, i), lazy()));
                EXPECT_EQ(code_of(stream.wait_durable(lsn, std::chrono::seconds(20))), Errc{});
            }
            --waiting;
        });
    while (waiting > 0) must(stream.append(record(9, 0)));
    for (std::thread& thread : threads) thread.join();
}

// Large records in a handful of segments, released at once: while a forcer looks for what is left
// to flush, the segment that it looks for is released and lives another life.
TEST_P(Threads, AForcerIsOvertakenByReleases) {
    create(uint64_t{1} << 20, uint64_t{11} << 20);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    const ServiceId service = must(log.add_service("s", "service"));
    const auto large = pattern(1, 200'000);
    const uint64_t rounds = GetParam().emulate == Emulate::no ? 100 : 40'000;
    std::atomic<int> appending{4};
    std::array<Lsn, 4> newest;
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (uint64_t i = 0; i < rounds; ++i) {
                const auto done = stream.append(large, i % 8 == 0 ? AppendOptions{} : lazy());
                EXPECT_TRUE(done || done.error().code == Errc::full) << done.error().message;
                if (done) newest[t] = *done;
            }
            --appending;
        });
    while (appending > 0) must(log.release(service, stream.durable()));
    for (std::thread& thread : threads) thread.join();
    must(stream.force(*std::ranges::max_element(newest)));  // the last ones may be lazy
    must(log.release(service, stream.durable()));
    const Lsn last = must(stream.append(large));
    EXPECT_TRUE(read_all(stream, last).at(0).payload == large);
}

}  // namespace
}  // namespace cinnabar::log_test
