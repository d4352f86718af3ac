// Files and places that are refused, through the public API: with the right code, in a sentence
// that names the file, and with nothing changed or left behind. The pool's own tests
// (tests/unit/pool) go through the variants.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <functional>
#include <thread>

#include "fixture.hpp"

namespace cinnabar::log_test {
namespace {

class Refusal : public LogTest {
  protected:
    // Opens for writing and for reading: both say the same, with the file's name and `word`.
    void expect_refused(Errc code, const std::string& word) { expect_refused(path_, code, word); }
    void expect_refused(const std::filesystem::path& path, Errc code, const std::string& word) {
        for (const OpenOptions& with : {options(), read_only()}) {
            const auto opened = Log::open(path, with);
            ASSERT_EQ(code_of(opened), code) << path;
            EXPECT_TRUE(contains(opened.error().message, "'" + path.string() + "'"))
                << opened.error().message;
            EXPECT_TRUE(contains(opened.error().message, word)) << opened.error().message;
        }
    }

    void expect_create_refused(const std::filesystem::path& path, Errc code,
                               const std::string& word) {
        const auto made = Log::create(path, {.pool_bytes = kPoolBytes, .segment_bytes = 4096});
        ASSERT_EQ(code_of(made), code) << path;
        EXPECT_TRUE(contains(made.error().message, path.string())) << made.error().message;
        EXPECT_TRUE(contains(made.error().message, word)) << made.error().message;
    }

    void write_at(uint64_t offset, Bytes bytes) {
        std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(offset));
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
        ASSERT_TRUE(file.good());
    }

    static std::vector<std::byte> bytes_of(std::string_view text) {
        return copy_of(std::as_bytes(std::span(text)));
    }

    bool folder_is_empty() const { return std::filesystem::is_empty(folder_); }

