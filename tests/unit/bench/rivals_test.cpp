// Every engine stores what it is given, and its verify() notices when a stored byte is changed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "rivals/engine.hpp"
#include "rivals/lane.hpp"
#include "rivals/walk.hpp"

namespace cinnabar::bench {

void PrintTo(const EngineInfo& engine, std::ostream* out) {
    *out << engine.name;
}

namespace {

// In memory if there is some, so that the tests do not wait for a disk.
std::string directory() {
    return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : testing::TempDir();
}

constexpr uint64_t kArea = uint64_t{8} << 20;

class Rivals : public testing::TestWithParam<EngineInfo> {
  protected:
    void SetUp() override {
        if (GetParam().absent != nullptr) GTEST_SKIP() << GetParam().absent;
        path_ =
            directory() + "cinnabar-rivals-" + GetParam().name + "-" + std::to_string(::getpid());
        open_with(kArea);
    }

    void open_with(uint64_t area_bytes) {
        engine_.reset();  // which removes its file
        engine_ = make_engine(GetParam().name);
        ASSERT_NE(engine_, nullptr);
        const auto taken = engine_->open({path_, area_bytes, Emulate::cache_line, {}});
        if (!taken && taken.error().code == Errc::permission) {
            GTEST_SKIP() << taken.error().message;
        }
        ASSERT_TRUE(taken) << taken.error().message;
    }

    void TearDown() override {
        engine_.reset();
        EXPECT_FALSE(std::filesystem::exists(path_)) << "the engine left its file behind";
    }

    void configure(const Cell& cell, std::vector<uint32_t> sizes) {
        records_ = Records(std::move(sizes), cell.threads);
        const auto ready = engine_->configure(cell, records_);
        ASSERT_TRUE(ready) << ready.error().message;
    }

    // One short slice on one thread.
    SliceResult append_some(unsigned thread, uint64_t length_ms = 4, bool timed = false) {
        EXPECT_TRUE(engine_->prepare());
        histogram_ = Histogram();
        auto result = engine_->run(thread, {length_ms * 1'000'000, timed}, clock_, histogram_);
        EXPECT_FALSE(result.error) << result.error->message;
        EXPECT_GT(result.work.records, 0u);
        return result;
    }

    // Changes the last byte of one stored record, wherever in its file the engine put it.
    void damage(uint64_t index) {
        const Bytes record = records_.at(0, index);
        std::ifstream in(path_, std::ios::binary);
        const std::string file{std::istreambuf_iterator<char>(in), {}};
        const std::string_view wanted(reinterpret_cast<const char*>(record.data()), record.size());
        const size_t at = file.find(wanted);
        ASSERT_NE(at, std::string::npos) << "the record is not in the file";
        const int fd = ::open(path_.c_str(), O_RDWR);
        const char changed = static_cast<char>(file[at + record.size() - 1] ^ 0x10);
        ASSERT_EQ(::pwrite(fd, &changed, 1, static_cast<off_t>(at + record.size() - 1)), 1);
        ::close(fd);
    }

