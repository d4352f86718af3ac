// Appending: what goes in comes back, in every size and with every option, and what is refused.
#include <thread>

#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

class Append : public LogTest {};
INSTANTIATE_TEST_SUITE_P(Log, Append, kBoth, medium_name);

TEST_P(Append, RecordsOfEverySizeComeBackAfterReopen) {
    create(16384);
    std::vector<Read> written;
    for (const Writers writers : {Writers::one, Writers::many}) {
        const std::string name = writers == Writers::one ? "one" : "many";
        {
            Log log = open();
            Stream stream = must(log.add_stream(name, writers));
            EXPECT_EQ(stream.name(), name);
            EXPECT_EQ(stream.writers(), writers);
            const uint64_t most = stream.record_bytes_max();
            written.clear();
            uint64_t number = 0;
            for (const uint64_t size :
                 {uint64_t{1}, uint64_t{2}, uint64_t{31}, uint64_t{32}, uint64_t{33}, uint64_t{95},
                  uint64_t{96}, uint64_t{97}, uint64_t{160}, uint64_t{161}, uint64_t{1000},
                  most - 1, most, most, most, most, uint64_t{1}, most}) {
                const auto bytes = pattern(++number, size);
                const AppendOptions how = number % 3 == 0 ? lazy() : AppendOptions{};
                written.push_back({must(stream.append(bytes, how)), bytes});
            }
            must(stream.force(written.back().lsn));
        }
        Log log = open();
        const auto read = read_all(must(log.stream(name)));
        ASSERT_EQ(read.size(), written.size());
        for (size_t i = 0; i < read.size(); ++i) {
            EXPECT_EQ(read[i].lsn, written[i].lsn) << i;
            EXPECT_TRUE(read[i].payload == written[i].payload) << i;
        }
    }
}

TEST_P(Append, RefusesTheEmptyAndTheTooLarge) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    const uint64_t most = stream.record_bytes_max();
    EXPECT_GT(most, 0u);
    EXPECT_LE(most, log.segment_bytes() / 4);
    const Lsn before = stream.appended();
    EXPECT_EQ(code_of(stream.append(Bytes{})), Errc::invalid_argument);
    EXPECT_EQ(code_of(stream.append(std::span<const Bytes>{})), Errc::invalid_argument);
    const Bytes empty_pieces[2] = {};
    EXPECT_EQ(code_of(stream.append(empty_pieces)), Errc::invalid_argument);
    const auto large = stream.append(pattern(1, most + 1));
    EXPECT_EQ(code_of(large), Errc::record_too_large);
    EXPECT_TRUE(contains(large.error().message, std::to_string(most))) << large.error().message;
    EXPECT_EQ(stream.appended(), before);
    EXPECT_EQ(stream.counters().records, 0u);
    must(stream.append(pattern(1, most)));
    EXPECT_EQ(read_all(stream).size(), 1u);
}

TEST_P(Append, TheLimitIsAQuarterSegment) {
    for (const uint64_t segment_bytes : {uint64_t{2048}, uint64_t{65536}}) {
        std::filesystem::remove(path_);
        create(segment_bytes);
        Log log = open();
        EXPECT_EQ(log.segment_bytes(), segment_bytes);
        Stream stream = must(log.add_stream("s", Writers::one));
        EXPECT_LE(stream.record_bytes_max(), segment_bytes / 4);
        EXPECT_GE(stream.record_bytes_max(), segment_bytes / 4 - 256);
    }
}

