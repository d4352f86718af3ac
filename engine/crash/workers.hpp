// Where recovery runs: a worker process, which maps the image privately, recovers it, answers with
// the digest and takes back what it stored. A worker that dies, hangs or wants too much memory is
// an answer too, and the next image gets a new one.
//
// Workers are forked by a zygote: a copy of this process from before the workload began, which does
// nothing else. So recovery never sees what the workload has open, mapped or locked.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "cinnabar/crash.hpp"

namespace cinnabar::crash {

struct Desk;  // the memory that a worker shares with whoever asks it

// A recovery's digest, or what became of it instead.
struct Outcome {
    bool recovered = true;
    ViolationKind kind = ViolationKind::wrong;  // where it is not
    std::string text;
};

// Two recoveries of what is one image came to these.
Outcome differs(ViolationKind kind, const std::string& first, const std::string& second);

class Workers {
  public:
    // Forks the zygote. Aborts nothing and throws nothing: see start().
    Workers(const Test& test, const Options& options) : test_(test), options_(options) {}
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    ~Workers();

    // Errors: io.
    Result<void> start();
    // The memory where the next image stands when recover is called. Of one size. Errors: io.
    Result<std::span<std::byte>> image(size_t bytes);
    // With `check`: recovers what the recovery left too, and the image a second time.
    // What is not recovered is tried once more, by a new worker, before it counts.
    Outcome recover(bool check);
    // The same image once more, by a new worker: where it comes to another digest, that is the
    // outcome.
    Outcome confirm(const std::string& digest);
    uint64_t recoveries() const { return recoveries_; }

  private:
    Result<void> set_up();
    [[noreturn]] void be_zygote();
    Result<void> hire();
    void kill_worker();
    void dismiss();
    Outcome recover_once(bool check);
    bool wait_for_reply();
    bool wait_while(uint32_t state, std::chrono::milliseconds time_max);
    Outcome how_it_ended(bool in_time) const;

    const Test& test_;
    const Options& options_;
    int image_ = -1;  // a memory file
    int orders_ = -1;
    int orders_of_zygote_ = -1;
    pid_t zygote_ = -1;
    Desk* desk_ = nullptr;
    std::span<std::byte> memory_;
    uint64_t recoveries_ = 0;
};

}  // namespace cinnabar::crash
