// A pool whose write-back failed: every call says so until it is opened again. And the end of a
// stream's positions, which is an error as well.
#include <atomic>
#include <thread>

#include "anatomy.hpp"
#include "msync.hpp"

namespace cinnabar::log_test {
namespace {

class FailedPool : public LogTest {
  protected:
    void SetUp() override {
        LogTest::SetUp();
        create(64 << 10);
        log_ = open();
        stream_ = must(log_->add_stream("s", Writers::many));
    }
    void TearDown() override {
        disk_fails = false;
        stream_.reset();
        log_.reset();
        LogTest::TearDown();
    }

    std::optional<Log> log_;
    std::optional<Stream> stream_;
};
INSTANTIATE_TEST_SUITE_P(Log, FailedPool, ::testing::Values(kPage), medium_name);

TEST_P(FailedPool, SaysSoInEveryCallUntilItIsOpenedAgain) {
    const ServiceId service = must(log_->add_service("s", "service"));
    const Lsn kept = must(stream_->append(pattern(1, 100)));
    disk_fails = true;
    EXPECT_EQ(code_of(stream_->append(pattern(2, 100))), Errc::io);
    disk_fails = false;  // the next one would succeed, and prove nothing
    EXPECT_EQ(code_of(stream_->append(pattern(3, 100))), Errc::failed);
    EXPECT_EQ(code_of(stream_->force(kept)), Errc::failed);
    EXPECT_EQ(code_of(log_->add_stream("t", Writers::one)), Errc::failed);
    EXPECT_EQ(code_of(log_->add_service("s", "another")), Errc::failed);
    EXPECT_EQ(code_of(log_->remove_service(service)), Errc::failed);
    EXPECT_EQ(code_of(log_->remove_stream("s")), Errc::failed);
    EXPECT_EQ(code_of(log_->release(service, kept)), Errc::failed);
    EXPECT_EQ(code_of(log_->close()), Errc::failed);
    stream_.reset();
    log_ = open();
    EXPECT_EQ(read_all(must(log_->stream("s"))).at(0).lsn, kept);
}

// Who asks to be told while the pool fails is told that it failed, or is refused.
TEST_P(FailedPool, NoAnnouncementIsLostBesideAFailure) {
    for (int round = 0; round < 60; ++round) {
        const Lsn lsn = must(stream_->append(pattern(1, 40), lazy()));
        std::atomic<int> taken{0}, called{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i)
            threads.emplace_back([&] {
                while (stream_->on_durable(lsn, [&](const Result<Lsn>&) { ++called; })) ++taken;
            });
        while (taken == 0) std::this_thread::yield();
        disk_fails = true;
        EXPECT_EQ(code_of(stream_->force(lsn)), Errc::io);
        for (std::thread& thread : threads) thread.join();
        disk_fails = false;
        ASSERT_EQ(called, taken) << "round " << round;
        stream_.reset();
        (void)log_->close();
        log_ = open();
        stream_ = must(log_->stream("s"));
    }
}

// 2^32 segments take a while: the stream's row says that as many were released.
TEST_P(FailedPool, AStreamEndsInAnError) {
    stream_.reset();
    must(log_->close());
    const Anatomy anatomy(path_);
    const auto bytes = file_bytes(path_);
    format::StreamRow row;
    std::memcpy(&row, bytes.data() + anatomy.stream_row(0), sizeof row);
    row.kept_from = (uint64_t{UINT32_MAX} - 4) * anatomy.span();
    row.sum = format::row_sum(must(pool::RawPool::open(path_, milliseconds(0))).space().id, row);
    std::vector<std::byte> changed(sizeof row);
    std::memcpy(changed.data(), &row, sizeof row);
    overwrite(path_, anatomy.stream_row(0), changed);

    size_t written = 0;
    for (int life = 0; life < 3; ++life) {
        log_ = open();
        stream_ = must(log_->stream("s"));
        Result<Lsn> done;
        while ((done = stream_->append(pattern(written, 10'000)))) ++written;
        EXPECT_EQ(done.error().code, Errc::full);
        EXPECT_TRUE(contains(done.error().message, "positions")) << done.error().message;
        EXPECT_EQ(read_all(*stream_).size(), written);
        EXPECT_TRUE(must(log_->check()).empty());
        stream_.reset();
        must(log_->close());
    }
    EXPECT_GT(written, 5u);
}

}  // namespace
}  // namespace cinnabar::log_test
