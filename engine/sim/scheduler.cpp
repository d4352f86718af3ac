#include "sim/scheduler.hpp"

#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "base/check.hpp"

namespace cinnabar::sim {

namespace {

struct Run {
    std::mutex mutex;
    std::condition_variable turn_changed;
    std::mt19937_64 random;
    size_t turn = 0;
    std::vector<bool> done;
    std::vector<const void*> sleeping_on;  // nullptr: it can run
    size_t standstills = 0;
};

Run* present = nullptr;
thread_local size_t own_number = 0;

// Under the mutex: gives the turn to a thread that can run.
void pass_turn(Run& run) {
    std::vector<size_t> able;
    bool all_done = true;
    for (size_t i = 0; i < run.done.size(); ++i) {
        all_done = all_done && run.done[i];
        if (!run.done[i] && run.sleeping_on[i] == nullptr) able.push_back(i);
    }
    if (all_done) return;
    CNB_CHECK(!able.empty(), {"every_thread_sleeps_and_nobody_wakes", run.done.size()});
    run.turn = able[run.random() % able.size()];
    run.turn_changed.notify_all();
}

void wait_for_turn(Run& run, std::unique_lock<std::mutex>& lock) {
    run.turn_changed.wait(lock, [&] { return run.turn == own_number; });
}

}  // namespace

void run_interleaved(uint64_t seed, const std::vector<std::function<void()>>& bodies) {
    CNB_CHECK(present == nullptr);
    Run run;
    run.random.seed(seed);
    run.done.assign(bodies.size(), false);
    run.sleeping_on.assign(bodies.size(), nullptr);
    run.turn = run.random() % bodies.size();
    present = &run;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < bodies.size(); ++i)
        threads.emplace_back([&run, &bodies, i] {
            own_number = i;
            {
                std::unique_lock lock(run.mutex);
                wait_for_turn(run, lock);
            }
            bodies[i]();
            std::lock_guard lock(run.mutex);
            run.done[i] = true;
            pass_turn(run);
        });
    for (std::thread& thread : threads) thread.join();
    present = nullptr;
}

size_t current_thread() {
    return present == nullptr ? 0 : own_number;
}

bool is_interleaved() {
    return present != nullptr;
}

void switch_point() {
    if (present == nullptr || present->standstills > 0) return;
    std::unique_lock lock(present->mutex);
    pass_turn(*present);
    wait_for_turn(*present, lock);
}

void sleep_on(const void* address) {
    CNB_CHECK(present != nullptr);
    std::unique_lock lock(present->mutex);
    present->sleeping_on[own_number] = address;
    pass_turn(*present);
    wait_for_turn(*present, lock);
}

void wake_all_on(const void* address) {
    if (present == nullptr) return;
    std::lock_guard lock(present->mutex);
    for (const void*& sleeping : present->sleeping_on)
        if (sleeping == address) sleeping = nullptr;
}

Standstill::Standstill() {
    if (present != nullptr) ++present->standstills;
}

Standstill::~Standstill() {
    if (present != nullptr) --present->standstills;
}

}  // namespace cinnabar::sim
