#include "crash/desk.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <ctime>

namespace cinnabar::crash {

namespace {

// Between processes: not the private form of the call.
template <class Word>
void wake_all(const std::atomic<Word>& word) {
    static_assert(sizeof word == sizeof(uint32_t));
    ::syscall(SYS_futex, &word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

template <class Word>
void sleep_while(const std::atomic<Word>& word, Word is, std::chrono::nanoseconds time) {
    struct timespec timeout = {};
    timeout.tv_sec = static_cast<time_t>(time.count() / 1'000'000'000);
    timeout.tv_nsec = static_cast<long>(time.count() % 1'000'000'000);
    ::syscall(SYS_futex, &word, FUTEX_WAIT, is, &timeout, nullptr, 0);
}

}  // namespace

const char* words_of(Phase phase) {
    switch (phase) {
        case Phase::first: return "recovery";
        case Phase::again: return "recovery of what a recovery had left";
        case Phase::repeat: return "a second recovery of the same image";
        case Phase::inside: return "recovery, run once more for power to fail inside of it,";
    }
    return "";
}

void Desk::give(Order next) {
    order.store(next);
    wake_all(order);
}

Order Desk::take_order(std::chrono::seconds time_max) {
    sleep_while(order, Order::none, time_max);
    return order.exchange(Order::none);
}

bool Desk::change(uint32_t from, uint32_t to) {
    if (!state.compare_exchange_strong(from, to)) return false;
    wake_all(state);
    return true;
}

void Desk::set(uint32_t to) {
    state.store(to);
    wake_all(state);
}

void Desk::begin(Phase next) {
    phase = next;
    begun = std::chrono::steady_clock::now();
}

bool Desk::put(std::string_view bytes) {
    if (bytes.size() > kTextMax) return false;
    length = bytes.size();
    std::memcpy(text, bytes.data(), bytes.size());
    return true;
}

bool Desk::wait_while(uint32_t is, std::chrono::steady_clock::time_point until) const {
    while (state.load() == is) {
        const auto left = until - std::chrono::steady_clock::now();
        if (left <= std::chrono::nanoseconds(0)) return false;
        sleep_while(state, is, left);
    }
    return true;
}

bool Desk::wait_for(uint32_t wanted) const {
    for (uint32_t is = state.load(); is != wanted; is = state.load()) {
        if (is == kClosed) return false;
        wait_while(is, std::chrono::steady_clock::now() + std::chrono::hours(24));
    }
    return true;
}

}  // namespace cinnabar::crash
