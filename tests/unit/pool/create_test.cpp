// Creating a pool: what the file holds, every refusal, and that nothing is left behind.
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "fixture.hpp"
#include "pool/raw_pool.hpp"

namespace cinnabar::pool {
namespace {

class Create : public PoolTest {
  protected:
    Error create_error(const std::filesystem::path& path,
                       CreateOptions options = {kPoolBytes, kSegmentBytes}) {
        auto made = Pool::create(path, options);
        if (!made) return made.error();
        ADD_FAILURE() << path << " was created";
        return {};
    }
};
INSTANTIATE_TEST_SUITE_P(Pool, Create, kPlaces, place_name);

TEST_P(Create, MakesAPrivateFileAndLeavesNothingElse) {
    const mode_t before = ::umask(0);
    make();
    ::umask(before);
    struct stat status = {};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
    EXPECT_EQ(static_cast<uint64_t>(status.st_size), kPoolBytes);
    EXPECT_GE(static_cast<uint64_t>(status.st_blocks) * 512, kPoolBytes) << "the file is sparse";
    EXPECT_EQ(names_in_folder(), std::vector<std::string>{"pool"});
}

// Content is there when the name is, and no file where there could be no content.
TEST_P(Create, FillsBeforeThePoolHasItsName) {
    const CreateOptions options{kPoolBytes, kSegmentBytes};
    const auto refused = Pool::create(path_, options, [&](const Space&) -> Result<void> {
        EXPECT_FALSE(std::filesystem::exists(path_));
        return fail(Errc::not_found, "nothing to fill in");
    });
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::not_found);
    EXPECT_TRUE(names_in_folder().empty());
    const auto made = Pool::create(path_, options, [&](const Space& space) -> Result<void> {
        EXPECT_FALSE(std::filesystem::exists(path_));
        space.segments[1][17] = std::byte{42};
        return {};
    });
    ASSERT_TRUE(made.has_value()) << made.error().message;
    const auto raw = RawPool::open(path_, std::chrono::milliseconds(0));
    ASSERT_TRUE(raw.has_value());
    EXPECT_EQ(raw->space().segments[1][17], std::byte{42});
}

TEST_P(Create, NeverShowsMoreThanTheOwnerMaySee) {
    const mode_t before = ::umask(0);
    std::atomic<bool> stop = false;
    std::atomic<int> seen = 0, open_to_others = 0;
    std::thread watcher([&] {
        while (!stop)
            for (const std::string& name : names_in_folder()) {
                struct stat status = {};
                if (::stat((folder_ / name).c_str(), &status) != 0) continue;
                ++seen;
                if ((status.st_mode & 0177) != 0) ++open_to_others;
            }
    });
    for (int i = 0; i < 10; ++i) make(folder_ / std::to_string(i));
    stop = true;
    watcher.join();
    ::umask(before);
    EXPECT_GT(seen, 10);
    EXPECT_EQ(open_to_others, 0);
}

TEST_P(Create, LaysTheCatalogueOut) {
    make();
    Pool pool = open();
    const Space& space = pool.space();
    const format::Catalogue& catalogue = *space.catalogue;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&catalogue) % format::kPageBytes, 0u);
    EXPECT_EQ(catalogue.superblock_a, catalogue.superblock_b);
    EXPECT_EQ(catalogue.superblock_a.sum, format::superblock_sum(catalogue.superblock_a));
    EXPECT_EQ(catalogue.superblock_a.segment_bytes, kSegmentBytes);
    using format::RegisterRole;
    for (const auto& [role, line] :
         {std::pair(RegisterRole::generation_ceiling, &catalogue.generation_ceiling),
          std::pair(RegisterRole::last_stream, &catalogue.last_stream)}) {
        const auto value = format::read_register(pool.id(), format::register_key(role), *line);
        ASSERT_TRUE(value);
        EXPECT_EQ(value->value, 0u);
    }
    EXPECT_TRUE(pool.streams().empty());
    EXPECT_TRUE(pool.services().empty());
    EXPECT_TRUE(pool.notes().empty());
}

