// What runs inside the virtual machine, over the library. It speaks on the serial port itself, byte
// by byte: what it has said is out of the machine, and no crash takes it back.
//
//   guest append POOL EVERY   checks what the log holds, then appends for ever and says of each
//                             record "forced N" or "lazy N"; each EVERY-th is forced
//   guest lie POOL            the same with none forced, and each called so
//   guest check POOL          says what the log holds: the first N records and nothing else, or
//                             those of them that are not released
//   guest sweep POOL N        crosses from one segment to the next, fills the log, releases a
//                             segment and appends into it; the power fails before the N-th
//                             instruction of the release and of some appends (0: never)
//   guest create POOL         creates a pool, then the power fails
//   guest store FILE KIND     stores a word into a new file and makes its cache line durable; KIND:
//                             "sync" or "plain", how the file is mapped
//   guest crash               the power fails
#include <fcntl.h>
#include <libpmem.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "cinnabar/log.hpp"

namespace cinnabar::dax {
namespace {

constexpr unsigned short kSerialData = 0x3f8;
constexpr unsigned short kSerialStatus = 0x3fd;
constexpr unsigned char kSerialReady = 0x20;
constexpr unsigned short kPower = 0xf4;  // QEMU's isa-debug-exit

void say(const std::string& line) {
    for (const char letter : line + "\n") {
        while ((inb(kSerialStatus) & kSerialReady) == 0) {
        }
        outb(static_cast<unsigned char>(letter), kSerialData);
    }
}

[[noreturn]] void die(const std::string& why) {
    say("wrong: " + why);
    std::_Exit(1);
}

[[noreturn]] void crash() {
    outb(1, kPower);
    die("the machine has no isa-debug-exit");
}

template <class T>
T need(Result<T> result) {
    if (!result) die(result.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// --- records ------------------------------------------------------------------------------------

uint64_t mixed(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

// The record of this number: 8 to 400 bytes that no other one has.
std::vector<uint64_t> record_of(uint64_t number) {
    std::vector<uint64_t> words(1 + mixed(number + 1) % 50);
    for (size_t i = 0; i < words.size(); ++i) words[i] = mixed((number << 8) + i);
    return words;
}

bool is_record(Bytes bytes, uint64_t number) {
    const auto wanted = record_of(number);
    return std::ranges::equal(bytes, std::as_bytes(std::span(wanted)));
}

// How many records the log holds or has released, which must be the first ones, each as it was
// appended.
uint64_t check_records(const Stream& stream) {
    constexpr uint64_t released_max = 10'000;
    Reader reader = need(stream.read());
    auto found = need(reader.next());
    uint64_t number = 0;
    while (found && number < released_max && !is_record(found->payload, number)) ++number;
    if (found && number > 0) say("begins " + std::to_string(number));
    for (; found; ++number, found = need(reader.next()))
        if (!is_record(found->payload, number))
            die("record " + std::to_string(number) + " is not the one that was appended");
    return number;
}

struct OpenLog {
    Log log;
    Stream stream;
    uint64_t records;
};

// Has this process a mapping of the file with synchronous page faults? The kernel says so.
bool maps_synchronously(const std::string& path) {
    std::ifstream maps("/proc/self/smaps");
    bool of_file = false;
    for (std::string line; std::getline(maps, line);) {
        if (line.find(path) != std::string::npos) of_file = true;
        if (!line.starts_with("VmFlags:")) continue;
        if (of_file && line.find(" sf") != std::string::npos) return true;
        of_file = false;
    }
    return false;
}

constexpr char kStream[] = "s";
constexpr uint64_t kSegmentBytes = uint64_t{64} << 10;

OpenLog open(const std::string& pool) {
    Log log = need(Log::open(pool));
    Stream stream = need(log.stream(kStream));
    const uint64_t records = check_records(stream);
    say("medium " + pool + " " + log.medium().sentence());
    if (maps_synchronously(pool)) say("synchronous " + pool);
    say("holds " + std::to_string(records));
    return {std::move(log), std::move(stream), records};
}

void create(const std::string& pool, uint64_t bytes) {
    CreateOptions options;
    options.pool_bytes = bytes;
    options.segment_bytes = kSegmentBytes;
    need(Log::create(pool, options));
}

Result<Lsn> append(Stream& stream, uint64_t number, Durability durability) {
    AppendOptions options;
    options.durability = durability;
    const auto record = record_of(number);
    return stream.append(std::as_bytes(std::span(record)), options);
}

void append_for_ever(const std::string& pool, uint64_t every, bool lie) {
    OpenLog open_log = open(pool);
    for (uint64_t number = open_log.records;; ++number) {
        const bool forced = !lie && (number + 1) % every == 0;
        need(append(open_log.stream, number, forced ? Durability::forced : Durability::lazy));
        say((forced || lie ? "forced " : "lazy ") + std::to_string(number));
    }
}

// --- a crash at an instruction ------------------------------------------------------------------

uint64_t steps_done = 0;
uint64_t steps_until_crash = 0;

void on_step(int) {
    if (++steps_done == steps_until_crash) crash();
}

// The processor's trap flag: a signal after each instruction of this process.
constexpr uint64_t kTrapFlag = 0x100;

template <class Work>
void step_through(Work&& work) {
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | kTrapFlag);
    work();
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~kTrapFlag);
}

class Sweep {
  public:
    explicit Sweep(Stream& stream) : stream_(stream) {}

    // What says "after" is done once so many instructions were stepped through.
    void said(const std::string& what) const { say(what + " after " + std::to_string(steps_done)); }

    // Up to the last records of a segment, or until the log is full.
    void fill(uint64_t to) {
        while (stream_.durable().value < to) {
            const auto lsn = append(stream_, records_.size(), Durability::forced);
            if (!lsn && lsn.error().code == Errc::full) break;
            records_.push_back(need(lsn));
        }
        said("forced " + std::to_string(records_.size() - 1));
    }

    void cross() {
        const uint64_t before = segment();
        for (int i = 0; i < 8; ++i) {
            Result<Lsn> lsn;
            step_through([&] { lsn = append(stream_, records_.size(), Durability::forced); });
            records_.push_back(need(lsn));
            said("forced " + std::to_string(records_.size() - 1));
        }
        if (segment() != before) say("crossed");
    }

    void release_oldest(Log& log, ServiceId service) {
        const Lsn end = stream_.oldest_end();
        Result<void> released;
        step_through([&] { released = log.release(service, end); });
        need(released);
        const auto kept = std::ranges::find_if(records_, [&](Lsn lsn) { return lsn >= end; });
        said("released " + std::to_string(kept - records_.begin()));
    }

  private:
    // Of a segment all but a header block of 512 bytes is the stream's.
    uint64_t segment() const { return stream_.durable().value / (kSegmentBytes - 512); }

    Stream& stream_;
    std::vector<Lsn> records_;  // by number
};

void sweep(const std::string& pool, uint64_t crash_at) {
    create(pool, uint64_t{9} << 20);
    Log log = need(Log::open(pool));
    Stream stream = need(log.add_stream(kStream, Writers::one));
    const ServiceId service = need(log.add_service(kStream, "reader"));
    std::signal(SIGTRAP, on_step);
    steps_until_crash = crash_at;

    Sweep sweep(stream);
    sweep.fill(kSegmentBytes - 1200);
    sweep.cross();
    sweep.fill(UINT64_MAX);
    sweep.release_oldest(log, service);
    sweep.cross();  // no other segment is left than the one released
}

// --- one word in a new file ---------------------------------------------------------------------

void store(const std::string& path, bool sync) {
    constexpr size_t kBytes = 4096;
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
    if (file < 0 || ::ftruncate(file, kBytes) != 0) die("cannot make " + path);
    const int flags = sync ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
    void* const page = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, flags, file, 0);
    if (page == MAP_FAILED) die("cannot map " + path + ": " + std::strerror(errno));
    std::memcpy(page, "durable\n", 8);
    pmem_flush(page, 8);
    pmem_drain();
    say("stored " + path);
}

int run(const std::vector<std::string>& words) {
    const std::string verb = words.empty() ? "" : words[0];
    if (::iopl(3) != 0) {
        std::puts("guest: this program needs the ports of a virtual machine, as root");
        return 1;
    }
    say("");  // what others began to say ends here
    if (verb == "append" && words.size() == 3)
        append_for_ever(words[1], std::stoull(words[2]), false);
    else if (verb == "lie" && words.size() == 2)
        append_for_ever(words[1], 1, true);
    else if (verb == "check" && words.size() == 2)
        (void)open(words[1]);
    else if (verb == "sweep" && words.size() == 3)
        sweep(words[1], std::stoull(words[2]));
    else if (verb == "create" && words.size() == 2)
        create(words[1], uint64_t{16} << 20), say("created " + words[1]), crash();
    else if (verb == "store" && words.size() == 3)
        store(words[1], words[2] == "sync");
    else if (verb == "crash")
        crash();
    else
        die("not understood: see the head of the source");
    return 0;
}

}  // namespace
}  // namespace cinnabar::dax

int main(int argc, char** argv) {
    return cinnabar::dax::run({argv + 1, argv + argc});
}
