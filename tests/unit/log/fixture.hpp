// What the tests of the log share: a fresh directory, a pool in it, records that can be told
// apart, and the pool as a kill at this moment would leave it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "cinnabar/log.hpp"

namespace cinnabar {

inline void PrintTo(Errc code, std::ostream* out) {
    *out << (static_cast<int>(code) == 0 ? "success" : name_of(code));
}
inline void PrintTo(Lsn lsn, std::ostream* out) {
    *out << "LSN " << lsn.value;
}

namespace log_test {

using std::chrono::milliseconds;

inline constexpr uint64_t kPoolBytes = uint64_t{8} << 20;
inline constexpr uint64_t kLine = 64;

// The value, or the end of the test with the error's message.
template <class T>
T must(Result<T> result) {
    if (!result)
        throw std::runtime_error(std::string(name_of(result.error().code)) + ": " +
                                 result.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// The error's code; 0 where there is none.
template <class T>
Errc code_of(const Result<T>& result) {
    return result ? Errc{} : result.error().code;
}

inline std::vector<std::byte> pattern(uint64_t number, size_t length) {
    std::vector<std::byte> bytes(length);
    std::mt19937_64 random(number + 1);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    if (length >= sizeof number) std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
}

inline std::vector<std::byte> copy_of(Bytes bytes) {
    return {bytes.begin(), bytes.end()};
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

inline AppendOptions lazy() {
    return {.durability = Durability::lazy};
}

struct Medium {
    const char* name;
    const char* folder;
    Emulate emulate;
};

inline const Medium kCacheLine{"cache_line", "/dev/shm", Emulate::cache_line};
inline const Medium kPage{"page", "/tmp", Emulate::no};

struct Read {
    Lsn lsn;
    std::vector<std::byte> payload;
};

// Every record from `from` on, to the frontier.
inline std::vector<Read> read_all(const Stream& stream, std::optional<Lsn> from = {},
                                  Frontier frontier = Frontier::durable) {
    std::vector<Read> records;
    Reader reader = must(stream.read(from, frontier));
    while (auto record = must(reader.next()))
        records.push_back({record->lsn, copy_of(record->payload)});
    return records;
}

inline std::vector<std::byte> file_bytes(const std::filesystem::path& path) {
    std::vector<std::byte> bytes(std::filesystem::file_size(path));
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    EXPECT_TRUE(file.good());
    return bytes;
}

inline void flip_byte(const std::filesystem::path& path, uint64_t offset) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset));
    char byte = 0;
    file.get(byte);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0x10));
    ASSERT_TRUE(file.good());
}

// Where the bytes lie in the file; the pattern must be long enough to be there once.
inline uint64_t offset_in_file(const std::filesystem::path& path,
                               const std::vector<std::byte>& wanted) {
    const std::vector<std::byte> bytes = file_bytes(path);
    const auto found = std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end());
    if (found == bytes.end()) throw std::runtime_error("the bytes are not in the file");
    return static_cast<uint64_t>(found - bytes.begin());
}

class LogTest : public ::testing::TestWithParam<Medium> {
  protected:
    void SetUp() override {
        ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
        // A death test's child runs the test anew, in its parent's directory: the parent cleans up.
        if (const char* parents = std::getenv("CINNABAR_TEST_FOLDER")) {
            folder_ = parents;
        } else {
            std::string name = std::string(GetParam().folder) + "/cinnabar-test.XXXXXX";
            ASSERT_NE(::mkdtemp(name.data()), nullptr);
            folder_ = name;
        }
        path_ = folder_ / "pool";
    }
    // Runs `body` in a fresh process, where it may abort.
    static constexpr int kWell = 0;
    template <class Body>
    void expect_ends_well(Body&& body) {
        ::setenv("CINNABAR_TEST_FOLDER", folder_.c_str(), 1);
        EXPECT_EXIT(
            {
                body();
                ::_exit(::testing::Test::HasFailure() ? 1 : kWell);
            },
            ::testing::ExitedWithCode(kWell), "");
        ::unsetenv("CINNABAR_TEST_FOLDER");
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void create(uint64_t segment_bytes = 4096, uint64_t pool_bytes = kPoolBytes) {
        // In a death test's child the parent made it.
        if (std::getenv("CINNABAR_TEST_FOLDER") != nullptr && std::filesystem::exists(path_))
            return;
        must(Log::create(path_, {.pool_bytes = pool_bytes, .segment_bytes = segment_bytes}));
    }
    // How the pool is opened here: emulated where the place is.
    OpenOptions options() const {
        OpenOptions with;
        with.emulate = GetParam().emulate;
        return with;
    }
    OpenOptions read_only() const {
        OpenOptions with = options();
        with.read_only = true;
        return with;
    }

    Log open() { return must(Log::open(path_, options())); }
    Log open(const OpenOptions& with) { return must(Log::open(path_, with)); }
    Log open_at(const std::filesystem::path& path) { return must(Log::open(path, options())); }

    // The pool as a kill at this moment leaves it: a copy of what the kernel holds. It bears the
    // same id, so it can be opened once this one is closed.
    std::filesystem::path as_killed(Log& log) {
        const auto copy = as_killed();
        must(log.close());
        return copy;
    }
    std::filesystem::path as_killed() {
        const auto copy = folder_ / ("killed" + std::to_string(++copies_));
        std::filesystem::copy_file(path_, copy);
        return copy;
    }

    std::filesystem::path folder_;
    std::filesystem::path path_;
    int copies_ = 0;
};

inline std::string medium_name(const ::testing::TestParamInfo<Medium>& info) {
    return info.param.name;
}

inline const auto kBoth = ::testing::Values(kCacheLine, kPage);

}  // namespace log_test
}  // namespace cinnabar
