// Someone's structure whose recovery writes: three amounts that change together, by a log that says
// what they are to be. Right, or with one thing done wrong in the recovery alone: whoever lets it
// end finds nothing.
#pragma once

#include <cinnabar/crash.hpp>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <span>
#include <string>
#include <thread>

namespace kit_test {

enum class Redo {
    right,
    done_before_redone,    // the log counts as done before the amounts are durable
    done_in_one_fence,     // ... or may be durable before them
    erased_before_copied,  // what the log says is erased before the amounts are durable
    hangs_again,           // a second recovery, after one that was interrupted, does not end
    dies_again,            // ... or dies
    forces_nothing,        // stores, and makes nothing durable
};

struct RedoLog {
    alignas(64) uint64_t pending;     // the log is to be redone
    alignas(64) uint64_t recovering;  // a recovery has begun
    alignas(64) uint64_t logged[3][8];
    alignas(64) uint64_t amounts[3][8];  // a line each
};

// Makes a range durable.
using Persist = std::function<void(const void* from, size_t length, cinnabar::crash::Where where)>;

class RedoLogUser {
  public:
    RedoLogUser(RedoLog& log, Persist persist) : log_(log), persist_(std::move(persist)) {}

    void set(uint64_t amount, Redo how = Redo::right) {
        for (auto& logged : log_.logged) logged[0] = amount;
        persist(log_.logged);
        log_.pending = 1;
        persist(log_.pending);
        recover(how);
    }

    void recover(Redo how) {
        if (how == Redo::hangs_again || how == Redo::dies_again) fail_again(how);
        if (log_.pending == 0) return;
        if (how == Redo::done_before_redone) done();
        if (how == Redo::erased_before_copied) return copy_what_is_erased();
        for (size_t i = 0; i < 3; ++i) log_.amounts[i][0] = log_.logged[i][0];
        if (how == Redo::forces_nothing) {
            log_.pending = 0;
            return;
        }
        if (how != Redo::done_in_one_fence) persist(log_.amounts);
        log_.pending = log_.recovering = 0;
        persist(log_);
    }

    // The amounts, a line each.
    std::string digest() const {
        std::string lines;
        for (const auto& amount : log_.amounts) lines += std::to_string(amount[0]) + "\n";
        return lines;
    }

  private:
    template <class T>
    void persist(const T& what, cinnabar::crash::Where where = cinnabar::crash::Where::current()) {
        persist_(&what, sizeof what, where);
    }

    void done() {
        log_.pending = 0;
        persist(log_.pending);
    }

    void copy_what_is_erased() {
        const uint64_t amount = log_.logged[0][0];
        for (auto& logged : log_.logged) logged[0] = 0;
        persist(log_.logged);
        for (auto& copied : log_.amounts) copied[0] = amount;
        persist(log_.amounts);
        done();
    }

    void fail_again(Redo how) {
        if (log_.recovering != 0 && how == Redo::dies_again) std::abort();
        while (log_.recovering != 0) std::this_thread::sleep_for(std::chrono::seconds(1));
        log_.recovering = log_.pending;
        persist(log_.recovering);
    }

    RedoLog& log_;
    Persist persist_;
};

inline void set_amounts(RedoLogUser user, cinnabar::crash::History& history,
                        Redo how = Redo::right) {
    for (const uint64_t amount : {10, 20}) {
        const size_t operation = history.begin(std::to_string(amount));
        user.set(amount, how);
        history.acknowledge(operation);
    }
}

// All three are what the last operation that is done has set.
inline cinnabar::crash::Oracle same_amounts() {
    using Operation = cinnabar::crash::History::Operation;
    return cinnabar::crash::equal_to_a_run([](std::span<const Operation> done) {
        const std::string line = (done.empty() ? "0" : done.back().what) + "\n";
        return line + line + line;
    });
}

}  // namespace kit_test