TEST_P(Create, SegmentsAreAlignedApartAndZero) {
    make();
    Pool pool = open();
    const Space& space = pool.space();
    EXPECT_GE(space.segments.size() * kSegmentBytes, kPoolBytes * 6 / 10);
    const auto* catalogue = reinterpret_cast<const std::byte*>(space.catalogue);
    std::set<const std::byte*> seen;
    for (const std::byte* segment : space.segments) {
        EXPECT_TRUE(seen.insert(segment).second);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(segment) % kSegmentBytes, 0u);
        EXPECT_LE(space.offset_of(segment) + kSegmentBytes, kPoolBytes);
        EXPECT_TRUE(segment >= catalogue + sizeof(format::Catalogue) ||
                    segment + kSegmentBytes <= catalogue);
        EXPECT_TRUE(std::all_of(segment, segment + kSegmentBytes,
                                [](std::byte b) { return b == std::byte{0}; }));
    }
    for (auto it = seen.begin(); std::next(it) != seen.end(); ++it)
        EXPECT_GE(*std::next(it) - *it, static_cast<ptrdiff_t>(kSegmentBytes));
}

TEST_P(Create, TheSmallestPoolOfEverySegmentSizeHoldsFour) {
    for (uint64_t segment = format::kSegmentBytesMin; segment <= uint64_t{16} << 20; segment *= 2) {
        const uint64_t smallest = pool_bytes_min(segment);
        const auto path = folder_ / std::to_string(segment);
        const auto made = Pool::create(path, {smallest, segment});
        ASSERT_TRUE(made) << made.error().message;
        auto pool = Pool::open(path, {});
        ASSERT_TRUE(pool) << pool.error().message;
        EXPECT_GE(pool->space().segments.size(), kSegmentsMin);
        for (const std::byte* p : pool->space().segments)
            EXPECT_EQ(
                reinterpret_cast<uintptr_t>(p) % std::min<uint64_t>(segment, uint64_t{2} << 20),
                0u);
        ASSERT_TRUE(pool->add_stream("a full pool still has room for its tables", false));
        pool->close();
        std::filesystem::remove(path);

        const Error error = create_error(path, {smallest - 1, segment});
        EXPECT_EQ(error.code, Errc::invalid_argument);
        EXPECT_TRUE(contains(error.message, size_text(smallest))) << error.message;
    }
}

TEST_P(Create, PoolsHaveIdsOfTheirOwn) {
    make(folder_ / "a");
    make(folder_ / "b");
    EXPECT_NE(Pool::open(folder_ / "a", {})->id(), Pool::open(folder_ / "b", {})->id());
}

TEST_P(Create, RefusesSizesThatCannotBe) {
    for (const uint64_t segment :
         {uint64_t{0}, uint64_t{1024}, uint64_t{3000}, uint64_t{65537}, uint64_t{1} << 31})
        EXPECT_EQ(create_error(path_, {kPoolBytes, segment}).code, Errc::invalid_argument);
    EXPECT_EQ(create_error(path_, {kPoolBytesMax + 1, kSegmentBytes}).code, Errc::invalid_argument);
    EXPECT_EQ(create_error(path_, {UINT64_MAX, kSegmentBytes}).code, Errc::invalid_argument);
    EXPECT_TRUE(names_in_folder().empty());
}

TEST_P(Create, NeverReplacesWhatIsThere) {
    { std::ofstream(path_) << "precious"; }
    EXPECT_EQ(create_error(path_).code, Errc::already_exists);
    EXPECT_EQ(bytes_of(path_).size(), 8u);
    const auto link = folder_ / "dangling";
    std::filesystem::create_symlink(folder_ / "nowhere", link);
    EXPECT_EQ(create_error(link).code, Errc::already_exists);
    EXPECT_EQ(create_error(folder_).code, Errc::already_exists);
    EXPECT_EQ(names_in_folder().size(), 2u);
}

TEST_P(Create, OneOfTwoRacingCreatorsWins) {
    for (int round = 0; round < 10; ++round) {
        const auto path = folder_ / std::to_string(round);
        Result<void> first, second;
        std::thread other([&] { first = Pool::create(path, {kPoolBytes, kSegmentBytes}); });
        second = Pool::create(path, {kPoolBytes, kSegmentBytes});
        other.join();
        EXPECT_NE(first.has_value(), second.has_value());
        EXPECT_EQ((first ? second : first).error().code, Errc::already_exists);
        EXPECT_TRUE(Pool::open(path, {}));
    }
    EXPECT_EQ(names_in_folder().size(), 10u);
}