TEST_P(Append, GatherEqualsContiguous) {
    create(16384);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    std::mt19937_64 random(7);
    for (uint64_t number = 1; number <= 200; ++number) {
        const auto whole = pattern(number, 1 + random() % stream.record_bytes_max());
        std::vector<Bytes> pieces;
        for (size_t at = 0; at < whole.size();) {
            const size_t length = std::min<size_t>(random() % 90, whole.size() - at);
            pieces.push_back(Bytes(whole).subspan(at, length));
            at += length;
        }
        const AppendOptions how = number % 2 == 0 ? lazy() : AppendOptions{};
        const Lsn gathered = must(stream.append(pieces, how));
        const Lsn contiguous = must(stream.append(whole, how));
        must(stream.force(contiguous));
        const auto read = read_all(stream, gathered);
        ASSERT_EQ(read.size(), 2u);
        EXPECT_TRUE(read[0].payload == whole) << number;
        EXPECT_TRUE(read[1].payload == whole) << number;
        EXPECT_EQ(read[1].lsn, contiguous);
    }
}

TEST_P(Append, BytesAreCopiedBeforeItReturns) {
    create();
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    auto bytes = pattern(1, 100);
    const auto original = bytes;
    must(stream.append(bytes));
    std::fill(bytes.begin(), bytes.end(), std::byte{0});
    EXPECT_TRUE(read_all(stream)[0].payload == original);
}

TEST_P(Append, EveryOptionComesBack) {
    create();
    std::vector<Lsn> lsns;
    {
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::many));
        lsns.push_back(must(stream.append(
            pattern(1, 10), {.durability = Durability::lazy, .service = {7}, .kind = 9})));
        lsns.push_back(must(stream.append(pattern(2, 10), {.service = {65535}, .kind = 65535})));
        for (int i = 0; i < 200; ++i) must(stream.append(pattern(3, 100), lazy()));
        lsns.push_back(must(stream.append(pattern(4, 10), {.previous = lsns[0]})));
    }
    Log log = open();
    Stream stream = must(log.stream("s"));
    Reader reader = must(stream.read(lsns[0]));
    const Record first = *must(reader.next());
    EXPECT_EQ(first.durability, Durability::lazy);
    EXPECT_EQ(first.service.value, 7);
    EXPECT_EQ(first.kind, 9);
    EXPECT_FALSE(first.previous);
    EXPECT_TRUE(first.known_durable);
    const Record second = *must(reader.next());
    EXPECT_EQ(second.lsn, lsns[1]);
    EXPECT_EQ(second.durability, Durability::forced);
    EXPECT_EQ(second.service.value, 65535);
    EXPECT_EQ(second.kind, 65535);
    Reader last = must(stream.read(lsns[2]));
    const Record third = *must(last.next());
    ASSERT_TRUE(third.previous);
    EXPECT_EQ(*third.previous, lsns[0]);
    EXPECT_EQ(third.service.value, 0);
}

TEST_P(Append, RefusesAPreviousThatIsNotBelow) {
    create();
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    const Lsn first = must(stream.append(pattern(1, 10)));
    const Lsn end = stream.appended();
    for (const Lsn previous : {end, Lsn{end.value + 64}, Lsn{UINT64_MAX}, Lsn{first.value + 1}})
        EXPECT_EQ(code_of(stream.append(pattern(2, 10), {.previous = previous})),
                  Errc::invalid_argument)
            << previous.value;
    EXPECT_EQ(stream.appended(), end);
    EXPECT_EQ(stream.counters().records, 1u);
    must(stream.append(pattern(2, 10), {.previous = first}));
}

TEST_P(Append, ForcedMakesEverythingBeforeItDurable) {
    create();
    Log log = open();
    for (const Writers writers : {Writers::one, Writers::many}) {
        Stream stream = must(log.add_stream(writers == Writers::one ? "one" : "many", writers));
        for (int i = 0; i < 100; ++i) {
            const Lsn lsn = must(stream.append(pattern(1, 100), lazy()));
            EXPECT_GT(stream.published(), lsn);
            EXPECT_LE(stream.durable(), lsn);
        }
        const Lsn forced = must(stream.append(pattern(2, 100)));
        EXPECT_GT(stream.durable(), forced);
        EXPECT_EQ(stream.durable(), stream.appended());
    }
}

