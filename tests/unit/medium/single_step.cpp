#include "single_step.hpp"

#include <ucontext.h>
#include <x86intrin.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <ostream>

#include "instruction.hpp"

namespace cinnabar::medium {
namespace {

using Kind = Executed::Kind;

constexpr uint64_t kTrapFlag = 0x100;
constexpr size_t kExecutedMax = 1 << 16;  // the handler may not allocate

class Recorder {
  public:
    explicit Recorder(std::span<const std::byte> watched)
        : watched_(watched), before_(watched.begin(), watched.end()) {
        executed_.reserve(kExecutedMax);
    }

    void step(const gregset_t& registers) {
        ++steps_;
        note_change();
        last_ = about_to_execute(registers);
        if (last_) note(*last_);
    }

    uint64_t steps() const { return steps_; }
    std::vector<Executed> executed() { return std::move(executed_); }

  private:
    void note(const Executed& executed) {
        if (executed_.size() == kExecutedMax) std::abort();
        executed_.push_back(executed);
    }

    // What the last instruction changed, if it has not been noted as what it is. Where a
    // non-temporal store changed something else than it should have, it was not understood.
    void note_change() {
        if (watched_.empty() || std::memcmp(watched_.data(), before_.data(), watched_.size()) == 0)
            return;
        const auto [now, then] = std::ranges::mismatch(watched_, before_);
        const auto first = static_cast<size_t>(now - watched_.begin());
        size_t end = watched_.size();
        while (watched_[end - 1] == before_[end - 1]) --end;
        const uintptr_t from = reinterpret_cast<uintptr_t>(watched_.data()) + first;
        const bool noted = last_ && last_->kind == Kind::non_temporal_store &&
                           from >= last_->address &&
                           from + (end - first) <= last_->address + last_->bytes;
        if (!noted) note({Kind::cached_store, from, end - first});
        std::copy_n(now, end - first, then);
    }

    std::span<const std::byte> watched_;
    std::vector<std::byte> before_;
    std::vector<Executed> executed_;
    std::optional<Executed> last_;
    uint64_t steps_ = 0;
};

Recorder* recorder_of_run = nullptr;

void on_step(int, siginfo_t*, void* context) {
    recorder_of_run->step(static_cast<ucontext_t*>(context)->uc_mcontext.gregs);
}

// With the handler while it lives.
class Handling {
  public:
    explicit Handling(Recorder& recorder) {
        recorder_of_run = &recorder;
        struct sigaction action = {};
        action.sa_sigaction = on_step;
        action.sa_flags = SA_SIGINFO;
        if (sigaction(SIGTRAP, &action, &old_) != 0) std::abort();
    }
    Handling(const Handling&) = delete;
    Handling& operator=(const Handling&) = delete;
    ~Handling() { sigaction(SIGTRAP, &old_, nullptr); }

  private:
    struct sigaction old_ = {};
};

void run(Recorder& recorder, const std::function<void()>& work) {
    const Handling handling(recorder);
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | kTrapFlag);
    work();
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~kTrapFlag);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Executed& executed) {
    constexpr const char* names[] = {
        "cached store", "non-temporal store", "clflush", "clflushopt", "clwb", "sfence",
        "msync",        "system call"};
    out << names[static_cast<size_t>(executed.kind)];
    if (executed.kind == Kind::sfence) return out;
    return out << " of " << executed.bytes << " at 0x" << std::hex << executed.address << std::dec;
}

bool can_single_step() {
    Recorder recorder({});
    run(recorder, [] {});
    return recorder.steps() != 0;
}

std::vector<Executed> single_step(std::span<const std::byte> watched,
                                  const std::function<void()>& work) {
    Recorder recorder(watched);
    run(recorder, work);
    return recorder.executed();
}

}  // namespace cinnabar::medium
