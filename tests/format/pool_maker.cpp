// Makes pools for the readers' test, and kills itself while it does so.
//
// Reads jobs from the standard input, one a line, and answers each with a line on the standard
// output once the pool's last life is over: "closed", "killed", or "failed: why".
//
//   PATH SEED SEGMENT_BYTES DOMAIN RECYCLE TABLES ENDING...
// DOMAIN: page, cache_line or byte. RECYCLE: 1 lets the marks follow. TABLES: 1 goes on adding and
// removing services to the end. ENDING: of each life of the pool, close or kill. Every life is a
// child process; a thread of it counts records and sends SIGKILL in the midst of the appends.
// What stood in the pool before its last life is kept beside it, in PATH.old.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "cinnabar/log.hpp"

namespace cinnabar::format_test {
namespace {

struct Job {
    std::string path;
    uint64_t seed = 0;
    uint64_t segment_bytes = 0;
    std::string domain;
    bool recycle = false;
    bool tables = false;
    std::vector<std::string> endings;
};

using Random = std::mt19937_64;

uint64_t below(Random& random, uint64_t limit) {
    return random() % limit;
}

[[noreturn]] void die(const std::string& why) {
    std::printf("failed: %s\n", why.c_str());
    std::fflush(stdout);
    std::_Exit(1);
}

template <class T>
T need(Result<T> result) {
    if (!result) die(result.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Mostly short, sometimes as long as it may be. The bytes say who wrote them.
std::string payload_of(Random& random, uint64_t bytes_max, const std::string& name) {
    uint64_t bytes = 1 + below(random, 100);
    if (below(random, 8) == 0) bytes = 1 + below(random, bytes_max);
    if (below(random, 40) == 0) bytes = bytes_max;
    std::string text = name + " " + std::to_string(random());
    while (text.size() < bytes) text += text;
    return text.substr(0, bytes);
}

// Sends SIGKILL to its own process soon after the records are so many.
class Killer {
  public:
    Killer(const std::atomic<uint64_t>& records, uint64_t limit, uint64_t spins)
        : thread_([&records, limit, spins] {
              while (records.load() < limit) std::this_thread::yield();
              for (std::atomic<uint64_t> spun = 0; spun < spins;) ++spun;
              ::kill(::getpid(), SIGKILL);
          }) {
        thread_.detach();
    }

  private:
    std::thread thread_;
};

// One thread that appends to one stream.
class Appender {
  public:
    Appender(Log& log, Stream stream, const Job& job, uint64_t seed, std::atomic<uint64_t>& records)
        : log_(log), stream_(std::move(stream)), job_(job), random_(seed), records_(records) {
        for (const ServiceInfo& service : log.services())
            if (service.stream == stream_.name()) services_.push_back(service.service);
        forced_in_8_ = below(random_, 9);
    }

    void run(uint64_t count) {
        for (uint64_t i = 0; i < count; ++i) {
            append();
            ++records_;
        }
    }

  private:
    void append() {
        AppendOptions options;
        if (below(random_, 8) >= forced_in_8_) options.durability = Durability::lazy;
        if (!services_.empty() && below(random_, 4) != 0)
            options.service = services_[below(random_, services_.size())];
        options.kind = static_cast<uint16_t>(below(random_, 5));
        if (!recent_.empty() && below(random_, 4) == 0)
            options.previous = recent_[below(random_, recent_.size())];
        const std::string payload = payload_of(random_, stream_.record_bytes_max(), stream_.name());
        const Lsn lsn = need(stream_.append(std::as_bytes(std::span(payload)), options));
        recent_.push_back(lsn);
        if (recent_.size() > 60) recent_.pop_front();
        if (below(random_, 50) == 0) need(stream_.force(lsn));
        if (below(random_, 60) == 0) carry();
        if (job_.recycle && below(random_, 20) == 0) release();
    }

    // Some of the last records, unless another thread has released one meanwhile.
    void carry() {
        std::vector<Lsn> records;
        for (const Lsn lsn : recent_)
            if (below(random_, 20) == 0) records.push_back(lsn);
        const auto copies = stream_.carry_forward(records);
        if (!copies && copies.error().code != Errc::below_low_water) die(copies.error().message);
    }

    // Of some services. Another thread may have raised a mark further by now: that is refused, and
    // right.
    void release() {
        const Lsn to = below(random_, 3) == 0 ? stream_.durable() : recent_.front();
        if (to > stream_.durable()) return;
        for (const ServiceId service : services_) {
            if (below(random_, 2) == 0) continue;
            const auto done = log_.release(service, to);
            if (!done && done.error().code != Errc::invalid_argument) die(done.error().message);
        }
    }

    Log& log_;
    Stream stream_;
    const Job& job_;
    Random random_;
    std::atomic<uint64_t>& records_;
    std::vector<ServiceId> services_;
    std::deque<Lsn> recent_;
    uint64_t forced_in_8_ = 0;
};

// Streams of one writer and of many, some without a service, names that are not ASCII.
void populate(Log& log, Random& random) {
    static constexpr std::array kNames = {"orders", "zinnober αβγ", "a", "stream-3"};
    const uint64_t streams = 1 + below(random, kNames.size());
    for (uint64_t i = 0; i < streams; ++i) {
        const auto writers = below(random, 2) == 0 ? Writers::one : Writers::many;
        need(log.add_stream(kNames[i], writers, i == 1 ? Reserve::yes : Reserve::no));
        for (uint64_t service = below(random, 3); service > 0; --service)
            need(log.add_service(kNames[i], std::string(kNames[i]) + std::to_string(service)));
    }
    if (below(random, 6) == 0) {
        need(log.add_stream("gone", Writers::one));
        need(log.remove_stream("gone"));
    }
}

constexpr std::string_view kComesAndGoes = "comes and goes";

// A life that was killed may have left it there.
void remove_left_over(Log& log) {
    for (const ServiceInfo& service : log.services())
        if (service.name == kComesAndGoes) need(log.remove_service(service.service));
}

// `times`, or until it is killed.
void change_tables(Log& log, const std::string& stream, uint64_t times, bool until_killed) {
    for (uint64_t i = 0; i < times || until_killed; ++i)
        need(log.remove_service(need(log.add_service(stream, kComesAndGoes))));
}

// Nothing is needed any more: the marks stand at the ends.
void release_all(Log& log) {
    for (const ServiceInfo& service : log.services())
        need(log.release(service.service, need(log.stream(service.stream)).durable()));
}

// In the child: one life of the pool, from its opening to its end.
void live(const Job& job, size_t life) {
    Random random(job.seed * 31 + life);
    OpenOptions options;
    if (job.domain == "cache_line") options.emulate = Emulate::cache_line;
    if (job.domain == "byte") options.emulate = Emulate::byte;
    options.spare_segments = static_cast<uint32_t>(below(random, 6));
    if (life == 0) need(Log::create(job.path, {uint64_t{8} << 20, job.segment_bytes}));
    Log log = need(Log::open(job.path, options));
    if (life == 0) populate(log, random);
    remove_left_over(log);

    const bool kill = job.endings[life] == "kill";
    const uint64_t count = below(random, 16) == 0 ? 0 : 10 + below(random, job.recycle ? 200 : 80);
    std::atomic<uint64_t> records = 0;
    if (kill) Killer(records, below(random, count + 1), below(random, 3000));
    std::vector<Appender> appenders;
    for (const StreamInfo& stream : log.streams())
        for (uint64_t i = stream.writers == Writers::one ? 1 : 1 + below(random, 3); i > 0; --i)
            appenders.emplace_back(log, need(log.stream(stream.name)), job, random(), records);
    std::vector<std::thread> threads;
    for (Appender& appender : appenders)
        threads.emplace_back([&appender, count] { appender.run(count); });
    if (job.tables) change_tables(log, log.streams().front().name, count, kill);
    for (std::thread& thread : threads) thread.join();
    if (job.recycle && below(random, 4) == 0) release_all(log);
    if (kill) ::kill(::getpid(), SIGKILL);
    appenders.clear();
    need(log.close());
}

// How the life ended; a child that failed has said so itself.
std::string life_of(const Job& job, size_t life) {
    const pid_t child = ::fork();
    if (child == 0) {
        live(job, life);
        std::_Exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return "killed";
    if (WIFSIGNALED(status)) return "failed: signal " + std::to_string(WTERMSIG(status));
    return WEXITSTATUS(status) == 0 ? "closed" : "";
}

void run(const Job& job) {
    std::string ended;
    for (size_t life = 0; life < job.endings.size(); ++life) {
        if (life != 0 && life + 1 == job.endings.size())
            std::filesystem::copy_file(job.path, job.path + ".old");
        ended = life_of(job, life);
        if (ended != "closed" && ended != "killed") break;
    }
    if (!ended.empty()) std::printf("%s\n", ended.c_str());
    std::fflush(stdout);
}

}  // namespace
}  // namespace cinnabar::format_test

int main() {
    using cinnabar::format_test::Job;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        Job job;
        words >> job.path >> job.seed >> job.segment_bytes >> job.domain >> job.recycle >>
            job.tables;
        for (std::string ending; words >> ending;) job.endings.push_back(ending);
        cinnabar::format_test::run(job);
    }
}
