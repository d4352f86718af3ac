// The memory that a worker, its zygote and whoever asks them share. One word says whose turn it is.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cinnabar/crash.hpp"

namespace cinnabar::crash {

enum DeskState : uint32_t {
    kNobody,   // there is no worker
    kIdle,     // a worker waits
    kRequest,  // the worker recovers
    kReply,    // its outcome is to be read
    kDead,     // it has ended, and the zygote said how
    kClosed,   // nobody will ask any more
};

// What the zygote is to fork.
enum class Order : uint32_t { none, worker, inside };

// What a worker is about, for whoever finds it dead.
enum class Phase : uint32_t { first, again, repeat, inside };
const char* words_of(Phase phase);

struct Desk {
    static constexpr size_t kTextMax = size_t{16} << 20;

    std::atomic<uint32_t> state{kNobody};
    std::atomic<Order> order{Order::none};
    // Of the request.
    bool check = false;
    bool tell_written = false;
    // Of the reply.
    bool recovered = false;
    bool unavailable = false;  // what the text says was not to be had, and nothing was recovered
    ViolationKind kind = ViolationKind::wrong;
    bool written = false;   // recovery stored to its image
    bool question = false;  // the text is one for whoever asked, and the request still stands
    // Of either.
    size_t length = 0;
    // Of the worker.
    std::atomic<Phase> phase{Phase::first};
    std::atomic<std::chrono::steady_clock::time_point> begun{};  // the phase
    std::atomic<pid_t> worker{0};
    int end_code = 0;  // as waitid gives them
    int end_status = 0;
    char text[kTextMax] = {};

    // Sets the word, if it is `from`, and wakes who waits for it.
    bool change(uint32_t from, uint32_t to);
    void set(uint32_t to);
    void begin(Phase next);
    // False: it is too long.
    bool put(std::string_view bytes);
    // Until the word is another one, or the time is up; true: it is another one.
    bool wait_while(uint32_t is, std::chrono::steady_clock::time_point until) const;
    // Until the word is this one: of a process that is killed where it never will be. False: the
    // desk is closed, by who may not kill (he is another user by now).
    bool wait_for(uint32_t wanted) const;
    // Of whoever asks, and of the zygote, which waits for it so long; none: there was none.
    void give(Order next);
    Order take_order(std::chrono::seconds time_max);
};

}  // namespace cinnabar::crash
