// Where recovery runs: a worker process, which maps the image privately, recovers it, answers with
// the digest and takes back what it stored. A worker that dies, hangs or wants too much memory is
// an answer too, and the next image gets a new one.
//
// Workers are forked by a zygote: a copy of this process from before the workload began, which does
// nothing else. So recovery never sees what the workload has open, mapped or locked. In place of a
// worker it forks a process in which power fails inside of a recovery (inside.hpp).
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "cinnabar/crash.hpp"

namespace cinnabar::crash {

struct Desk;  // the memory that a worker shares with whoever asks it
enum class Order : uint32_t;
class Run;

// Runs the workload of the run, with the file of that path watched; gives what holds what was
// recorded, which the run needs until its end.
using WatchFile = std::function<std::shared_ptr<void>(const std::string& path, Run& run)>;

// Has power fail inside of the recovery of the file where that happens in another process, as the
// request says: the reply to it, or for a replay line the image. `lives` is to be called while it
// goes on. Errors: invalid_argument (of a replay line), io.
struct InsideRequest;
using CrashElsewhere =
    std::function<Result<std::string>(const InsideRequest& request, const Options& options,
                                      const std::string& path, const std::function<void()>& lives)>;

// What can be had of power failures inside of recoveries of files: nothing, or one of these.
struct FileCrashes {
    WatchFile watch = {};
    CrashElsewhere elsewhere = {};
};

// A recovery's digest, or what became of it instead.
struct Outcome {
    bool recovered = true;
    ViolationKind kind = ViolationKind::wrong;  // where it is not
    std::string text;
    bool written = false;      // recovery stored to its image, where that was asked
    bool unavailable = false;  // nothing is known of the image: the text says what is not to be had
};

// Two recoveries of what is one image came to these.
Outcome differs(ViolationKind kind, const std::string& first, const std::string& second);

class Workers {
  public:
    // Forks the zygote. Aborts nothing and throws nothing: see start().
    Workers(const Test& test, const Options& options, FileCrashes file_crashes)
        : test_(test), options_(options), file_crashes_(std::move(file_crashes)) {}
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    ~Workers();

    // Errors: io.
    Result<void> start();
    // The memory where the next image stands when recover is called. Of one size. Errors: io.
    Result<std::span<std::byte>> image(size_t bytes);
    // With `check`: recovers what the recovery left too, and the image a second time.
    // What is not recovered is tried once more, by a new worker, before it counts.
    Outcome recover(bool check, bool tell_written = false);
    // The same image once more, by a new worker: where it comes to another digest, that is the
    // outcome.
    Outcome confirm(const std::string& digest);
    uint64_t recoveries() const { return recoveries_; }
    // Called before each recovery.
    void on_recovery(std::function<void()> call) { on_recovery_ = std::move(call); }

    // Somebody can see what a recovery stores, and where it makes that durable.
    bool can_crash_recovery() const {
        return test_.recover || file_crashes_.watch || crashes_elsewhere();
    }
    bool crashes_elsewhere() const { return file_crashes_.elsewhere != nullptr; }
    // A process that does what the request says about the image (inside.hpp), and is gone then: its
    // reply. What it asks meanwhile is answered. Errors: io (something is not to be had for it).
    using Answer = std::function<std::string(const std::string& question)>;
    struct Reply {
        bool done = false;
        std::string text;  // or where it is not done, what went wrong: it died, or does not end
    };
    Result<Reply> inside(const std::string& request, const Answer& answer);

  private:
    Result<void> set_up();
    bool is_image(int file) const;
    int open_image() const;
    [[noreturn]] void be_zygote(pid_t parent);
    Result<void> hire(Order order);
    void kill_worker();
    void dismiss();
    Outcome recover_once(bool check, bool tell_written);
    bool wait_for_reply(std::chrono::milliseconds time_max);
    std::chrono::milliseconds recovery_time_max() const;
    bool wait_while(uint32_t state, std::chrono::milliseconds time_max);
    Outcome how_it_ended(bool in_time) const;

    const Test& test_;
    const Options& options_;
    const FileCrashes file_crashes_;
    std::function<void()> on_recovery_;
    int image_ = -1;  // a memory file
    struct stat image_file_ = {};
    pid_t zygote_ = -1;
    Desk* desk_ = nullptr;
    std::span<std::byte> memory_;
    uint64_t recoveries_ = 0;
    bool hangs_ = false;  // one did, twice
};

}  // namespace cinnabar::crash