    // In a child, which may give up rights or mount what it likes. 77: it could not.
    static void expect_in_child(const std::function<void()>& body) {
        const pid_t child = ::fork();
        if (child == 0) {
            body();
            ::_exit(HasFailure() ? 1 : 0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "not possible here";
        EXPECT_EQ(status, 0);
    }
};
INSTANTIATE_TEST_SUITE_P(Log, Refusal, kBoth, medium_name);

TEST_P(Refusal, WhatIsNoPool) {
    expect_refused(Errc::not_found, "check the path");
    expect_refused(folder_, Errc::not_a_pool, "a directory");
    std::ofstream(path_) << std::string(100'000, 'x');
    expect_refused(Errc::not_a_pool, "check the path");
    EXPECT_EQ(file_bytes(path_), std::vector<std::byte>(100'000, std::byte{'x'}));
    std::filesystem::resize_file(path_, 0);
    expect_refused(Errc::not_a_pool, "create the pool first");
}

TEST_P(Refusal, ATruncatedPool) {
    create();
    for (const uint64_t size : {kPoolBytes - 4096, kPoolBytes / 2, uint64_t{8192}, uint64_t{100}}) {
        std::filesystem::resize_file(path_, size);
        expect_refused(Errc::truncated, std::to_string(size));
        EXPECT_EQ(std::filesystem::file_size(path_), size);
    }
}

TEST_P(Refusal, AnotherLayout) {
    create();
    const uint64_t copy_a = offset_in_file(path_, bytes_of("CINNABAR"));
    for (const uint64_t copy : {copy_a, copy_a + 4096}) write_at(copy, bytes_of("SOMEBODY"));
    write_at(4096, bytes_of(std::string_view("somebody else", 14)));
    const auto before = file_bytes(path_);
    expect_refused(Errc::wrong_layout, "'somebody else', not of 'cinnabar-1'");
    EXPECT_EQ(file_bytes(path_), before);
}

TEST_P(Refusal, ANewerFormat) {
    create();
    const auto magic = bytes_of("CINNABAR");
    const uint64_t copy_a = offset_in_file(path_, magic);
    const std::byte version[] = {std::byte{9}};
    write_at(copy_a + 16, version);
    write_at(copy_a + 4096 + 16, version);
    const auto before = file_bytes(path_);
    expect_refused(Errc::unsupported_version, "version 9");
    expect_refused(Errc::unsupported_version, "use a newer");
    EXPECT_EQ(file_bytes(path_), before);
}

TEST_P(Refusal, NoPermission) {
    create();
    expect_in_child([&] {
        ::chmod(folder_.c_str(), 0755);
        ::chmod(path_.c_str(), ::geteuid() == 0 ? 0600 : 0);
        if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(77);
        expect_refused(Errc::permission, "has the right");
        if (::access(folder_.c_str(), W_OK) != 0)
            expect_create_refused(folder_ / "other", Errc::permission, "has the right");
    });
}

TEST_P(Refusal, AFullDiskLeavesNothing) {
    expect_in_child([&] {
        const int namespaces = CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
        if (::unshare(namespaces) != 0 ||
            ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=4m,mode=0777") != 0)
            ::_exit(77);
        expect_create_refused(path_, Errc::disk_full, "free some space");
        EXPECT_TRUE(folder_is_empty());
    });
}

TEST_P(Refusal, ALimitOfTheFilesSizeLeavesNothing) {
    expect_in_child([&] {
        ::signal(SIGXFSZ, SIG_IGN);
        const struct rlimit limit = {4 << 20, 4 << 20};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        expect_create_refused(path_, Errc::disk_full, "make the pool smaller");
        EXPECT_TRUE(folder_is_empty());
    });
}

TEST_P(Refusal, APlaceThatCannotBeMapped) {
    for (const char* path : {"/proc/cinnabar-pool", "/sys/cinnabar-pool"})
        expect_create_refused(path, Errc::cannot_map, "mapped");
    expect_refused("/proc/version", Errc::cannot_map, "mapped");
}

TEST_P(Refusal, APoolThatIsOpenNamesItsProcess) {
    create();
    const Log log = open();
    expect_refused(Errc::locked, std::to_string(::getpid()));
    expect_in_child(
        [&] { expect_refused(Errc::locked, "process " + std::to_string(::getppid())); });
}

// --- what a stream refuses ----------------------------------------------------------------------

template <class T>
void expect_says(const Result<T>& result, Errc code, const char* what, const char* advice) {
    ASSERT_EQ(code_of(result), code) << what;
    EXPECT_TRUE(contains(result.error().message, what)) << result.error().message;
    EXPECT_TRUE(contains(result.error().message, advice)) << result.error().message;
}

TEST_P(Refusal, EverySentenceOfAStreamSaysWhatToDo) {
    create();
    Lsn first, last;
    {
        Log log = open();
        Stream stream = must(log.add_stream("s", Writers::one));
        const ServiceId service = must(log.add_service("s", "v"));
        first = must(stream.append(pattern(1, 10)));
        last = must(stream.append(pattern(2, 10)));
        expect_says(stream.append(Bytes{}), Errc::invalid_argument, "an empty record", "1 byte");
        const auto large = pattern(3, stream.record_bytes_max() + 1);
        expect_says(stream.append(large), Errc::record_too_large,
                    std::to_string(stream.record_bytes_max()).c_str(), "split it");
        const Lsn never = stream.appended();
        const auto ignore = [](const Result<Lsn>&) {};
        expect_says(stream.force(never), Errc::never_appended, "ends at", "append returned");
        expect_says(stream.wait_durable(never), Errc::never_appended, "ends at", "append returned");
        expect_says(stream.on_durable(never, ignore), Errc::never_appended, "stream 's'",
                    "append returned");
        expect_says(stream.read(Lsn{never.value + 64}), Errc::never_appended, "frontier",
                    "read from there");
        expect_says(stream.read(Lsn{first.value + 1}), Errc::invalid_argument, "starts at LSN",
                    "use an LSN");
        must(log.release(service, last));
        expect_says(stream.read(first), Errc::below_low_water, "low-water mark", "from the mark");
        expect_says(log.release(service, first), Errc::invalid_argument, "present mark", "between");
        expect_says(log.release(service, Lsn{never.value + 64}), Errc::invalid_argument,
                    "durable frontier", "between");
        expect_says(log.stream("t"), Errc::not_found, "'t'", "see which there are");
        std::thread([&] {
            expect_says(stream.append(pattern(4, 10)), Errc::wrong_thread, "one writer",
                        "Writers::many");
        }).join();
        expect_in_child([&] {
            expect_says(stream.append(pattern(4, 10)), Errc::forked, "before fork",
                        "opens it anew");
        });
        must(log.close());
        expect_says(stream.append(pattern(4, 10)), Errc::failed, "closed", "open it again");
        expect_says(log.stream("s"), Errc::failed, "closed", "open it again");
    }
    Log log = open(read_only());
    Stream stream = must(log.stream("s"));
    expect_says(stream.append(pattern(5, 10)), Errc::read_only, "'s'", "open it for writing");
    expect_says(stream.force(last), Errc::read_only, "'s'", "open it for writing");
    expect_says(log.add_stream("t", Writers::one), Errc::read_only, "read-only", "for writing");
    expect_says(log.release(ServiceId{1}, last), Errc::read_only, "read-only", "for writing");
}

TEST_P(Refusal, AFullLogNamesItsHolderAndIsUsedAgain) {
    create(65536);
    Log log = open();
    Stream stream = must(log.add_stream("s", Writers::one));
    const ServiceId service = must(log.add_service("s", "laggard"));
    Result<Lsn> appended;
    Lsn last;
    for (uint64_t i = 0; (appended = stream.append(pattern(i, 8000), lazy())); ++i)
        last = *appended;
    expect_says(appended, Errc::full, "service 'laggard' holds everything from LSN 0 on",
                "release what it no longer needs");
    must(stream.force(last));
    must(log.release(service, last));
    must(stream.append(pattern(1, 8000)));
    EXPECT_EQ(read_all(stream).size(), 2u);
}

}  // namespace
}  // namespace cinnabar::log_test
