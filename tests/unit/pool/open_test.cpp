// Opening a pool: every file that is refused, the lock, read-only opens, the child after fork.
#include <libpmemobj.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "fixture.hpp"

namespace cinnabar::pool {
namespace {

using std::chrono::milliseconds;

class Open : public PoolTest {
  protected:
    void write_file(const std::string& content) {
        std::ofstream(path_, std::ios::binary) << content;
    }
    Errc code_of_content(const std::string& content) {
        write_file(content);
        return open_error().code;
    }
    // Changes both copies of the superblock and sums them anew.
    void rewrite_superblock(const std::function<void(format::Superblock&)>& change) {
        const uint64_t at = catalogue_offset();
        auto block = read_at<format::Superblock>(path_, at);
        change(block);
        block.sum = format::superblock_sum(block);
        write_at(path_, at, block);
        write_at(path_, at + offsetof(format::Catalogue, superblock_b), block);
    }
};
INSTANTIATE_TEST_SUITE_P(Pool, Open, kPlaces, place_name);

// --- what is no pool ----------------------------------------------------------------------------

TEST_P(Open, NamesWhatIsNoPool) {
    EXPECT_EQ(open_error().code, Errc::not_found);
    EXPECT_EQ(open_error(folder_ / "no" / "pool").code, Errc::not_found);
    EXPECT_EQ(open_error(folder_).code, Errc::not_a_pool);
    EXPECT_TRUE(contains(open_error(folder_).message, "directory"));
    EXPECT_EQ(open_error("/dev/zero").code, Errc::not_a_pool);
    EXPECT_EQ(code_of_content(""), Errc::not_a_pool);
    EXPECT_EQ(code_of_content("x"), Errc::not_a_pool);
    EXPECT_EQ(code_of_content(std::string(1 << 20, 'x')), Errc::not_a_pool);
    EXPECT_EQ(code_of_content(std::string(16 << 20, '\0')), Errc::not_a_pool);
    EXPECT_EQ(code_of_content("PMEMPOOLSET\n16M " + (folder_ / "part").string() + "\n"),
              Errc::not_a_pool);
    EXPECT_TRUE(contains(open_error().message, "pool set"));
}

TEST_P(Open, DoesNotWaitForAPipe) {
    ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    EXPECT_EQ(open_error().code, Errc::not_a_pool);
}

// Parts and replicas name other neighbours: on both sides, parts other than replicas.
TEST_P(Open, RefusesAPartOfASet) {
    make();
    for (const uint64_t neighbours : {56, 88}) {
        for (const uint64_t id : {neighbours, neighbours + 16}) flip_bit(path_, id, 0);
        const Error error = open_error();
        EXPECT_EQ(error.code, Errc::not_a_pool);
        EXPECT_TRUE(contains(error.message, "replica")) << error.message;
        for (const uint64_t id : {neighbours, neighbours + 16}) flip_bit(path_, id, 0);
    }
}

TEST_P(Open, RefusesAnotherLayout) {
    PMEMobjpool* other = pmemobj_create(path_.c_str(), "somebody else", PMEMOBJ_MIN_POOL, 0600);
    ASSERT_NE(other, nullptr);
    pmemobj_close(other);
    const auto before = bytes_of(path_);
    for (const bool read_only : {false, true}) {
        const Error error = open_error({.read_only = read_only});
        EXPECT_EQ(error.code, Errc::wrong_layout);
        EXPECT_TRUE(contains(error.message, "somebody else")) << error.message;
    }
    EXPECT_TRUE(bytes_of(path_) == before);
}

TEST_P(Open, RefusesFileSystemsOfTheKernel) {
    EXPECT_EQ(open_error("/proc/version").code, Errc::cannot_map);
    EXPECT_EQ(open_error("/sys/kernel/notes").code, Errc::cannot_map);
}

TEST_P(Open, ATruncatedFileIsNamedAndKillsNobody) {
    make();
    const uint64_t sizes[] = {kPoolBytes - 1,
                              kPoolBytes - 4096,
                              kPoolBytes / 2,
                              5 << 20,
                              1 << 20,
                              8193,
                              8192,
                              8191,
                              4097,
                              4096,
                              100,
                              8};
    for (const uint64_t size : sizes) {
        std::filesystem::resize_file(path_, size);
        for (const bool read_only : {false, true}) {
            const Outcome refused =
                in_child([&] { return try_open(path_, {.read_only = read_only}); });
            EXPECT_EQ(refused.signal, 0) << size;
            EXPECT_EQ(refused.code, number(Errc::truncated)) << size << ": " << refused.message;
        }
    }
    std::filesystem::resize_file(path_, 6);
    EXPECT_EQ(open_error().code, Errc::not_a_pool);
}

TEST_P(Open, SegmentsBeyondTheEndAreTruncation) {
    make();
    rewrite_superblock([](format::Superblock& block) { block.extents[0].segment_count += 100; });
    EXPECT_EQ(open_error().code, Errc::truncated);
}

TEST_P(Open, ALongerFileSaysHowLongItWas) {
    make();
    std::filesystem::resize_file(path_, kPoolBytes + (4 << 20));
    const Error error = open_error();
    EXPECT_EQ(error.code, Errc::corrupt);
    EXPECT_TRUE(contains(error.message, std::to_string(kPoolBytes))) << error.message;
    std::filesystem::resize_file(path_, kPoolBytes);
    EXPECT_TRUE(Pool::open(path_, {}));
}

// --- permission ---------------------------------------------------------------------------------

TEST_P(Open, WithoutPermission) {
    make();
    if (::geteuid() != 0) ::chmod(path_.c_str(), 0);
    const Outcome refused = as_nobody([&] { return try_open(path_); });
    EXPECT_EQ(refused.code, number(Errc::permission)) << refused.message;
    EXPECT_TRUE(contains(refused.message, path_.string())) << refused.message;
}

TEST_P(Open, AFileThatMayOnlyBeReadSaysWhyReadOnlyDoesNotHelp) {
    make();
    ::chmod(path_.c_str(), 0444);
    const Outcome writing = as_nobody([&] { return try_open(path_); });
    EXPECT_EQ(writing.code, number(Errc::permission)) << writing.message;
    const Outcome reading = as_nobody([&] { return try_open(path_, {.read_only = true}); });
    EXPECT_EQ(reading.code, number(Errc::permission)) << reading.message;
    EXPECT_TRUE(contains(reading.message, "copy the file")) << reading.message;
}

// --- format -------------------------------------------------------------------------------------

TEST_P(Open, RefusesANewerFormat) {
    make();
    rewrite_superblock([](format::Superblock& block) { block.format_version = 7; });
    Error error = open_error();
    EXPECT_EQ(error.code, Errc::unsupported_version);
    EXPECT_TRUE(contains(error.message, "version 7")) << error.message;
}

TEST_P(Open, RefusesANewerFormatWhoseSumItCannotKnow) {
    make();
    const uint64_t at = catalogue_offset() + offsetof(format::Superblock, format_version);
    write_at(path_, at, uint32_t{2});
    write_at(path_, at + offsetof(format::Catalogue, superblock_b), uint32_t{2});
    EXPECT_EQ(open_error().code, Errc::unsupported_version);
}

// What a crash in the creation of a pool can leave of its header: zeros are no newer format, and no
// part of a set.
TEST_P(Open, CallsAHeaderThatIsHalfThereSo) {
    make();
    const uint64_t version = catalogue_offset() + offsetof(format::Superblock, format_version);
    constexpr std::array<char, 16> no_id = {};
    const auto expect_half = [&] {
        const Error error = open_error();
        EXPECT_TRUE(contains(error.message, "creation was cut short")) << error.message;
        EXPECT_FALSE(contains(error.message, "newer")) << error.message;
        EXPECT_FALSE(contains(error.message, "without replicas")) << error.message;
    };
    write_at(path_, version, uint32_t{0});
    write_at(path_, version + offsetof(format::Catalogue, superblock_b), uint32_t{0});
    expect_half();
    const auto major = read_at<uint32_t>(path_, 8);
    write_at(path_, 8, uint32_t{0});  // libpmemobj's format
    expect_half();
    write_at(path_, 8, major);
    for (const uint64_t neighbour : {56, 72}) write_at(path_, neighbour, no_id);
    expect_half();
    for (const uint64_t replica : {88, 104}) write_at(path_, replica, no_id);
    expect_half();
}

TEST_P(Open, RefusesUnknownFeaturesAndChecksumsByName) {
    make();
    rewrite_superblock([](format::Superblock& block) {
        block.incompatible_features = uint64_t{1} << 37;
        block.compatible_features = ~uint64_t{0};
    });
    Error error = open_error();
    EXPECT_EQ(error.code, Errc::unsupported_version);
    EXPECT_TRUE(contains(error.message, "bit 37")) << error.message;

    std::filesystem::remove(path_);
    make();
    rewrite_superblock([](format::Superblock& block) { block.checksum_algorithm = 9; });
    error = open_error();
    EXPECT_EQ(error.code, Errc::unsupported_version);
    EXPECT_TRUE(contains(error.message, "algorithm 9")) << error.message;
}

TEST_P(Open, AcceptsUnknownCompatibleFeatures) {
    make();
    rewrite_superblock([](format::Superblock& block) { block.compatible_features = 4; });
    EXPECT_TRUE(Pool::open(path_, {}));
}

TEST_P(Open, RefusesTheOtherByteOrder) {
    make();
    rewrite_superblock([](format::Superblock& block) {
        block.endian_mark = __builtin_bswap64(block.endian_mark);
    });
    const Error error = open_error();
    EXPECT_EQ(error.code, Errc::unsupported_version);
    EXPECT_TRUE(contains(error.message, "byte order")) << error.message;
}

TEST_P(Open, RefusesGeometryThatCannotBe) {
    const std::function<void(format::Superblock&)> changes[] = {
        [](format::Superblock& s) { s.segment_bytes = 3000; },
        [](format::Superblock& s) { s.segment_bytes = 0; },
        [](format::Superblock& s) { s.extent_count = 0; },
        [](format::Superblock& s) { s.extent_count = 17; },
        [](format::Superblock& s) { s.stream_rows = 65; },
        [](format::Superblock& s) { s.service_rows = 1; },
        [](format::Superblock& s) { s.extents[0].file_offset += 512; },
        [](format::Superblock& s) { s.extents[0].file_offset = 4096; },
        [](format::Superblock& s) { s.extents[0].file_offset = ~uint64_t{0} - 4095; },
        [](format::Superblock& s) { s.extents[0].segment_count = 0; },
    };
    for (const auto& change : changes) {
        make();
        rewrite_superblock(change);
        EXPECT_EQ(open_error().code, Errc::corrupt);
        std::filesystem::remove(path_);
    }
}

// --- the lock -----------------------------------------------------------------------------------

// A child that has the pool open until it is told to go, or killed.
class Holder {
  public:
    explicit Holder(const std::filesystem::path& path, bool read_only = false) {
        int ready[2];
        EXPECT_EQ(::pipe(ready), 0);
        child_ = ::fork();
        if (child_ == 0) {
            auto pool = Pool::open(path, {.read_only = read_only});
            if (!pool || ::write(ready[1], "x", 1) != 1) ::_exit(1);
            ::pause();
            ::_exit(0);
        }
        char byte = 0;
        EXPECT_EQ(::read(ready[0], &byte, 1), 1);
        ::close(ready[0]);
        ::close(ready[1]);
    }
    ~Holder() { end(); }
    void end() {
        if (child_ <= 0) return;
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
        child_ = 0;
    }
    pid_t id() const { return child_; }