    Clock clock_ = Clock::calibrated();
    Records records_;
    std::string path_;
    std::unique_ptr<Engine> engine_;
    Histogram histogram_;
};

TEST_P(Rivals, HoldWhatWasAppended) {
    configure({64}, fixed_sizes(64));
    append_some(0);
    append_some(0);
    const auto same = engine_->verify();
    EXPECT_TRUE(same) << same.error().message;
}

TEST_P(Rivals, NoticeAChangedByte) {
    configure({64}, fixed_sizes(64));
    append_some(0);
    damage(0);
    const auto same = engine_->verify();
    ASSERT_FALSE(same);
    EXPECT_EQ(same.error().code, Errc::corrupt) << same.error().message;
}

TEST_P(Rivals, TimeEveryForceAndNothingElse) {
    configure({100, 1, 4}, fixed_sizes(100));
    const auto untimed = append_some(0);
    EXPECT_EQ(histogram_.samples(), 0u);
    EXPECT_EQ(untimed.work.records, 4 * untimed.work.forces);
    const auto timed = append_some(0, 4, true);
    EXPECT_EQ(histogram_.samples(), timed.work.forces);
}

TEST_P(Rivals, GoOnWithAnotherCellAfterVerify) {
    configure({64}, fixed_sizes(64));
    append_some(0);
    ASSERT_TRUE(engine_->verify());
    configure({1000, 1, 8}, fixed_sizes(1000));
    append_some(0);
    const auto same = engine_->verify();
    EXPECT_TRUE(same) << same.error().message;
}

TEST_P(Rivals, ReuseSpaceWhileRecycling) {
    configure({65536, 1, 1, Segments::recycled}, fixed_sizes(65536));
    SliceResult all;
    for (int i = 0; i < 400 && all.work.bytes < 3 * kArea; ++i) {
        all.work += append_some(0, 20).work;
    }
    EXPECT_GE(all.work.bytes, 3 * kArea);
    const auto same = engine_->verify();
    EXPECT_TRUE(same) << same.error().message;
}

TEST_P(Rivals, HoldTheRecordsOfTwoThreadsAndOfManySizes) {
    configure({0, 2}, {8, 4000, 9, 65, 64, 63, 127, 30000});
    append_some(0);
    append_some(1);
    append_some(0);
    const auto same = engine_->verify();
    EXPECT_TRUE(same) << same.error().message;
}

TEST_P(Rivals, RefuseAGroupThatDoesNotFit) {
    records_ = Records(fixed_sizes(65536), 1);
    const auto ready = engine_->configure({65536, 1, 1024}, records_);
    ASSERT_FALSE(ready);
    EXPECT_TRUE(ready.error().code == Errc::disk_full || ready.error().code == Errc::full);
}

// A cell starts on an empty log: what the cells before it filled has room again, with fewer threads
// and in streams that the new cell does not measure too.
TEST_P(Rivals, FillTheirAreaInCellAfterCell) {
    open_with(64u << 20);  // so large that its pool does not hold what two cells may fill
    for (unsigned threads : {2u, 2u, 1u, 1u}) {
        configure({65536, threads}, fixed_sizes(65536));
        for (unsigned thread = 0; thread < threads; ++thread) append_some(thread, 500);
        const auto same = engine_->verify();
        ASSERT_TRUE(same) << same.error().message;
    }
}

INSTANTIATE_TEST_SUITE_P(All, Rivals, testing::ValuesIn(engines()),
                         [](const auto& engine) { return std::string(engine.param.name); });

TEST(Floor, CountsOneFencePerForceAndTheLinesOfItsFrames) {
    const auto engine = make_engine("floor");
    const std::string path = directory() + "cinnabar-floor-" + std::to_string(::getpid());
    ASSERT_TRUE(engine->open({path, kArea, Emulate::cache_line, {}}));
    const Records records(fixed_sizes(256), 1);
    ASSERT_TRUE(engine->configure({256, 1, 8}, records));
    ASSERT_TRUE(engine->prepare());
    Histogram unused;
    const auto result = engine->run(0, {2'000'000, false}, Clock::calibrated(), unused);
    EXPECT_EQ(engine->work().fences, result.work.forces);
    EXPECT_EQ(engine->work().lines, 5 * result.work.records);  // 32 + 256 bytes, padded to 320
    EXPECT_EQ(engine->work().medium_bytes, 320 * result.work.records);
}

TEST(Floor, PadsWithZerosAndKeepsToItsFrame) {
    for (uint32_t bytes : {8u, 31u, 32u, 33u, 64u, 95u, 96u, 97u, 160u, 1000u}) {
        const auto engine = make_engine("floor");
        const std::string path = directory() + "cinnabar-pad-" + std::to_string(::getpid());
        ASSERT_TRUE(engine->open({path, 2u << 20, Emulate::cache_line, {}}));
        const Records records(fixed_sizes(bytes), 1);
        ASSERT_TRUE(engine->configure({bytes}, records));
        ASSERT_TRUE(engine->prepare());
        Histogram unused;
        for (uint64_t made = 0; made < 2;)  // on a busy machine one run may come to one
            made += engine->run(0, {100'000, false}, Clock::calibrated(), unused).work.records;
        std::ifstream in(path, std::ios::binary);
        std::string file{std::istreambuf_iterator<char>(in), {}};
        const size_t frame = (32 + bytes + 63) / 64 * 64;
        EXPECT_EQ(std::memcmp(file.data() + 32, records.at(0, 0).data(), bytes), 0) << bytes;
        const std::string_view fill = std::string_view(file).substr(32 + bytes, frame - 32 - bytes);
        EXPECT_EQ(fill.find_first_not_of('\0'), std::string_view::npos) << bytes;
        EXPECT_EQ(std::memcmp(file.data() + frame + 32, records.at(0, 1).data(), bytes), 0);
    }
}

TEST(Lane, StartsOverWhenTheEndWouldBePassed) {
    Lane lane(4096, 1000);
    EXPECT_EQ(lane.take(400), 4096u);
    EXPECT_EQ(lane.take(600), 4496u);
    EXPECT_EQ(lane.left(), 0u);
    EXPECT_EQ(lane.take(1), 4096u);
    EXPECT_EQ(lane.first_index(), 2u);
    EXPECT_EQ(lane.next_index(), 3u);
}

TEST(Walk, RefusesAMissingRecordInTheMiddleAndAtTheEnd) {
    const Records records(fixed_sizes(64), 2);
    Walk gap(records);
    EXPECT_TRUE(gap.take(records.at(0, 4)));
    EXPECT_TRUE(gap.take(records.at(1, 9)));
    EXPECT_TRUE(gap.take(records.at(0, 5)));
    EXPECT_FALSE(gap.take(records.at(0, 7)));

    Walk cut(records);
    EXPECT_TRUE(cut.take(records.at(0, 4)));
    EXPECT_TRUE(cut.ends_at(0, 5));
    EXPECT_FALSE(cut.ends_at(0, 6));
    EXPECT_TRUE(cut.ends_at(1, 17)) << "nothing of thread 1 is left";
}

TEST(Walk, RefusesARecordThatIsCutShort) {
    const Records records(fixed_sizes(64), 1);
    Walk walk(records);
    EXPECT_FALSE(walk.take(records.at(0, 0).first(63)));
}

}  // namespace
}  // namespace cinnabar::bench
