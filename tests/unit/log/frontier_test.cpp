// The frontiers, and waiting for them.
#include <sys/eventfd.h>

#include <atomic>
#include <thread>

#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

class FrontierTest : public LogTest {
  protected:
    Stream stream_of(Log& log, Writers writers) {
        return must(log.add_stream(writers == Writers::one ? "one" : "many", writers));
    }
};
INSTANTIATE_TEST_SUITE_P(Log, FrontierTest, kBoth, medium_name);

TEST_P(FrontierTest, StayInOrderUnderASampler) {
    create(4096);
    Log log = open();
    for (const Writers writers : {Writers::one, Writers::many}) {
        Stream stream = stream_of(log, writers);
        std::atomic<bool> stop{false};
        uint64_t samples = 0;
        std::thread sampler([&] {
            Lsn durable, published, appended;
            while (!stop.load() || samples == 0) {
                // Read in this order, each may only have grown since the one before it was read.
                const Lsn d = stream.durable(), p = stream.published(), a = stream.appended();
                EXPECT_LE(d, p);
                EXPECT_LE(p, a);
                EXPECT_GE(d, durable);
                EXPECT_GE(p, published);
                EXPECT_GE(a, appended);
                durable = d, published = p, appended = a;
                ++samples;
            }
        });
        const auto append_some = [&] {
            for (uint64_t i = 0; i < 2000; ++i)
                must(
                    stream.append(pattern(i, 1 + i % 300), i % 20 == 0 ? AppendOptions{} : lazy()));
        };
        if (writers == Writers::one) {
            append_some();
        } else {
            std::thread second(append_some), third(append_some);
            second.join();
            third.join();
        }
        stop = true;
        sampler.join();
        EXPECT_GT(samples, 0u);
    }
}

TEST_P(FrontierTest, WaitingForWhatIsDurableReturnsAtOnce) {
    create();
    Log log = open();
    for (const Writers writers : {Writers::one, Writers::many}) {
        Stream stream = stream_of(log, writers);
        const Lsn lsn = must(stream.append(pattern(1, 10)));
        EXPECT_EQ(code_of(stream.wait_durable(lsn)), Errc{});
        EXPECT_EQ(code_of(stream.wait_durable(lsn, std::chrono::nanoseconds(0))), Errc{});
        EXPECT_EQ(code_of(stream.wait_durable(stream.appended())), Errc::never_appended);
        EXPECT_EQ(code_of(stream.wait_durable(Lsn{UINT64_MAX})), Errc::never_appended);
    }
}

TEST_P(FrontierTest, NoTimeLeftIsNoTime) {
    create();
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    const Lsn lsn = must(stream.append(pattern(1, 10), lazy()));
    for (const auto timeout : {std::chrono::nanoseconds(-1), std::chrono::nanoseconds::min()})
        EXPECT_EQ(code_of(stream.wait_durable(lsn, timeout)), Errc::timed_out);
}

TEST_P(FrontierTest, WaitingEndsWithTheTime) {
    create();
    Log log = open();
    for (const Writers writers : {Writers::one, Writers::many}) {
        Stream stream = stream_of(log, writers);
        const Lsn lsn = must(stream.append(pattern(1, 10), lazy()));
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_EQ(code_of(stream.wait_durable(lsn, milliseconds(30))), Errc::timed_out);
        EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(29));
        EXPECT_EQ(code_of(stream.wait_durable(lsn, milliseconds(0))), Errc::timed_out);
        EXPECT_EQ(code_of(stream.wait_durable(lsn, milliseconds(-5))), Errc::timed_out);
        EXPECT_LE(stream.durable(), lsn);  // waiting forces nothing
    }
}

TEST_P(FrontierTest, SomebodyElsesForceWakes) {
    create();
    Log log = open();
    for (const Writers writers : {Writers::one, Writers::many}) {
        Stream stream = stream_of(log, writers);
        for (const bool by_append : {false, true}) {
            const Lsn lsn = must(stream.append(pattern(1, 10), lazy()));
            std::atomic<int> woken{0};
            std::vector<std::thread> waiters;
            for (int i = 0; i < 3; ++i)
                waiters.emplace_back([&, i] {
                    const auto done = i == 0 ? stream.wait_durable(lsn)
                                             : stream.wait_durable(lsn, std::chrono::seconds(20));
                    EXPECT_EQ(code_of(done), Errc{});
                    EXPECT_GT(stream.durable(), lsn);
                    ++woken;
                });
            std::this_thread::sleep_for(milliseconds(20));
            EXPECT_EQ(woken.load(), 0);
            if (by_append)
                must(stream.append(pattern(2, 10)));
            else
                must(stream.force(lsn));
            for (std::thread& waiter : waiters) waiter.join();
        }
    }
}

