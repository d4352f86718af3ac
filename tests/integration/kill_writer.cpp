// The process that the test kills: opens the pool, goes on appending where each thread's share
// stood, and acknowledges every record on its standard output once append has returned.
//
//   kill_writer POOL TEXT DOMAIN THREADS RECORDS_MAX KEEP FIRST...
// TEXT: the file whose lines are appended, over and over. DOMAIN: page or cache_line. RECORDS_MAX:
// after so many records per thread it ends by itself, with a clean close; 0: never. KEEP: the mark
// follows about so many records behind the first thread. FIRST: for each thread the number of its
// next record, counted on through repetitions of the text.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <thread>

#include "cinnabar/log.hpp"
#include "real_text.hpp"
#include "writer_wire.hpp"

namespace cinnabar::integration {
namespace {

[[noreturn]] void die(const std::string& why) {
    std::fprintf(stderr, "kill_writer: %s\n", why.c_str());
    std::_Exit(1);
}

template <class T>
T need(Result<T> result) {
    if (!result) die(result.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

void tell(const Message& message) {
    if (::write(STDOUT_FILENO, &message, sizeof message) != sizeof message) die("the test is gone");
}

struct Arguments {
    std::string pool, text;
    bool page = false;
    unsigned threads = 1;
    uint64_t records_max = 0;
    uint64_t keep = 0;
    std::vector<uint64_t> first;
};

Arguments parse(int argc, char** argv) {
    if (argc < 8) die("see the head of its source");
    Arguments arguments;
    arguments.pool = argv[1];
    arguments.text = argv[2];
    arguments.page = std::string_view(argv[3]) == "page";
    arguments.threads = static_cast<unsigned>(std::stoul(argv[4]));
    arguments.records_max = std::stoull(argv[5]);
    arguments.keep = std::stoull(argv[6]);
    for (int i = 7; i < argc; ++i) arguments.first.push_back(std::stoull(argv[i]));
    if (arguments.first.size() != arguments.threads) die("a FIRST for each thread");
    return arguments;
}

class Writer {
  public:
    Writer(Log& log, Stream stream, const Arguments& arguments, std::string_view text)
        : log_(log), stream_(std::move(stream)), arguments_(arguments) {
        const auto records = records_of(text, kRecordBytesMax);
        for (unsigned t = 0; t < arguments.threads; ++t)
            shares_.push_back(share_of(records, t, arguments.threads));
        const ServiceInfo service = log_.services().at(0);
        service_ = service.service;
        released_ = service.low_water;
        behind_.push_back(stream_.durable());
    }

    void run() {
        std::vector<std::thread> threads;
        for (unsigned t = 1; t < arguments_.threads; ++t)
            threads.emplace_back([this, t] { run_thread(t); });
        run_thread(0);
        for (std::thread& thread : threads) thread.join();
    }

  private:
    void run_thread(unsigned thread) {
        const std::vector<std::string_view>& share = shares_[thread];
        const uint64_t first = arguments_.first[thread];
        const uint64_t end =
            arguments_.records_max == 0 ? UINT64_MAX : first + arguments_.records_max;
        for (uint64_t i = first; i < end; ++i) {
            const Lsn lsn = append(thread, share[i % share.size()]);
            tell({Said::acknowledged, thread, i, lsn.value});
            if (thread == 0) remember(lsn);
        }
        if (thread == 0) done_ = true;
    }

    Lsn append(unsigned thread, std::string_view record) {
        AppendOptions options;
        options.service = service_;
        options.kind = static_cast<uint16_t>(thread);
        for (;;) {
            auto lsn = stream_.append(std::as_bytes(std::span(record)), options);
            if (lsn) return *lsn;
            if (lsn.error().code != Errc::full) die(lsn.error().message);
            tell({Said::was_full, thread, 0, 0});
            if (thread == 0) {
                // Long enough for the kill to find the log full.
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
                release_oldest();
            } else if (done_) {
                die("full, and nobody releases any more");
            } else {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        }
    }

    // The first thread moves the mark, half of what it keeps at a time.
    void remember(Lsn lsn) {
        behind_.push_back(lsn);
        if (behind_.size() <= arguments_.keep) return;
        behind_.erase(behind_.begin(),
                      behind_.begin() + static_cast<std::ptrdiff_t>(arguments_.keep / 2));
        release_oldest();
    }

    void release_oldest() {
        while (!behind_.empty() && behind_.front() <= released_) behind_.pop_front();
        // Others may have filled the log before the first thread appended anything.
        const Lsn to = behind_.empty() ? stream_.durable() : behind_.front();
        if (to <= released_) return;
        tell({Said::releasing, 0, 0, to.value});
        need(log_.release(service_, to));
        tell({Said::released, 0, 0, to.value});
        released_ = to;
    }

    Log& log_;
    Stream stream_;
    const Arguments& arguments_;
    std::vector<std::vector<std::string_view>> shares_;
    ServiceId service_;
    std::deque<Lsn> behind_;  // of the first thread's records, oldest first
    Lsn released_;
    std::atomic<bool> done_ = false;
};

int run(int argc, char** argv) {
    const Arguments arguments = parse(argc, argv);
    const std::string text = content_of(arguments.text);
    OpenOptions options;
    options.emulate = arguments.page ? Emulate::no : Emulate::cache_line;
    Log log = need(Log::open(arguments.pool, options));
    Stream stream = need(log.stream("text"));
    tell({Said::opened, 0, 0, stream.appended().value});
    Writer(log, std::move(stream), arguments, text).run();
    need(log.close());
    return 0;
}

}  // namespace
}  // namespace cinnabar::integration

int main(int argc, char** argv) {
    return cinnabar::integration::run(argc, argv);
}
