// Streams and services by name: adding, finding, removing, and what stands after reopen.
#include <atomic>
#include <thread>

#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

class Tables : public LogTest {};
INSTANTIATE_TEST_SUITE_P(Log, Tables, kBoth, medium_name);

TEST_P(Tables, StreamsAreFoundAgain) {
    create();
    {
        Log log = open();
        EXPECT_TRUE(log.streams().empty());
        EXPECT_EQ(code_of(log.stream("a")), Errc::not_found);
        must(log.add_stream("a", Writers::one));
        must(log.add_stream("b \xc3\xa4", Writers::many));
        EXPECT_EQ(code_of(log.add_stream("a", Writers::many)), Errc::already_exists);
    }
    Log log = open();
    const auto streams = log.streams();
    ASSERT_EQ(streams.size(), 2u);
    EXPECT_EQ(streams[0].name, "a");
    EXPECT_EQ(streams[0].writers, Writers::one);
    EXPECT_EQ(streams[1].name, "b \xc3\xa4");
    EXPECT_EQ(streams[1].writers, Writers::many);
    EXPECT_EQ(must(log.stream("a")).writers(), Writers::one);
    EXPECT_EQ(must(log.stream("b \xc3\xa4")).writers(), Writers::many);
}

TEST_P(Tables, NamesAreChecked) {
    create();
    Log log = open();
    must(log.add_stream("s", Writers::one));
    for (const std::string& name : {std::string(), std::string(64, 'x'), std::string("a\0b", 3),
                                    std::string("a\nb"), std::string("\xff\xfe")}) {
        EXPECT_EQ(code_of(log.add_stream(name, Writers::one)), Errc::invalid_argument) << name;
        EXPECT_EQ(code_of(log.add_service("s", name)), Errc::invalid_argument) << name;
    }
    must(log.add_stream(std::string(63, 'x'), Writers::one));
    must(log.add_service("s", std::string(63, 'x')));
    EXPECT_EQ(log.streams().size(), 2u);
}

TEST_P(Tables, ServicesComeAndGo) {
    create();
    Log log = open();
    must(log.add_stream("s", Writers::one));
    EXPECT_EQ(code_of(log.add_service("other", "a")), Errc::not_found);
    const ServiceId a = must(log.add_service("s", "a"));
    EXPECT_NE(a.value, 0);
    EXPECT_EQ(code_of(log.add_service("s", "a")), Errc::already_exists);
    const ServiceId b = must(log.add_service("s", "b"));
    EXPECT_NE(a, b);
    must(log.remove_service(a));
    EXPECT_EQ(code_of(log.remove_service(a)), Errc::not_found);
    EXPECT_EQ(code_of(log.remove_service(ServiceId{0})), Errc::not_found);
    EXPECT_EQ(code_of(log.remove_service(ServiceId{999})), Errc::not_found);
    must(log.close());
    Log again = open();
    ASSERT_EQ(again.services().size(), 1u);
    EXPECT_EQ(again.services()[0].service, b);
}

TEST_P(Tables, AStreamInUseIsPinned) {
    create();
    Log log = open();
    EXPECT_EQ(code_of(log.remove_stream("s")), Errc::not_found);
    {
        Stream stream = must(log.add_stream("s", Writers::one));
        EXPECT_EQ(code_of(log.remove_stream("s")), Errc::pinned);
        Stream copy = stream;
        stream = must(log.add_stream("t", Writers::one));
        EXPECT_EQ(code_of(log.remove_stream("s")), Errc::pinned);
    }
    {
        must(must(log.stream("s")).append(pattern(1, 10)));
        Reader reader = must(must(log.stream("s")).read());
        EXPECT_EQ(code_of(log.remove_stream("s")), Errc::pinned);
    }
    must(log.remove_stream("s"));
    EXPECT_EQ(code_of(log.stream("s")), Errc::not_found);
    EXPECT_EQ(code_of(log.remove_stream("s")), Errc::not_found);
    EXPECT_EQ(log.streams().size(), 1u);
}

TEST_P(Tables, AStreamWithServicesIsPinned) {
    create();
    Log log = open();
    must(log.add_stream("s", Writers::one));
    const ServiceId service = must(log.add_service("s", "holder"));
    const auto removed = log.remove_stream("s");
    EXPECT_EQ(code_of(removed), Errc::pinned);
    ASSERT_FALSE(removed);
    EXPECT_TRUE(contains(removed.error().message, "holder"));
    EXPECT_EQ(log.streams().size(), 1u);
    must(log.remove_service(service));
    must(log.remove_stream("s"));
}

TEST_P(Tables, ANameUsedAgainIsAnotherStream) {
    create(2048);
    Log log = open();
    for (uint64_t life = 0; life < 3; ++life) {
        Stream stream = must(log.add_stream("s", life % 2 == 0 ? Writers::one : Writers::many));
        EXPECT_TRUE(read_all(stream).empty());
        for (uint64_t i = 0; i < 50; ++i) must(stream.append(pattern(life * 100 + i, 100)));
        const auto records = read_all(stream);
        ASSERT_EQ(records.size(), 50u);
        EXPECT_TRUE(records[0].payload == pattern(life * 100, 100));
        stream = must(log.add_stream("other" + std::to_string(life), Writers::one));
        must(log.remove_stream("s"));
    }
    {
        Stream stream = must(log.add_stream("s", Writers::one));
        for (uint64_t i = 0; i < 50; ++i) must(stream.append(pattern(900 + i, 100)));
    }
    const auto killed = as_killed(log);
    for (const auto& path : {killed, path_}) {
        Log again = open_at(path);
        EXPECT_EQ(again.streams().size(), 4u);
        EXPECT_TRUE(must(again.check()).empty());
        const auto records = read_all(must(again.stream("s")));
        ASSERT_EQ(records.size(), 50u);
        EXPECT_TRUE(records[0].payload == pattern(900, 100));
    }
}

TEST_P(Tables, FullTablesSayFull) {
    create(2048);
    Log log = open();
    Result<Stream> stream = log.add_stream("s0", Writers::one);
    size_t count = 0;
    while (stream && count < 1000)
        stream = log.add_stream("s" + std::to_string(++count), Writers::one);
    EXPECT_EQ(code_of(stream), Errc::full);
    EXPECT_EQ(log.streams().size(), count);
    Result<ServiceId> service = log.add_service("s0", "v0");
    size_t services = 0;
    while (service && services < 1000)
        service = log.add_service("s0", "v" + std::to_string(++services));
    EXPECT_EQ(code_of(service), Errc::full);
    EXPECT_EQ(log.services().size(), services);
    must(log.remove_stream("s1"));
    must(log.add_stream("again", Writers::one));
    must(log.remove_service(log.services()[0].service));
    must(log.add_service("s2", "again"));
}

// Two threads that ask for the same change: one gets it, the other is told.
TEST_P(Tables, OneOfTwoRemovesAStream) {
    expect_ends_well([this] {
        create();
        Log log = open();
        for (int round = 0; round < 500; ++round) {
            must(log.add_stream("s", Writers::one));
            std::atomic<int> ready{0}, removed{0}, missed{0};
            const auto remove = [&] {
                ++ready;
                while (ready.load() < 2) {
                }
                const Errc code = code_of(log.remove_stream("s"));
                if (code == Errc{}) ++removed;
                if (code == Errc::not_found) ++missed;
            };
            std::thread other(remove);
            remove();
            other.join();
            ASSERT_EQ(removed.load(), 1);
            ASSERT_EQ(missed.load(), 1);
        }
    });
}

}  // namespace
}  // namespace cinnabar::log_test
