// The tables of streams and services: rules of names and numbers, reopening, SIGKILL at random.
#include <array>
#include <map>
#include <set>

#include "fixture.hpp"

namespace cinnabar::pool {
namespace {

class Tables : public PoolTest {
  protected:
    void SetUp() override {
        PoolTest::SetUp();
        if (!IsSkipped()) make();
    }
    static uint64_t mark_of(const Pool& pool, ServiceId service) {
        const uint32_t row = service.value - 1u;
        const auto value =
            format::read_register(pool.id(), format::register_key(format::RegisterRole::mark, row),
                                  pool.space().catalogue->marks[row]);
        return value ? value->value : ~uint64_t{0};
    }
};
INSTANTIATE_TEST_SUITE_P(Pool, Tables, kPlaces, place_name);

TEST_P(Tables, SurviveReopening) {
    {
        Pool pool = open();
        EXPECT_EQ(pool.add_stream("orders", true).value(), 1u);
        EXPECT_EQ(pool.add_stream("verlängert", false).value(), 2u);
        EXPECT_EQ(pool.add_service(2, "billing", 128).value().value, 1u);
        EXPECT_EQ(pool.add_service(1, "stock", 640).value().value, 2u);
    }
    Pool pool = open();
    const auto streams = pool.streams();
    ASSERT_EQ(streams.size(), 2u);
    EXPECT_EQ(streams[0].stream, 1u);
    EXPECT_EQ(streams[0].name, "orders");
    EXPECT_TRUE(streams[0].shared);
    EXPECT_EQ(streams[1].name, "verlängert");
    EXPECT_FALSE(streams[1].shared);
    const auto services = pool.services();
    ASSERT_EQ(services.size(), 2u);
    EXPECT_EQ(services[0].service.value, 1u);
    EXPECT_EQ(services[0].stream, 2u);
    EXPECT_EQ(services[0].name, "billing");
    EXPECT_EQ(mark_of(pool, services[0].service), 128u);
    EXPECT_EQ(mark_of(pool, services[1].service), 640u);
}

TEST_P(Tables, StreamNumbersAreNeverUsedAgain) {
    uint32_t last = 0;
    for (int life = 0; life < 3; ++life) {
        Pool pool = open();
        for (int i = 0; i < 10; ++i) {
            const auto stream = pool.add_stream("again", false);
            ASSERT_TRUE(stream);
            EXPECT_EQ(*stream, last + 1);
            last = *stream;
            ASSERT_TRUE(pool.remove_stream(last));
        }
    }
}

TEST_P(Tables, AServiceStartsAtItsOwnMark) {
    Pool pool = open();
    ASSERT_TRUE(pool.add_stream("s", false));
    for (const uint64_t mark : {uint64_t{1} << 40, uint64_t{64}, uint64_t{0}}) {
        const auto service = pool.add_service(1, "one", mark);
        ASSERT_TRUE(service);
        EXPECT_EQ(service->value, 1u);
        EXPECT_EQ(mark_of(pool, *service), mark);
        // The service moves on; whoever gets its row must not inherit that.
        for (const uint64_t slot : {1, 0})
            pool.space().catalogue->marks[0].slot[slot] = format::register_slot(
                pool.id(), format::register_key(format::RegisterRole::mark), mark + 4096 - slot);
        EXPECT_EQ(mark_of(pool, *service), mark + 4096);
        ASSERT_TRUE(pool.remove_service(*service));
    }
}

TEST_P(Tables, AStreamWithServicesStays) {
    Pool pool = open();
    ASSERT_TRUE(pool.add_stream("orders", false));
    ASSERT_TRUE(pool.add_stream("free", false));
    ASSERT_TRUE(pool.add_service(1, "billing", 0));
    ASSERT_TRUE(pool.add_service(1, "stock", 0));
    const auto refused = pool.remove_stream(1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::pinned);
    EXPECT_TRUE(contains(refused.error().message, "'billing', 'stock'")) << refused.error().message;
    EXPECT_TRUE(pool.remove_stream(2));
    EXPECT_TRUE(pool.remove_service(ServiceId{1}));
    EXPECT_TRUE(pool.remove_service(ServiceId{2}));
    EXPECT_TRUE(pool.remove_stream(1));
    EXPECT_TRUE(pool.streams().empty());
}

TEST_P(Tables, RefuseNamesThatCannotBe) {
    Pool pool = open();
    ASSERT_TRUE(pool.add_stream("s", false));
    const std::string bad[] = {"",
                               std::string(64, 'x'),
                               "a/b",
                               "a\nb",
                               std::string("a\0b", 3),
                               "\x7f",
                               "\xff",
                               "\xc3",
                               "\xc0\xaf",
                               "\xed\xa0\x80",
                               "\xf4\x90\x80\x80"};
    for (const std::string& name : bad) {
        EXPECT_EQ(pool.add_stream(name, false).error().code, Errc::invalid_argument) << name;
        EXPECT_EQ(pool.add_service(1, name, 0).error().code, Errc::invalid_argument) << name;
    }
    const std::string longest(63, 'x');
    for (const std::string& name : {longest, std::string("ü €"), std::string("\xf0\x9f\x90\x8e")}) {
        EXPECT_TRUE(pool.add_stream(name, false)) << name;
        EXPECT_TRUE(pool.add_service(1, name, 0)) << name;
        EXPECT_EQ(pool.streams().back().name, name);
        EXPECT_EQ(pool.services().back().name, name);
    }
    EXPECT_EQ(pool.add_stream(longest, true).error().code, Errc::already_exists);
    EXPECT_EQ(pool.add_service(2, longest, 0).error().code, Errc::already_exists);
}

TEST_P(Tables, NameWhatIsNotThere) {
    Pool pool = open();
    ASSERT_TRUE(pool.add_stream("s", false));
    for (const uint32_t stream : {0u, 2u, ~0u}) {
        EXPECT_EQ(pool.remove_stream(stream).error().code, Errc::not_found);
        EXPECT_EQ(pool.add_service(stream, "x", 0).error().code, Errc::not_found);
    }
    for (const uint16_t service :
         {uint16_t{0}, uint16_t{1}, uint16_t{64}, uint16_t{65}, uint16_t{65535}})
        EXPECT_EQ(pool.remove_service(ServiceId{service}).error().code, Errc::not_found);
}

TEST_P(Tables, SayWhenTheyAreFull) {
    {
        Pool pool = open();
        for (uint32_t i = 0; i < format::kStreamRows; ++i)
            ASSERT_TRUE(pool.add_stream(std::to_string(i), false));
        for (uint32_t i = 0; i < format::kServiceRows; ++i)
            ASSERT_TRUE(pool.add_service(1 + i, std::to_string(i), i));
    }
    Pool pool = open();
    const auto stream = pool.add_stream("one more", false);
    ASSERT_FALSE(stream);
    EXPECT_EQ(stream.error().code, Errc::full);
    EXPECT_TRUE(contains(stream.error().message, "64")) << stream.error().message;
    const auto service = pool.add_service(1, "one more", 0);
    ASSERT_FALSE(service);
    EXPECT_EQ(service.error().code, Errc::full);
    EXPECT_TRUE(contains(service.error().message, "64")) << service.error().message;
    ASSERT_TRUE(pool.remove_service(ServiceId{7}));
    EXPECT_EQ(pool.add_service(1, "one more", 0).value().value, 7u);
}

// --- SIGKILL ------------------------------------------------------------------------------------

// What the tables hold, by name: streams, and services with their stream.
struct Names {
    std::set<std::string> streams;
    std::map<std::string, std::string> services;
    friend bool operator==(const Names&, const Names&) = default;
};

Names names_of(const Pool& pool) {
    Names names;
    std::map<uint32_t, std::string> by_number;
    for (const StreamInfo& stream : pool.streams()) by_number[stream.stream] = stream.name;
    for (const auto& [stream, name] : by_number) names.streams.insert(name);
    for (const ServiceInfo& service : pool.services())
        names.services[service.name] = by_number.at(service.stream);
    return names;
}

// One change of the tables, drawn from the state it starts from.
struct Change {
    bool is_stream;
    bool add;
    std::string name;
    std::string stream;  // of a service to add
};

Change draw(std::mt19937_64& random, const Names& names) {
    Change change;
    const std::string name = std::to_string(random() % 12);
    change.is_stream = names.streams.empty() || random() % 2 == 0;
    if (!change.is_stream) {
        change.add = !names.services.contains(name);
        change.name = name;
        change.stream = *std::next(names.streams.begin(),
                                   static_cast<ptrdiff_t>(random() % names.streams.size()));
        return change;
    }
    change.name = name;
    change.add = !names.streams.contains(name);
    for (const auto& [service, stream] : names.services)
        if (!change.add && stream == name) return {false, false, service, ""};
    return change;
}

void apply(const Change& change, Names& names) {
    if (change.is_stream && change.add) names.streams.insert(change.name);
    if (change.is_stream && !change.add) names.streams.erase(change.name);
    if (!change.is_stream && change.add) names.services[change.name] = change.stream;
    if (!change.is_stream && !change.add) names.services.erase(change.name);
}

bool apply(const Change& change, Pool& pool) {
    uint32_t stream = 0;
    for (const StreamInfo& s : pool.streams())
        if (s.name == (change.is_stream ? change.name : change.stream)) stream = s.stream;
    if (change.is_stream)
        return change.add ? pool.add_stream(change.name, true).has_value()
                          : pool.remove_stream(stream).has_value();
    if (change.add) return pool.add_service(stream, change.name, 4096).has_value();
    for (const ServiceInfo& service : pool.services())
        if (service.name == change.name) return pool.remove_service(service.service).has_value();
    return false;
}

// Changes the tables until it is killed. One byte on the pipe says that the pool is open, and one
// more for each change that is done.
[[noreturn]] void change_for_ever(const std::filesystem::path& path, uint64_t seed, int out) {
    auto pool = Pool::open(path, {});
    if (!pool) ::_exit(1);
    std::mt19937_64 random(seed);
    Names names = names_of(*pool);
    if (::write(out, "x", 1) != 1) ::_exit(3);
    for (;;) {
        const Change change = draw(random, names);
        if (!apply(change, *pool)) ::_exit(2);
        apply(change, names);
        if (::write(out, "x", 1) != 1) ::_exit(3);
    }
}

TEST_P(Tables, KilledAtAnyMomentHoldEveryChangeThatWasDone) {
    std::mt19937_64 random(test_seed());
    Names expected;
    uint32_t greatest = 0;
    uint64_t changes = 0;
    for (int round = 0; round < 30; ++round) {
        const uint64_t seed = random();
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        const pid_t child = ::fork();
        if (child == 0) change_for_ever(path_, seed, ends[1]);
        ::close(ends[1]);
        char ready = 0;
        ASSERT_EQ(::read(ends[0], &ready, 1), 1);
        ::usleep(static_cast<useconds_t>(random() % 40000));
        ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended with " << WEXITSTATUS(status);
        uint64_t done = 0;
        for (char text[512];;) {
            const ssize_t n = ::read(ends[0], text, sizeof(text));
            if (n <= 0) break;
            done += static_cast<uint64_t>(n);
        }
        ::close(ends[0]);

        std::mt19937_64 same(seed);
        for (uint64_t i = 0; i < done; ++i) apply(draw(same, expected), expected);
        Names one_more = expected;
        apply(draw(same, one_more), one_more);
        const auto before = bytes_of(path_);
        const Names seen_read_only = names_of(open({.read_only = true}));
        ASSERT_EQ(bytes_of(path_), before);
        Pool pool = open();
        const Names seen = names_of(pool);
        ASSERT_TRUE(seen == expected || seen == one_more) << "round " << round;
        ASSERT_EQ(seen, seen_read_only);
        expected = seen;
        changes += done;
        for (const StreamInfo& stream : pool.streams())
            greatest = std::max(greatest, stream.stream);
        const auto next = pool.add_stream("probe", false);
        ASSERT_TRUE(next);
        ASSERT_GT(*next, greatest);
        greatest = *next;
        ASSERT_TRUE(pool.remove_stream(*next));
    }
    std::printf("%llu changes, stream numbers to %u\n", static_cast<unsigned long long>(changes),
                greatest);
    EXPECT_GT(changes, 0u);
}

}  // namespace
}  // namespace cinnabar::pool
