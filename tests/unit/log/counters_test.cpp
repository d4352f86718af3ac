// The counters: what a record and a force cost, exactly.
#include <thread>

#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

class CountersTest : public LogTest {};
INSTANTIATE_TEST_SUITE_P(Log, CountersTest, kBoth, medium_name);

uint64_t padded(uint64_t size) {
    return (size + 32 + 63) / 64 * 64;
}

TEST_P(CountersTest, OneFenceForAForceInAOneWriterStream) {
    create(4096);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    uint64_t payload = 0, bytes = 0, forces = 0;
    for (uint64_t i = 0; i < 500; ++i) {
        const uint64_t size = 1 + i % 400;
        const bool forced = i % 4 == 0;
        const Lsn lsn = must(stream.append(pattern(i, size), forced ? AppendOptions{} : lazy()));
        payload += size;
        bytes += padded(size);
        forces += forced;
        if (i % 50 == 49) {
            must(stream.force(lsn));
            ++forces;
        }
    }
    const Counters counters = stream.counters();
    EXPECT_EQ(counters.records, 500u);
    EXPECT_EQ(counters.payload_bytes, payload);
    EXPECT_EQ(counters.bytes, bytes);
    EXPECT_EQ(counters.forces, forces);
    EXPECT_GT(counters.maintenance_fences, 0u);
    EXPECT_GT(counters.maintenance_bytes, 0u);
    if (GetParam().emulate == Emulate::no) {
        EXPECT_GE(counters.fences, forces);  // a range over two segments takes two msyncs
    } else {
        EXPECT_EQ(counters.fences, forces);
        // Every line is flushed or stored non-temporally; the pads and links between may be again.
        EXPECT_GE(counters.lines, bytes / kLine);
        EXPECT_LE(counters.lines, bytes / kLine + counters.maintenance_bytes);
    }
}

TEST_P(CountersTest, LinesAreExactWithinASegment) {
    if (GetParam().emulate == Emulate::no) GTEST_SKIP() << "pages are synced, not lines";
    create(uint64_t{1} << 20, 2 * kPoolBytes);
    Log log = open();
    for (const char* name : {"one", "many"}) {
        Stream stream = must(log.add_stream(name, *name == 'o' ? Writers::one : Writers::many));
        must(stream.append(pattern(0, 8)));
        const Counters start = stream.counters();
        for (uint64_t i = 0; i < 10; ++i) must(stream.append(pattern(i, 96), lazy()));
        EXPECT_EQ(stream.counters().lines, start.lines);
        EXPECT_EQ(stream.counters().fences, start.fences);
        must(stream.append(pattern(0, 97)));
        const Counters end = stream.counters();
        EXPECT_EQ(end.lines - start.lines, 10 * 2 + 3u);
        EXPECT_EQ(end.fences - start.fences, 1u);
        EXPECT_EQ(end.forces - start.forces, 1u);
        EXPECT_EQ(end.maintenance_fences, start.maintenance_fences);
        EXPECT_EQ(end.bytes - start.bytes, (10 * 2 + 3) * kLine);
    }
}

TEST_P(CountersTest, ForcesOfManyWritersTakeTwoFencesAtMost) {
    if (GetParam().emulate == Emulate::no) GTEST_SKIP() << "in the page domain fences are msyncs";
    create(65536);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::many));
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (uint64_t i = 0; i < 3000; ++i)
                must(stream.append(pattern(t * 10000 + i, 8 + i % 100),
                                   i % 3 == 0 ? AppendOptions{} : lazy()));
        });
    for (std::thread& thread : threads) thread.join();
    const Counters counters = stream.counters();
    EXPECT_EQ(counters.records, 12000u);
    EXPECT_EQ(counters.forces, 4000u);
    EXPECT_LE(counters.fences, 2 * counters.forces);
    EXPECT_GE(counters.fences, counters.forces);
}

// However much was written lazily before, a force is what fences, and a record alone does not.
TEST_P(CountersTest, ManyLazyBytesCostNoUncountedFence) {
    if (GetParam().emulate == Emulate::no) GTEST_SKIP() << "in the page domain fences are msyncs";
    create(uint64_t{1} << 20, 2 * kPoolBytes);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    for (uint64_t i = 0; i < 1500; ++i) must(stream.append(pattern(i, 1000), lazy()));
    must(stream.append(pattern(0, 8)));
    EXPECT_EQ(stream.counters().fences, stream.counters().forces);
}

TEST_P(CountersTest, OfAFailedCallAreUnchanged) {
    create(2048);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    must(stream.append(pattern(0, 8)));
    const Counters before = stream.counters();
    (void)stream.append(Bytes{});
    (void)stream.append(pattern(0, 1000));
    (void)stream.force(Lsn{1 << 20});
    (void)stream.wait_durable(Lsn{64});
    const Counters after = stream.counters();
    EXPECT_EQ(after.records, before.records);
    EXPECT_EQ(after.forces, before.forces);
    EXPECT_EQ(after.bytes, before.bytes);
    EXPECT_EQ(after.fences, before.fences);
}

// New segments and marks are maintenance: a fence for each header copy and one for the link frame.
TEST_P(CountersTest, MaintenanceHoldsSegmentsAndMarks) {
    create(2048);
    for (const uint32_t spares : {0u, 4u}) {
        OpenOptions with = options();
        with.spare_segments = spares;
        Log log = open(with);
        const std::string name = "s" + std::to_string(spares);
        Stream stream = must(log.add_stream(name, Writers::one));
        const ServiceId service = must(log.add_service(name, "service of " + name));
        Lsn last;
        for (uint64_t i = 0; i < 100; ++i) last = must(stream.append(pattern(i, 100)));
        const Counters before = stream.counters();
        const uint64_t crossings = (stream.appended().value + 1535) / 1536;
        EXPECT_GE(before.maintenance_fences, (spares == 0 ? 3 : 1) * crossings);
        must(log.release(service, last));
        EXPECT_GE(stream.counters().maintenance_fences, before.maintenance_fences + 1);
        EXPECT_GE(stream.counters().maintenance_bytes, before.maintenance_bytes + 16);
        EXPECT_EQ(stream.counters().fences, before.fences);
        EXPECT_EQ(stream.counters().bytes, before.bytes);
    }
}

}  // namespace
}  // namespace cinnabar::log_test
