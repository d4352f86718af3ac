// A program of somebody's for `cinnabar crash run`: a ledger of numbered entries in a file, stored
// plainly and made durable by libpmem.
//
//   ledger write FILE HOW     appends entries and prints the number of each once it is durable
//   ledger check HOW IMAGE    reads what was printed on its standard input, and judges the image
//
// HOW of write: right, count_first, third_count_first, no_flush_last, interrupted, dies, aborts,
// leaves, hangs, backwards, other_words, talks, promises_first, exits_3, forks, elsewhere, msync,
// msync_async, by_instruction, daemon, child_first, takes_numbers, takes_later, in_thread,
// child_stores, other_user, signals_group, grows, anew, joined, mapped_here, two_threads,
// one_after_other, rotated, drained_late, or two of these with a '+' between them; amidst_others,
// before_others, as_told (by its standard input). Of check: right, hangs, crashes, refuses,
// exits_9, takes_memory, silent, amidst_others, before_others.
#include <fcntl.h>
#include <libpmem.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

namespace {

constexpr size_t kFileBytes = 4096 * 4;
constexpr uint64_t kEntries = 6;

struct alignas(64) Entry {
    uint64_t number;
    char text[56];
};

struct Ledger {
    alignas(64) uint64_t count;
    Entry entries[kEntries];
};

// How, or a part of it.
bool is(const std::string& how, const char* what) {
    return how.find(what) != std::string::npos;
}

Ledger* map(const char* path) {
    size_t length = 0;
    int is_pmem = 0;
    void* at = pmem_map_file(path, kFileBytes, PMEM_FILE_CREATE, 0600, &length, &is_pmem);
    if (at == nullptr || length < sizeof(Ledger)) {
        std::fprintf(stderr, "no ledger: %s\n", pmem_errormsg());
        std::exit(2);
    }
    return static_cast<Ledger*>(at);
}

// Without libpmem.
Ledger* map_plainly(const char* path) {
    const int file = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ::ftruncate(file, kFileBytes) != 0) std::exit(2);
    void* at = ::mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return at == MAP_FAILED ? std::exit(2), nullptr : static_cast<Ledger*>(at);
}

// In the ledger's first page.
void persist(void* at, size_t length, const std::string& how) {
    if (is(how, "by_instruction")) {
        __builtin_ia32_clflush(at);
        __builtin_ia32_sfence();
    } else if (is(how, "msync")) {
        char* page = static_cast<char*>(at) - reinterpret_cast<uintptr_t>(at) % 4096;
        ::msync(page, 4096, is(how, "async") ? MS_ASYNC : MS_SYNC);
    } else {
        pmem_persist(at, length);
    }
}

void promise_before_the_fence(Ledger& ledger, uint64_t number) {
    pmem_flush(&ledger.count, sizeof ledger.count);
    std::printf("%d\n", static_cast<int>(number));
    pmem_drain();
}

void append(Ledger& ledger, uint64_t number, const std::string& how) {
    const bool count_first = is(how, "count_first") && (!is(how, "third_count") || number == 3);
    if (count_first) {
        ledger.count = number;
        persist(&ledger.count, sizeof ledger.count, how);
    }
    Entry& entry = ledger.entries[is(how, "backwards") ? kEntries - number : number - 1];
    entry.number = number;
    std::snprintf(entry.text, sizeof entry.text, is(how, "other_words") ? "ENTRY %d" : "entry %d",
                  static_cast<int>(number));
    persist(&entry, sizeof entry, how);
    if (count_first) return;
    ledger.count = number;
    if (is(how, "drained_late")) return promise_before_the_fence(ledger, number);
    if (is(how, "no_flush_last") && number == kEntries) return pmem_drain();
    persist(&ledger.count, sizeof ledger.count, how);
}

// From now on every call that waits is interrupted, each millisecond.
void interrupt_calls() {
    struct sigaction handler = {};
    handler.sa_handler = [](int) {};  // without SA_RESTART
    ::sigaction(SIGALRM, &handler, nullptr);
    const struct itimerval each = {{0, 1000}, {0, 1000}};
    ::setitimer(ITIMER_REAL, &each, nullptr);
}