TEST_P(Append, ForceRaisesDurable) {
    create();
    Log log = open();
    for (const Writers writers : {Writers::one, Writers::many}) {
        Stream stream = must(log.add_stream(writers == Writers::one ? "one" : "many", writers));
        EXPECT_EQ(code_of(stream.force(Lsn{0})), Errc::never_appended);
        const Lsn lsn = must(stream.append(pattern(1, 100), lazy()));
        must(stream.append(pattern(2, 100), lazy()));
        EXPECT_LE(stream.durable(), lsn);
        must(stream.force(lsn));
        EXPECT_GT(stream.durable(), lsn);
        const Counters before = stream.counters();
        must(stream.force(lsn));
        EXPECT_EQ(stream.counters().fences, before.fences);
        EXPECT_EQ(stream.counters().forces, before.forces);
        EXPECT_EQ(code_of(stream.force(stream.appended())), Errc::never_appended);
        EXPECT_EQ(code_of(stream.force(Lsn{UINT64_MAX})), Errc::never_appended);
    }
}

TEST_P(Append, ASecondThreadInAOneWriterStreamIsRefused) {
    create();
    Log log = open();
    Stream one = must(log.add_stream("one", Writers::one));
    Stream many = must(log.add_stream("many", Writers::many));
    const Lsn lsn = must(one.append(pattern(1, 10), lazy()));
    const Lsn shared = must(many.append(pattern(1, 10), lazy()));
    std::thread other([&] {
        EXPECT_EQ(code_of(one.append(pattern(2, 10))), Errc::wrong_thread);
        EXPECT_EQ(code_of(one.force(lsn)), Errc::wrong_thread);
        EXPECT_EQ(code_of(many.append(pattern(2, 10), lazy())), Errc{});
        EXPECT_EQ(code_of(many.force(shared)), Errc{});
        EXPECT_EQ(read_all(one, {}, Frontier::published).size(), 1u);  // reading is for all
    });
    other.join();
    must(one.append(pattern(3, 10)));
    EXPECT_EQ(read_all(one).size(), 2u);
}

TEST_P(Append, TheWriterIsAnyThreadAgainAfterReopen) {
    create();
    {
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::one));
        must(stream.append(pattern(1, 10)));
    }
    Log log = open();
    Stream stream = must(log.stream("s"));
    std::thread other([&] { EXPECT_EQ(code_of(stream.append(pattern(2, 10))), Errc{}); });
    other.join();
}

TEST_P(Append, ForcedCachedStoresGiveTheSameLog) {
    create();
    OpenOptions with = options();
    with.forced_cached = true;
    {
        Log log = open(with);
        for (const char* name : {"one", "many"}) {
            Stream stream = must(log.add_stream(name, *name == 'o' ? Writers::one : Writers::many));
            for (uint64_t i = 0; i < 100; ++i)
                must(stream.append(pattern(i, 1 + i * 7), i % 3 == 0 ? lazy() : AppendOptions{}));
        }
    }
    Log log = open();
    for (const char* name : {"one", "many"}) {
        const auto read = read_all(must(log.stream(name)));
        ASSERT_EQ(read.size(), 100u);
        for (uint64_t i = 0; i < 100; ++i)
            EXPECT_TRUE(read[i].payload == pattern(i, 1 + i * 7)) << i;
    }
}

// Lazy records by the megabyte: the writer clears them as it goes, and none is lost.
TEST_P(Append, MuchLazyThenOneForce) {
    create(65536, 2 * kPoolBytes);
    Log log = open();
    for (const char* name : {"one", "many"}) {
        Stream stream = must(log.add_stream(name, *name == 'o' ? Writers::one : Writers::many));
        Lsn last;
        for (uint64_t i = 0; i < 2500; ++i) last = must(stream.append(pattern(i, 1000), lazy()));
        must(stream.force(last));
        const auto read = read_all(stream);
        ASSERT_EQ(read.size(), 2500u);
        for (uint64_t i = 0; i < 2500; ++i) ASSERT_TRUE(read[i].payload == pattern(i, 1000));
    }
}

}  // namespace
}  // namespace cinnabar::log_test
