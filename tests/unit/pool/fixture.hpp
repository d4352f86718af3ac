// What the tests of the pool share: a fresh directory on a disk and on tmpfs, pools in it, bytes
// of files, and children that may be unprivileged or killed.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "format/codec.hpp"
#include "pool/pool.hpp"

namespace cinnabar::pool {

inline constexpr uint64_t kPoolBytes = uint64_t{16} << 20;
inline constexpr uint64_t kSegmentBytes = uint64_t{64} << 10;
inline constexpr uid_t kNobody = 65534;

struct Place {
    const char* name;
    const char* folder;
};

class PoolTest : public ::testing::TestWithParam<Place> {
  protected:
    void SetUp() override {
        struct statvfs room = {};
        if (::statvfs(GetParam().folder, &room) != 0 ||
            room.f_bavail * room.f_frsize < (uint64_t{256} << 20) ||
            ::access(GetParam().folder, W_OK) != 0)
            GTEST_SKIP() << GetParam().folder << " has less than 256 MiB to give";
        std::string name = std::string(GetParam().folder) + "/cinnabar-test.XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        ASSERT_EQ(::chmod(folder_.c_str(), 0777), 0);
        path_ = folder_ / "pool";
    }
    void TearDown() override {
        if (!folder_.empty()) std::filesystem::remove_all(folder_);
    }

    void make() { make(path_); }
    static void make(const std::filesystem::path& path) {
        const auto made = Pool::create(path, {kPoolBytes, kSegmentBytes});
        ASSERT_TRUE(made) << made.error().message;
    }
    Pool open(const OpenOptions& options = {}) {
        auto pool = Pool::open(path_, options);
        if (!pool) {
            ADD_FAILURE() << pool.error().message;
            std::abort();
        }
        return std::move(*pool);
    }
    Error open_error(const OpenOptions& options = {}) { return open_error(path_, options); }
    static Error open_error(const std::filesystem::path& path, const OpenOptions& options = {}) {
        auto pool = Pool::open(path, options);
        if (!pool) return pool.error();
        ADD_FAILURE() << path << " opened";
        return {};
    }
    // The position in the file of something in the catalogue.
    uint64_t catalogue_offset() {
        Pool pool = open({.read_only = true});
        return pool.space().offset_of(pool.space().catalogue);
    }
    std::vector<std::string> names_in_folder() const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(folder_))
            names.push_back(entry.path().filename().string());
        return names;
    }

    std::filesystem::path folder_;
    std::filesystem::path path_;
};

inline std::vector<char> bytes_of(const std::filesystem::path& path) {
    std::vector<char> bytes(std::filesystem::file_size(path));
    std::ifstream file(path, std::ios::binary);
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    EXPECT_TRUE(file.good());
    return bytes;
}

template <class T>
T read_at(const std::filesystem::path& path, uint64_t offset) {
    T value = {};
    std::ifstream file(path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(reinterpret_cast<char*>(&value), sizeof(value));
    EXPECT_TRUE(file.good());
    return value;
}

template <class T>
void write_at(const std::filesystem::path& path, uint64_t offset, const T& value) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(reinterpret_cast<const char*>(&value), sizeof(value));
    EXPECT_TRUE(file.good());
}

inline void flip_bit(const std::filesystem::path& path, uint64_t offset, int bit) {
    write_at(path, offset, static_cast<uint8_t>(read_at<uint8_t>(path, offset) ^ (1 << bit)));
}

// What became of work in a child process. `code` is 0 where it succeeded.
struct Outcome {
    int code = 0;
    std::string message;
    int signal = 0;
};

// Runs `work` in a child and returns its error, or the signal that killed it.
inline Outcome in_child(const std::function<Result<void>()>& work) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(ends[0]);
        const auto done = work();
        const int code = done ? 0 : static_cast<int>(done.error().code);
        const std::string message = done ? "" : done.error().message;
        const bool sent = ::write(ends[1], &code, sizeof(code)) == sizeof(code) &&
                          ::write(ends[1], message.data(), message.size()) ==
                              static_cast<ssize_t>(message.size());
        ::_exit(sent ? 0 : 1);
    }
    ::close(ends[1]);
    Outcome outcome;
    char text[4096];
    if (::read(ends[0], &outcome.code, sizeof(outcome.code)) != sizeof(outcome.code))
        outcome.code = -1;
    for (ssize_t n; (n = ::read(ends[0], text, sizeof(text))) > 0;)
        outcome.message.append(text, static_cast<size_t>(n));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    outcome.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return outcome;
}

// The same as a user who owns nothing.
inline Outcome as_nobody(const std::function<Result<void>()>& work) {
    return in_child([&]() -> Result<void> {
        if (::geteuid() == 0 && ::setuid(kNobody) != 0)
            return fail(Errc::io, "this process cannot become unprivileged");
        return work();
    });
}

inline Result<void> try_open(const std::filesystem::path& path, const OpenOptions& options = {}) {
    auto pool = Pool::open(path, options);
    if (!pool) return fail(pool.error());
    return {};
}

inline int number(Errc code) {
    return static_cast<int>(code);
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// A seed that is printed and can be given again by CINNABAR_SEED.
inline uint64_t test_seed() {
    const char* given = std::getenv("CINNABAR_SEED");
    const uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("CINNABAR_SEED=%llu\n", static_cast<unsigned long long>(seed));
    return seed;
}

inline std::string place_name(const ::testing::TestParamInfo<Place>& info) {
    return info.param.name;
}

inline const auto kPlaces = ::testing::Values(Place{"disk", "/tmp"}, Place{"tmpfs", "/dev/shm"});

}  // namespace cinnabar::pool
