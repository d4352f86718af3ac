// A child after fork: every call is refused, and nothing that it does changes the pool.
#include <sched.h>
#include <sys/wait.h>

#include <atomic>
#include <functional>
#include <thread>

#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

class ForkTest : public LogTest {
  protected:
    // Runs `body` in a child and returns how many of its expectations failed; -1 after a signal.
    static int failures_in_child(const std::function<int()>& body) {
        const pid_t child = ::fork();
        if (child == 0) ::_exit(body());
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
};
INSTANTIATE_TEST_SUITE_P(Log, ForkTest, kBoth, medium_name);

// Counts what is not as expected: a child's EXPECT would print and be forgotten.
class Tally {
  public:
    void expect(bool holds, const char* what) {
        if (holds) return;
        std::fprintf(stderr, "in the child: %s\n", what);
        ++failures_;
    }
    template <class T>
    void forked(const Result<T>& result, const char* what) {
        expect(!result && result.error().code == Errc::forked, what);
    }
    int failures() const { return failures_; }

  private:
    int failures_ = 0;
};

TEST_P(ForkTest, EveryCallIsRefusedAndNothingChanges) {
    create();
    Log log = open();
    auto one = std::make_unique<Stream>(must(log.add_stream("one", Writers::one)));
    auto many = std::make_unique<Stream>(must(log.add_stream("many", Writers::many)));
    const ServiceId service = must(log.add_service("one", "service"));
    const Lsn lsn = must(one->append(pattern(1, 100)));
    must(many->append(pattern(2, 100), lazy()));
    auto reader = std::make_unique<Reader>(must(one->read()));
    const auto before = file_bytes(path_);

    const int failures = failures_in_child([&] {
        Tally tally;
        tally.forked(one->append(pattern(3, 10)), "append");
        tally.forked(many->append(pattern(3, 10), lazy()), "lazy append");
        tally.forked(one->force(lsn), "force");
        tally.forked(many->force(lsn), "force of a shared stream");
        tally.forked(one->wait_durable(lsn), "wait_durable");
        tally.forked(one->read(), "read");
        tally.forked(reader->next(), "next");
        tally.forked(log.add_stream("t", Writers::one), "add_stream");
        tally.forked(log.remove_stream("one"), "remove_stream");
        tally.forked(log.stream("one"), "stream");
        tally.forked(log.add_service("one", "t"), "add_service");
        tally.forked(log.remove_service(service), "remove_service");
        tally.forked(log.release(service, lsn), "release");
        tally.forked(log.check(), "check");
        tally.forked(one->carry_forward({}), "carry_forward");
        tally.forked(one->locate(lsn), "locate");
        tally.expect(log.segments_free() == 0, "segments_free");
        tally.forked(log.close(), "close");
        { const Log ends_here = std::move(log); }
        reader.reset();
        one.reset();
        many.reset();
        return tally.failures();
    });
    EXPECT_EQ(failures, 0);
    EXPECT_TRUE(file_bytes(path_) == before);

    // The parent goes on, and still holds the lock.
    EXPECT_EQ(code_of(Log::open(path_, options())), Errc::locked);
    must(one->append(pattern(4, 100)));
    must(many->append(pattern(5, 100)));
    EXPECT_EQ(must(reader->next())->lsn, lsn);
    EXPECT_EQ(read_all(*one).size(), 2u);
    must(log.close());
    Log again = open();
    EXPECT_EQ(read_all(must(again.stream("many"))).size(), 2u);
}

TEST_P(ForkTest, TheParentsPoolIsLockedForTheChild) {
    create();
    Log log = open();
    EXPECT_EQ(failures_in_child([&] {
                  Tally tally;
                  tally.expect(code_of(Log::open(path_, options())) == Errc::locked, "open");
                  return tally.failures();
              }),
              0);
    must(log.add_stream("s", Writers::one));
}

// Each is the first process of its namespace, so both have the number 1.
TEST_P(ForkTest, AChildWithItsParentsNumberIsRefusedToo) {
    const auto first_of_a_namespace = [](const std::function<int()>& body) {
        if (::unshare(CLONE_NEWPID) != 0) return 77;
        return failures_in_child([&] { return ::getpid() == 1 ? body() : 76; });
    };
    create();
    must(Log::create(folder_ / "own", {.pool_bytes = 2 * kPoolBytes}));
    const int failures = failures_in_child([&] {
        if (::geteuid() != 0 && ::unshare(CLONE_NEWUSER) != 0) return 77;
        return first_of_a_namespace([&] {
            auto log = std::make_unique<Log>(open());
            auto stream = std::make_unique<Stream>(must(log->add_stream("s", Writers::one)));
            must(stream->append(pattern(1, 100)));
            const auto before = file_bytes(path_);
            const int failed = first_of_a_namespace([&] {
                Tally tally;
                tally.forked(stream->append(pattern(2, 10)), "append");
                Log own = must(Log::open(folder_ / "own", options()));
                must(must(own.add_stream("c", Writers::one)).append(pattern(1, 10)));
                tally.forked(stream->append(pattern(2, 10)), "append, beside a log of its own");
                tally.forked(log->close(), "close");
                stream.reset();
                log.reset();
                tally.expect(file_bytes(path_) == before, "the pool is as it was");
                return tally.failures();
            });
            must(stream->append(pattern(3, 100)));
            return failed + (read_all(*stream).size() == 2 ? 0 : 1);
        });
    });
    if (failures == 77) GTEST_SKIP() << "no namespaces here";
    EXPECT_EQ(failures, 0);
}

// The child has one thread, and every lock that another thread of the parent held at that moment
// stays held in it for ever. A slow medium makes such moments long.
TEST_P(ForkTest, DestructorsInAChildWaitForNoThreadOfTheParent) {
    create();
    OpenOptions slow = options();
    slow.modelled.fence_ns = 1'000'000;
    Log log = open(slow);
    Stream stream = must(log.add_stream("s", Writers::many, Reserve::yes));
    const ServiceId service = must(log.add_service("s", "service"));
    const Lsn first = must(stream.append(pattern(0, 100)));
    auto reader = std::make_unique<Reader>(must(stream.read()));
    EXPECT_EQ(must(reader->next())->lsn, first);
    auto reservation = std::make_unique<Reservation>(must(stream.reserve(100, 2)));

    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    threads.emplace_back([&] {  // from segment to segment
        for (uint64_t i = 1; !stop && stream.append(pattern(i, 800), lazy()); ++i) {
        }
    });
    threads.emplace_back([&] {
        for (uint64_t i = 1; !stop; ++i) {
            const auto lsn = stream.append(pattern(i, 100));
            if (!lsn || !log.release(service, *lsn)) break;
        }
    });
    // Until ten segments were crossed, at the least.
    const uint64_t far = uint64_t{10} * 4096;
    for (int i = 0; (i < 40 || stream.appended().value < far) && !HasFailure(); ++i) {
        std::this_thread::sleep_for(milliseconds(1));
        const int failures = failures_in_child([&] {
            ::alarm(10);
            reservation.reset();
            reader.reset();
            { const Stream ends_here = std::move(stream); }
            { const Log ends_here = std::move(log); }
            return 0;
        });
        EXPECT_EQ(failures, 0) << "child " << i << (failures < 0 ? " was ended by a signal" : "");
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_GT(must(reader->next())->lsn, first);
}

// What the error's sentence advises: a log that the child opened itself is its own.
TEST_P(ForkTest, AChildMayOpenALogOfItsOwn) {
    create();
    must(Log::create(folder_ / "own", {.pool_bytes = 2 * kPoolBytes}));
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    EXPECT_EQ(failures_in_child([&] {
                  Tally tally;
                  auto own = Log::open(folder_ / "own", options());
                  tally.expect(own.has_value(), "open of another pool");
                  if (!own) return tally.failures();
                  auto added = own->add_stream("c", Writers::one);
                  tally.expect(added.has_value(), "add_stream in the child's own log");
                  if (added) tally.expect(added->append(pattern(1, 10)).has_value(), "append");
                  tally.expect(own->close().has_value(), "close of the child's own log");
                  tally.forked(stream.append(pattern(2, 10)), "the parent's stream, still");
                  return tally.failures();
              }),
              0);
    must(stream.append(pattern(3, 10)));
}

// exit() runs destructors of static objects: the child's copy of a log must not disturb the pool.
TEST_P(ForkTest, AChildThatAppendsToNothingLeavesNoTrace) {
    create();
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    for (uint64_t i = 0; i < 20; ++i) {
        must(stream.append(pattern(i, 100)));
        EXPECT_EQ(failures_in_child([&] {
                      Log copy = std::move(log);
                      return copy.close() ? 1 : 0;
                  }),
                  0);
    }
    EXPECT_EQ(read_all(stream).size(), 20u);
    EXPECT_TRUE(must(log.check()).empty());
}

}  // namespace
}  // namespace cinnabar::log_test