// An entry and its count, never forced, while 60 lines beside them are, and then one more.
struct Others {
    Ledger ledger;
    Entry lines[61];
};

void store_sixty(Others& others) {
    for (size_t i = 0; i < 60; ++i) others.lines[i].number = i + 1;
}

int force_sixty(Others& others) {
    pmem_persist(others.lines, 60 * sizeof(Entry));
    others.lines[60].number = 1;
    pmem_persist(&others.lines[60], sizeof(Entry));
    return 0;
}

int say_whether_counted(const Others& others) {
    if (others.ledger.count == 0 || others.ledger.entries[0].number != 0) return 0;
    std::puts("counted and not there");
    return 1;
}

int write_amidst_others(Others& others) {
    others.ledger.entries[0].number = 1;
    others.ledger.count = 1;
    store_sixty(others);
    return force_sixty(others);
}

// Which is wrong where of the 60 all are there, or none.
int check_amidst_others(const Others& others) {
    for (size_t i = 1; i < 60; ++i)
        if ((others.lines[i].number != 0) != (others.lines[0].number != 0)) return 0;
    return say_whether_counted(others);
}

// Of three entries the last one is made durable with its count; without a word there is one entry.
// All of them by one call.
int write_as_told(Ledger& ledger) {
    char word[8];
    const uint64_t steps = std::scanf("%7s", word) == 1 ? 6 : 2;
    for (uint64_t step = 0; step < steps; ++step) {
        const uint64_t number = step / 2 + 1;
        if (step % 2 == 0) ledger.entries[number - 1].number = number;
        if (step == 4) continue;
        if (step % 2 == 1) ledger.count = number;
        pmem_persist(&ledger, sizeof ledger);
        if (step % 2 == 1) std::printf("%d\n", static_cast<int>(number));
    }
    return 0;
}

// The count before its entry, each told by a call that flushes nothing of them, and not forced
// either, unlike 60 lines that are stored first.
int write_before_others(Others& others) {
    store_sixty(others);
    others.ledger.count = 1;
    pmem_flush(&others.lines[60], sizeof(Entry));
    others.ledger.entries[0].number = 1;
    pmem_flush(&others.lines[60], sizeof(Entry));
    return force_sixty(others);
}

// Which is wrong where all of the 60 are there.
int check_before_others(const Others& others) {
    for (size_t i = 0; i < 60; ++i)
        if (others.lines[i].number == 0) return 0;
    return say_whether_counted(others);
}

// Of files that it has not opened.
void take_numbers(const char* path) {
    ::closefrom(3);
    const int file = ::open(path, O_RDWR | O_CREAT, 0600);
    for (int number = 0; number < 16; ++number) (void)::dup(file);
}

// All entries in a second thread, or those behind the third; the first three in this one, which has
// drained something else, or in one that has ended by then.
int write_in_thread(Ledger& ledger, const std::string& how) {
    const auto add = [&](uint64_t first, uint64_t last) {
        for (uint64_t number = first; number <= last; ++number) {
            append(ledger, number, "right");
            std::printf("%d\n", static_cast<int>(number));
        }
    };
    const uint64_t first = is(how, "mapped_here") ? 0 : 3;
    pmem_drain();
    if (is(how, "one_after_other")) std::thread([&] { add(1, first); }).join();
    if (is(how, "two_threads")) add(1, first);
    std::thread([&] { add(first + 1, kEntries); }).join();
    return 0;
}

