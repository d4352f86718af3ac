// The worker process: one engine, its threads, and the orders of the benchmark.
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <barrier>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>

#include "force/force_bench.hpp"
#include "force/wire.hpp"

namespace cinnabar::bench {

namespace {

void pin_to_core(unsigned thread) {
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    unsigned nth = thread % static_cast<unsigned>(CPU_COUNT(&allowed));
    for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
        if (!CPU_ISSET(core, &allowed) || nth-- != 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(core, &one);
        ::pthread_setaffinity_np(::pthread_self(), sizeof one, &one);
        return;
    }
}

// The measured threads of a cell. They live as long as the cell, since a log may bind its writer,
// and sleep between slices.
class Crew {
  public:
    Crew(Engine& engine, unsigned threads, const Clock& clock)
        : engine_(engine), clock_(clock), start_(threads), results_(threads), histograms_(threads) {
        for (unsigned t = 0; t < threads; ++t) members_.emplace_back([this, t] { live(t); });
    }
    ~Crew() {
        give({}, true);
        for (std::thread& member : members_) member.join();
    }

    SliceResult run(const Slice& slice, Histogram& force_ns) {
        give(slice, false);
        std::unique_lock lock(mutex_);
        done_changed_.wait(lock, [this] { return done_ == members_.size(); });
        SliceResult all;
        for (size_t t = 0; t < members_.size(); ++t) {
            all.work += results_[t].work;
            all.thread_ns += results_[t].thread_ns;
            if (results_[t].error) all.error = results_[t].error;
            force_ns.merge(*histograms_[t]);
        }
        return all;
    }

  private:
    void give(const Slice& slice, bool end) {
        const std::lock_guard lock(mutex_);
        slice_ = slice;
        end_ = end;
        done_ = 0;
        ++order_;
        order_changed_.notify_all();
    }

    void live(unsigned thread) {
        pin_to_core(thread);
        histograms_[thread] = std::make_unique<Histogram>();
        for (uint64_t seen = 0;;) {
            Slice slice;
            {
                std::unique_lock lock(mutex_);
                order_changed_.wait(lock, [&] { return order_ != seen; });
                seen = order_;
                if (end_) return;
                slice = slice_;
            }
            *histograms_[thread] = Histogram();
            start_.arrive_and_wait();
            results_[thread] = engine_.run(thread, slice, clock_, *histograms_[thread]);
            const std::lock_guard lock(mutex_);
            if (++done_ == members_.size()) done_changed_.notify_all();
        }
    }

    Engine& engine_;
    const Clock& clock_;
    std::barrier<> start_;
    std::mutex mutex_;
    std::condition_variable order_changed_;
    std::condition_variable done_changed_;
    Slice slice_;
    bool end_ = false;
    uint64_t order_ = 0;
    size_t done_ = 0;
    std::vector<SliceResult> results_;
    std::vector<std::unique_ptr<Histogram>> histograms_;
    std::vector<std::thread> members_;
};

class Worker {
  public:
    Reply obey(const Order& order) {
        Reply reply;
        Result<void> done;
        switch (order.verb) {
            case Verb::open: done = open(order, reply); break;
            case Verb::configure: done = configure(order); break;
            case Verb::slice: done = slice(order, reply); break;
            case Verb::verify: done = verify(); break;
            case Verb::quit: break;
        }
        if (!done) reply.set_error(done.error());
        return reply;
    }

  private:
    Result<void> open(const Order& order, Reply& reply) {
        engine_ = make_engine(order.engine.data());
        if (!engine_) return fail(Errc::not_found, "no such engine in this build");
        auto taken =
            engine_->open({order.path.data(), order.area_bytes, order.emulate, order.modelled});
        if (!taken) return fail(taken.error());
        reply.taken = *taken;
        return {};
    }

    Result<void> configure(const Order& order) {
        crew_.reset();
        const auto* sizes = order.sizes.data();
        records_ = Records({sizes, sizes + order.size_count}, order.cell.threads);
        if (auto ready = engine_->configure(order.cell, records_); !ready) return ready;
        crew_ = std::make_unique<Crew>(*engine_, order.cell.threads, clock_);
        return {};
    }

    Result<void> slice(const Order& order, Reply& reply) {
        if (auto ready = engine_->prepare(); !ready) return ready;
        const Work before = engine_->work();
        const SliceResult result = crew_->run(order.slice, reply.force_ns);
        if (result.error) return fail(*result.error);
        reply.work = engine_->work();
        reply.work -= before;
        reply.work += result.work;
        reply.thread_ns = result.thread_ns;
        return {};
    }

    Result<void> verify() {
        crew_.reset();
        return engine_->verify();
    }

    Clock clock_ = Clock::calibrated();
    Records records_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Crew> crew_;
};

// What is left behind when the benchmark dies under a running slice, by Ctrl-C or worse.
char file_left[sizeof(Order::path)];
char directory_left[sizeof(Order::path)];

void clean_up_and_leave(int) {
    ::unlink(file_left);
    ::rmdir(directory_left);  // goes with the last worker; a fuller one stays
    ::_exit(1);
}

// A worker outlives a Ctrl-C, which reaches all of the process group, until its benchmark is gone.
void end_with_the_benchmark() {
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGTERM, SIG_IGN);
    std::signal(SIGHUP, clean_up_and_leave);
    ::prctl(PR_SET_PDEATHSIG, SIGHUP);
}

}  // namespace

int bench_worker_main(int argc, char** argv) {
    if (argc < 3) return 1;
    const int socket = std::atoi(argv[2]);
    end_with_the_benchmark();
    Worker worker;
    Order order;
    while (receive_all(socket, &order, sizeof order) && order.verb != Verb::quit) {
        if (order.verb == Verb::open) {
            const std::string path = order.path.data();
            path.copy(file_left, sizeof file_left - 1);
            path.substr(0, path.rfind('/')).copy(directory_left, sizeof directory_left - 1);
        }
        const Reply reply = worker.obey(order);
        if (!send_all(socket, &reply, sizeof reply)) break;
    }
    return 0;
}

}  // namespace cinnabar::bench