// A wake-up lost once in many is found by many.
TEST_P(FrontierTest, NoWakeUpIsLost) {
    create(65536);
    Log log = open();
    for (const Writers writers : {Writers::one, Writers::many}) {
        Stream stream = stream_of(log, writers);
        std::atomic<uint64_t> announced{UINT64_MAX};
        std::atomic<uint64_t> seen{UINT64_MAX};
        const uint64_t rounds = GetParam().emulate == Emulate::no ? 300 : 1500;
        std::thread waiter([&] {
            uint64_t last = UINT64_MAX;
            for (uint64_t i = 0; i < rounds; ++i) {
                uint64_t lsn = 0;
                while ((lsn = announced.load()) == last) std::this_thread::yield();
                last = lsn;
                // A sleeper that nobody woke looks again when its time is over, and finds it
                // durable.
                const auto begin = std::chrono::steady_clock::now();
                const auto done = stream.wait_durable(Lsn{lsn}, std::chrono::seconds(5));
                EXPECT_EQ(code_of(done), Errc{});
                EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5)) << i;
                seen = lsn;
            }
        });
        for (uint64_t i = 0; i < rounds; ++i) {
            const Lsn lsn = must(stream.append(pattern(i, 8), lazy()));
            announced = lsn.value;
            for (uint64_t spin = 0; spin < i % 64; ++spin) __builtin_ia32_pause();
            if (i % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(60));
            must(stream.force(lsn));
            while (seen.load() != lsn.value) std::this_thread::yield();
        }
        waiter.join();
    }
}

// --- announcements ------------------------------------------------------------------------------
TEST_P(FrontierTest, AnnouncesOnceWhenDurable) {
    create();
    Log log = open();
    for (const Writers writers : {Writers::one, Writers::many}) {
        Stream stream = stream_of(log, writers);
        std::vector<Lsn> calls;
        const auto call = [&](Result<Lsn> durable) { calls.push_back(must(std::move(durable))); };
        EXPECT_EQ(code_of(stream.on_durable(Lsn{0}, call)), Errc::never_appended);
        const Lsn first = must(stream.append(pattern(1, 10), lazy()));
        const Lsn second = must(stream.append(pattern(2, 10), lazy()));
        EXPECT_EQ(code_of(stream.on_durable(stream.appended(), call)), Errc::never_appended);
        must(stream.on_durable(first, call));
        must(stream.on_durable(second, call));
        EXPECT_EQ(calls.size(), 0u);
        must(stream.append(pattern(3, 10)));
        ASSERT_EQ(calls.size(), 2u);
        for (const Lsn durable : calls) EXPECT_GT(durable, second);
        must(stream.append(pattern(4, 10)));
        EXPECT_EQ(calls.size(), 2u);
        must(stream.on_durable(first, call));  // it is already
        EXPECT_EQ(calls.size(), 3u);
    }
}

TEST_P(FrontierTest, AnnouncesTheEnd) {
    create();
    Log log = open();
    std::vector<Errc> calls;
    for (const Writers writers : {Writers::one, Writers::many}) {
        Stream stream = stream_of(log, writers);
        must(stream.append(pattern(1, 10), lazy()));
        const Lsn lsn = must(stream.append(pattern(1, 10), lazy()));
        must(stream.on_durable(lsn, [&](Result<Lsn> end) { calls.push_back(code_of(end)); }));
    }
    must(log.close());
    ASSERT_EQ(calls.size(), 2u);
    // Closing makes durable what is left.
    EXPECT_EQ(calls[0], Errc{});
    EXPECT_EQ(calls[1], Errc{});
}

TEST_P(FrontierTest, SignalsAnEventfd) {
    create();
    Log log = open();
    const int event = ::eventfd(0, EFD_NONBLOCK);
    ASSERT_GE(event, 0);
    uint64_t count = 0;
    for (const Writers writers : {Writers::one, Writers::many}) {
        Stream stream = stream_of(log, writers);
        const Lsn lsn = must(stream.append(pattern(1, 10), lazy()));
        must(stream.signal_durable(lsn, event));
        must(stream.signal_durable(lsn, event));
        EXPECT_LT(::read(event, &count, sizeof count), 0);
        must(stream.force(lsn));
        EXPECT_EQ(::read(event, &count, sizeof count), static_cast<ssize_t>(sizeof count));
        EXPECT_EQ(count, 2u);
    }
    ::close(event);
}

// Announcements and sleepers beside several forcers: each is called once, none is forgotten.
TEST_P(FrontierTest, NoAnnouncementIsLost) {
    create(65536);
    Log log = open();
    Stream stream = stream_of(log, Writers::many);
    const uint64_t rounds = GetParam().emulate == Emulate::no ? 200 : 3000;
    std::atomic<uint64_t> called{0};
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 3; ++t)
        threads.emplace_back([&] {
            for (uint64_t i = 0; i < rounds; ++i) {
                const Lsn lsn = must(stream.append(pattern(i, 8), lazy()));
                must(stream.on_durable(lsn, [&called, lsn](Result<Lsn> durable) {
                    if (durable && *durable > lsn) ++called;
                }));
                if (i % 5 == 0) must(stream.force(lsn));
            }
        });
    for (std::thread& thread : threads) thread.join();
    must(stream.append(pattern(0, 8)));
    EXPECT_EQ(called.load(), 3 * rounds);
}

TEST_P(FrontierTest, OfAReopenedStreamAreItsEnd) {
    create();
    Lsn end;
    {
        Log log = open();
        Stream stream = stream_of(log, Writers::one);
        EXPECT_EQ(stream.durable().value, 0u);
        EXPECT_EQ(stream.published().value, 0u);
        EXPECT_EQ(stream.appended().value, 0u);
        must(stream.append(pattern(1, 10)));
        end = stream.appended();
    }
    Log log = open();
    Stream stream = must(log.stream("one"));
    EXPECT_GE(stream.durable(), end);
    EXPECT_EQ(stream.durable(), stream.published());
    EXPECT_EQ(stream.durable(), stream.appended());
    EXPECT_EQ(stream.durable(), log.report().streams.at(0).end);
}

}  // namespace
}  // namespace cinnabar::log_test