TEST_P(Create, NamesThePlaceThatIsMissingOrForbidden) {
    EXPECT_EQ(create_error(folder_ / "nowhere" / "pool").code, Errc::not_found);
    { std::ofstream(folder_ / "file") << "x"; }
    EXPECT_EQ(create_error(folder_ / "file" / "pool").code, Errc::not_found);
    EXPECT_EQ(create_error(folder_ / std::string(300, 'x')).code, Errc::invalid_argument);
    EXPECT_EQ(create_error("").code, Errc::invalid_argument);
    ASSERT_EQ(::chmod(folder_.c_str(), 0555), 0);
    const Outcome refused = as_nobody([&] {
        return Pool::create(path_, {kPoolBytes, kSegmentBytes});
    });
    EXPECT_EQ(refused.code, number(Errc::permission)) << refused.message;
    ::chmod(folder_.c_str(), 0777);
    EXPECT_EQ(names_in_folder(), std::vector<std::string>{"file"});
}

TEST_P(Create, RefusesFileSystemsOfTheKernel) {
    for (const char* path : {"/proc/pool", "/sys/pool", "/proc/self/pool"}) {
        const Error error = create_error(path);
        EXPECT_EQ(error.code, Errc::cannot_map) << error.message;
    }
}

// A tmpfs of 4 MiB in namespaces of the child's own.
Result<void> mount_small_tmpfs(const std::filesystem::path& path) {
    const int namespaces = CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
    if (::unshare(namespaces) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) ||
        ::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=4m,mode=0777") != 0)
        return fail(Errc::timed_out, "cannot mount a tmpfs here");
    return {};
}

TEST_P(Create, AFullDiskIsNamedAndLeftEmpty) {
    const Outcome full = in_child([&]() -> Result<void> {
        if (auto done = mount_small_tmpfs(folder_); !done) return done;
        auto made = Pool::create(path_, {kPoolBytes, kSegmentBytes});
        if (!names_in_folder().empty()) return fail(Errc::failed, "something was left behind");
        return made;
    });
    if (full.code == number(Errc::timed_out)) GTEST_SKIP() << full.message;
    EXPECT_EQ(full.code, number(Errc::disk_full)) << full.message;
    EXPECT_TRUE(contains(full.message, size_text(kPoolBytes))) << full.message;
}

TEST_P(Create, AFileSizeLimitLeavesNothing) {
    const Outcome limited = in_child([&] {
        ::signal(SIGXFSZ, SIG_IGN);
        const struct rlimit limit = {4 << 20, 4 << 20};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        return Pool::create(path_, {kPoolBytes, kSegmentBytes});
    });
    EXPECT_EQ(limited.code, number(Errc::disk_full)) << limited.message;
    EXPECT_TRUE(names_in_folder().empty());
}

TEST_P(Create, AKilledCreateLeavesNoHalfPool) {
    std::mt19937_64 random(test_seed());
    const auto before = std::chrono::steady_clock::now();
    make();
    const auto usual = std::chrono::steady_clock::now() - before;
    const auto range_us = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(usual * 2).count());
    std::filesystem::remove(path_);
    int whole = 0, none = 0;
    for (int round = 0; round < 60; ++round) {
        const auto path = folder_ / std::to_string(round);
        const pid_t child = ::fork();
        if (child == 0) {
            (void)Pool::create(path, {kPoolBytes, kSegmentBytes});
            ::pause();
        }
        ::usleep(static_cast<useconds_t>(random() % range_us));
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        if (!std::filesystem::exists(path)) {
            ++none;
            continue;
        }
        ++whole;
        const auto pool = Pool::open(path, {});
        EXPECT_TRUE(pool) << pool.error().message;
        std::filesystem::remove(path);
    }
    for (const std::string& name : names_in_folder())
        EXPECT_EQ(name.rfind("cinnabar-creating.", 0), 0u) << name;
    std::printf("%d whole, %d none\n", whole, none);
    EXPECT_GT(none, 0);
}

}  // namespace
}  // namespace cinnabar::pool