int write(const char* path, const std::string& how) {
    if (how == "before_others") return write_before_others(*reinterpret_cast<Others*>(map(path)));
    if (how == "as_told") return write_as_told(*map(path));
    if (how == "amidst_others") return write_amidst_others(*reinterpret_cast<Others*>(map(path)));
    if (is(how, "interrupted")) interrupt_calls();
    if (is(how, "daemon") && ::daemon(1, 1) != 0) return 2;
    if (is(how, "other_user") && ::setuid(65534) != 0) return 2;
    if (is(how, "in_thread")) {
        std::thread([path] {
            ::usleep(400'000);
            std::exit(write(path, "right"));
        }).detach();
        ::usleep(200'000);  // who recovers images has begun by then
        ::pthread_exit(nullptr);
    }
    // A child that has started no other program writes, and dies; then its parent does, rightly.
    if (is(how, "child_first")) {
        const pid_t child = ::fork();
        if (child == 0) return write(path, "count_first+dies");
        ::waitpid(child, nullptr, 0);
        return write(path, "right");
    }
    if (is(how, "joined")) {
        std::thread([path] { write(path, "right"); }).join();
        return 0;
    }
    if (is(how, "mapped_here") || is(how, "two_threads") || is(how, "one_after_other"))
        return write_in_thread(*map(path), how);
    if (is(how, "takes_numbers")) take_numbers(path);
    if (is(how, "anew")) ::unlink(path);
    if (is(how, "elsewhere")) return write((std::string(path) + ".other").c_str(), "right");
    Ledger& ledger = is(how, "msync") ? *map_plainly(path) : *map(path);
    for (uint64_t number = 1; number <= kEntries; ++number) {
        if (is(how, "promises_first")) std::printf("%d\n", static_cast<int>(number));
        append(ledger, number, how);
        if (is(how, "signals_group") && number == 3) {
            std::signal(SIGTERM, SIG_IGN);
            ::kill(0, SIGTERM);
        }
        if (!is(how, "promises_first") && !is(how, "drained_late"))
            std::printf("%d\n", static_cast<int>(number));
        if (is(how, "talks") && number == kEntries) std::puts("done\nand gone");
        if (is(how, "takes_later") && number == 2) take_numbers("/dev/zero");
        if (is(how, "dies") && number == 3) std::raise(SIGKILL);
        if (is(how, "aborts") && number == 3) std::abort();
        if (is(how, "leaves") && number == 3) ::_exit(0);
        if (is(how, "grows") && number == 3 && ::truncate(path, 2 * kFileBytes) != 0) return 2;
        if (is(how, "hangs") && number == 3) ::pause();
        if (is(how, "child_stores") && number == 3 && ::fork() == 0) {
            pmem_persist(&ledger, sizeof ledger);
            ::_exit(0);
        }
        if (is(how, "forks") && number == 3) {
            const pid_t child = ::fork();
            if (child == 0) std::exit(0);
            ::waitpid(child, nullptr, 0);
        }
    }
    if (is(how, "rotated")) {
        std::rename(path, (std::string(path) + ".1").c_str());
        ::close(::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    return is(how, "exits_3") ? 3 : 0;
}

int violation(const char* what, uint64_t number) {
    std::printf("%s %d\n", what, static_cast<int>(number));
    return 1;
}

char* volatile taken = nullptr;

int check(const char* path, const std::string& how) {
    uint64_t acknowledged = 0;
    for (int number = 0; std::scanf("%d", &number) == 1;)
        acknowledged = static_cast<uint64_t>(number);
    const Ledger& ledger = *map(path);
    if (how == "amidst_others")
        return check_amidst_others(*reinterpret_cast<const Others*>(&ledger));
    if (how == "before_others")
        return check_before_others(*reinterpret_cast<const Others*>(&ledger));
    if (how == "hangs" && ledger.count == 2) ::pause();
    if (how == "crashes" && ledger.count == 2) std::abort();
    if (how == "refuses" && ledger.count == 0) return 2;
    if (how == "refuses" && ledger.count == 4) return 2;
    if (how == "exits_9") return 9;
    if (how == "takes_memory") taken = new char[size_t{1} << 28];
    if (how == "silent") return 1;
    if (ledger.count < acknowledged) return violation("acknowledged and lost: entry", acknowledged);
    for (uint64_t i = 0; i < ledger.count; ++i)
        if (ledger.entries[i].number != i + 1) return violation("not written: entry", i + 1);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 64;
    // The image comes last: the command line puts it behind the command.
    if (std::string(argv[1]) == "check") return check(argv[3], argv[2]);
    return write(argv[2], argv[3]);
}
