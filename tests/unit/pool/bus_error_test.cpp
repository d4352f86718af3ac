// Bus errors around the beginning and the end of a mapping: whose they are.
#include "cinnabar/bus_error.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <thread>

#include "fixture.hpp"
#include "pool/raw_pool.hpp"

namespace {

// Called after everything that libpmemobj and this library unmap.
std::function<void(const std::byte* begin, size_t length)> after_unmapping;

}  // namespace

// The C library's own, for all that is in this program.
extern "C" int munmap(void* begin, size_t length) noexcept {
    const auto result = static_cast<int>(::syscall(SYS_munmap, begin, length));
    if (after_unmapping) after_unmapping(static_cast<const std::byte*>(begin), length);
    return result;
}

namespace cinnabar::pool {
namespace {

class BusError : public PoolTest {
  protected:
    // Runs `body` in a child, with the handler on; what it wrote and how it ended.
    struct End {
        int signal = 0;
        int status = 0;
        std::string words;
    };
    End end_of(const std::function<void()>& body) {
        const auto words = folder_ / "words";
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(20);
            ::signal(SIGBUS, SIG_DFL);  // sanitizers have a handler of their own
            ::dup2(::open(words.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
                   STDERR_FILENO);
            if (!end_on_bus_error(9)) ::_exit(1);
            body();
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        const auto written = bytes_of(words);
        return {WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                {written.begin(), written.end()}};
    }
    void expect_words(const End& end) {
        EXPECT_EQ(end.signal, 0);
        EXPECT_EQ(end.status, 9);
        EXPECT_TRUE(
            contains(end.words, "cinnabar: '" + path_.string() + "' cannot be reached any more"))
            << end.words;
    }
};
INSTANTIATE_TEST_SUITE_P(Pool, BusError, kPlaces, place_name);

TEST_P(BusError, WhileAPoolIsClosed) {
    make();
    expect_words(end_of([&] {
        Pool pool = open();
        std::filesystem::resize_file(path_, 0);
        (void)pool.close();
    }));
}

// Another thread maps something of its own where the pool was, before the close is through.
TEST_P(BusError, WhereThePoolWasIsSomebodyElses) {
    make();
    const auto empty = folder_ / "empty";
    { const std::ofstream made(empty); }
    for (const bool salvage : {false, true}) {
        bool struck = false;
        const auto strike = [&](const std::byte* base) {
            after_unmapping = [&, base](const std::byte* begin, size_t length) {
                if (base < begin || base >= begin + length || struck) return;
                struck = true;
                std::thread([&] {
                    const int file = ::open(empty.c_str(), O_RDONLY | O_CLOEXEC);
                    auto* page = ::mmap(const_cast<std::byte*>(base), 4096, PROT_READ,
                                        MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
                    if (page != base) ::_exit(2);
                    (void)*static_cast<volatile std::byte*>(page);
                }).join();
            };
        };
        const End end = end_of([&] {
            if (salvage) {
                auto pool = RawPool::open(path_, std::chrono::milliseconds(0));
                strike(pool->space().base);
            } else {
                Pool pool = open();
                strike(pool.space().base);
            }
        });
        EXPECT_EQ(end.signal, SIGBUS) << "salvage " << salvage << ", status " << end.status;
        EXPECT_EQ(end.words, "");
    }
}

// In a child after fork the same is true of what is only unmapped.
TEST_P(BusError, WhereAForkedChildsPoolWasIsSomebodyElses) {
    make();
    Pool pool = open();
    const std::byte* base = pool.space().base;
    const End end = end_of([&] {
        after_unmapping = [&](const std::byte* begin, size_t) {
            if (begin != base) return;
            const auto empty = folder_ / "empty";
            const int file = ::open(empty.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
            auto* page = ::mmap(const_cast<std::byte*>(base), 4096, PROT_READ,
                                MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
            (void)*static_cast<volatile std::byte*>(page);
        };
        { const Pool mine = std::move(pool); }
    });
    EXPECT_EQ(end.signal, SIGBUS) << "status " << end.status;
    EXPECT_EQ(end.words, "");
}

// What a salvage reads is known by name, too.
TEST_P(BusError, InAFileThatIsCutWhileItIsSalvaged) {
    make();
    const End end = end_of([&] {
        auto pool = RawPool::open(path_, std::chrono::milliseconds(0));
        std::filesystem::resize_file(path_, 8192);
        const std::byte* last = pool->space().segments.back();
        (void)*static_cast<const volatile std::byte*>(last);
    });
    expect_words(end);
    EXPECT_TRUE(contains(end.words, "the file was made shorter and now has 8192 bytes"))
        << end.words;
}

}  // namespace
}  // namespace cinnabar::pool