  private:
    pid_t child_ = 0;
};

TEST_P(Open, ALockedPoolNamesItsHolder) {
    make();
    for (const bool read_only : {false, true}) {
        Holder holder(path_, read_only);
        const Error error = open_error();
        EXPECT_EQ(error.code, Errc::locked);
        EXPECT_TRUE(
            contains(error.message, "process " + std::to_string(holder.id()) + " (test_pool"))
            << error.message;
        EXPECT_EQ(open_error({.read_only = true}).code, Errc::locked);
    }
    EXPECT_TRUE(Pool::open(path_, {}));
}

TEST_P(Open, TwiceInOneProcessIsLockedToo) {
    make();
    Pool pool = open();
    const Error error = open_error();
    EXPECT_EQ(error.code, Errc::locked);
    EXPECT_TRUE(contains(error.message, "this process itself")) << error.message;
}

TEST_P(Open, WaitsForTheLockAsLongAsItWasTold) {
    make();
    Holder holder(path_);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(open_error({.lock_timeout = milliseconds(150)}).code, Errc::locked);
    EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(150));

    std::thread killer([&] {
        std::this_thread::sleep_for(milliseconds(100));
        holder.end();
    });
    const auto pool = Pool::open(path_, {.lock_timeout = milliseconds(20000)});
    killer.join();
    EXPECT_TRUE(pool) << pool.error().message;
}

// --- read-only ----------------------------------------------------------------------------------

TEST_P(Open, ReadOnlyNeverChangesTheFile) {
    make();
    {
        Pool pool = open();
        const auto stream = pool.add_stream("orders", true);
        ASSERT_TRUE(pool.add_service(*stream, "billing", 64));
    }
    const auto before = bytes_of(path_);
    {
        Pool pool = open({.read_only = true, .emulate = Emulate::cache_line});
        EXPECT_EQ(pool.streams().size(), 1u);
        EXPECT_EQ(pool.services().size(), 1u);
        EXPECT_EQ(pool.add_stream("more", false).error().code, Errc::read_only);
        EXPECT_EQ(pool.remove_stream(1).error().code, Errc::read_only);
        EXPECT_EQ(pool.add_service(1, "more", 0).error().code, Errc::read_only);
        EXPECT_EQ(pool.remove_service(ServiceId{1}).error().code, Errc::read_only);
        std::memset(pool.space().segments[0], 'x', kSegmentBytes);
        prefault(pool.space().segments[1], kSegmentBytes);
        EXPECT_TRUE(pool.close());
    }
    EXPECT_EQ(bytes_of(path_), before);
    { ASSERT_TRUE(open().add_stream("written", false)); }
    EXPECT_NE(bytes_of(path_), before);
    EXPECT_EQ(open().streams().size(), 2u);
}

// libpmemobj decides by a switch of the whole process, which others of the process may have set.
TEST_P(Open, LeavesTheSwitchOfTheProcessAlone) {
    make();
    for (int before : {0, 1}) {
        ASSERT_EQ(pmemobj_ctl_set(nullptr, "copy_on_write.at_open", &before), 0);
        for (const bool read_only : {true, false}) {
            open({.read_only = read_only});
            int after = -1;
            ASSERT_EQ(pmemobj_ctl_get(nullptr, "copy_on_write.at_open", &after), 0);
            EXPECT_EQ(after, before);
        }
        { ASSERT_TRUE(open().add_stream(std::to_string(before), false)); }
        EXPECT_EQ(open().streams().size(), static_cast<size_t>(before) + 1);
    }
}

// --- close and fork -----------------------------------------------------------------------------

TEST_P(Open, CloseLetsOthersInAndMayBeRepeated) {
    make();
    Pool pool = open();
    EXPECT_TRUE(pool.close());
    EXPECT_TRUE(pool.close());
    Pool moved = open();
    Pool target = std::move(moved);
    EXPECT_TRUE(target.add_stream("a", false));
    target = Pool(std::move(target));
    EXPECT_EQ(target.streams().size(), 1u);
}

TEST_P(Open, AChildThatDestroysThePoolWritesNothing) {
    make();
    Pool pool = open();
    ASSERT_TRUE(pool.add_stream("a", false));
    const auto before = bytes_of(path_);
    const Outcome child = in_child([&]() -> Result<void> {
        const void* base = pool.space().base;
        { Pool mine = std::move(pool); }
        unsigned char resident = 0;
        if (::mincore(const_cast<void*>(base), 4096, &resident) == 0)
            return fail(Errc::failed, "still mapped");
        return {};
    });
    EXPECT_EQ(child.code, 0) << child.message;
    EXPECT_EQ(child.signal, 0);
    EXPECT_EQ(bytes_of(path_), before);
    EXPECT_TRUE(pool.add_stream("b", false));
    EXPECT_EQ(open_error().code, Errc::locked);
}

TEST_P(Open, PrintsNothing) {
    make();
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    {
        Pool pool = open();
        (void)Pool::open(path_, {});
    }
    write_at(path_, 16, uint64_t{~uint64_t{0}});  // unknown features of libpmemobj
    (void)Pool::open(path_, {});
    (void)Pool::create(path_, {kPoolBytes, kSegmentBytes});
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

}  // namespace
}  // namespace cinnabar::pool
