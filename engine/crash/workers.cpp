#include "crash/workers.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>

#include "crash/desk.hpp"
#include "crash/inside.hpp"
#include "crash/printable.hpp"
#include "crash/worker.hpp"

namespace cinnabar::crash {

namespace {

constexpr std::chrono::seconds kPatience(20);     // for what is no recovery
constexpr std::chrono::hours kForever(24 * 365);  // more milliseconds are as many as these

// Of a zygote whose parent has ended, and not only the thread that made it: with it goes what its
// worker has started, which nobody else knows of.
Desk* desk_of_zygote = nullptr;
pid_t parent_of_zygote = 0;

void end_with_worker(int) {
    if (::getppid() == parent_of_zygote) return;
    if (const pid_t worker = desk_of_zygote->worker.load(); worker > 0) ::kill(-worker, SIGKILL);
    ::_exit(0);
}

tl::unexpected<Error> failed(const std::string& what) {
    return fail(Errc::io, what + ": " + std::strerror(errno));
}

// The image by itself is recovered, where it is only another time that fails.
ViolationKind kind_in(Phase phase, ViolationKind kind) {
    if (phase == Phase::first || kind == ViolationKind::hung) return kind;
    return phase == Phase::again ? ViolationKind::not_idempotent : ViolationKind::not_deterministic;
}

// By exec: then nobody is left to give orders.
bool has_become_another_program(pid_t process, Desk* desk) {
    char byte = 0;
    const struct iovec here = {&byte, 1}, there = {desk, 1};
    return ::process_vm_readv(process, &here, 1, &there, 1, 0) < 0 && errno == EFAULT;
}

std::string shortened(const std::string& text) {
    constexpr size_t max = 200;
    return printable(std::string_view(text).substr(0, max)) + (text.size() > max ? "..." : "");
}

}  // namespace

Outcome differs(ViolationKind kind, const std::string& first, const std::string& second) {
    return {false, kind, "first '" + shortened(first) + "', then '" + shortened(second) + "'"};
}

Result<void> Workers::start() {
    auto done = set_up();
    if (!done) return done;
    std::fflush(nullptr);  // or a copy of what is buffered could be written twice
    const pid_t parent = ::getpid();
    // As fork does it, but without a signal at its end: such a child is not seen by a workload that
    // waits for its own ones.
    zygote_ = static_cast<pid_t>(::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr));
    if (zygote_ < 0) return failed("no process for recoveries");
    if (zygote_ == 0) be_zygote(parent);
    return {};
}

Result<void> Workers::set_up() {
    image_ = ::memfd_create("cinnabar-crash-image", MFD_CLOEXEC);
    if (image_ < 0 || ::fstat(image_, &image_file_) != 0)
        return failed("no memory file for images");
    void* desk = ::mmap(nullptr, sizeof(Desk), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (desk == MAP_FAILED) return failed("no memory to share with recoveries");
    desk_ = static_cast<Desk*>(desk);  // of zeros, which is its first state
    return {};
}

// Forks a process for each order, and says how that one ended. It takes the dead process's number
// back only with the next order: until then nobody else can have it. Orders come in the shared
// memory, and not by a descriptor: a workload may close what it has not opened (closefrom), and
// open its own file in that place.
void Workers::be_zygote(pid_t parent) {
    desk_of_zygote = desk_;
    parent_of_zygote = parent;
    struct sigaction handler = {}, handler_before = {};
    handler.sa_handler = end_with_worker;
    ::sigaction(SIGTERM, &handler, &handler_before);
    sigset_t none = {}, blocked_before = {};
    ::sigprocmask(SIG_SETMASK, &none, &blocked_before);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(0);
    ::setpgid(0, 0);             // who signals the workload's group means the workload
    ::signal(SIGCHLD, SIG_DFL);  // where it is ignored nobody learns how a child ended
    // Handlers of signals are the caller's still: each call may be interrupted.
    for (;;) {
        const Order order = desk_->take_order(std::chrono::seconds(1));
        // Of a parent that has become another user's process no signal tells.
        if (order == Order::none &&
            (::getppid() != parent || has_become_another_program(parent, desk_)))
            ::_exit(0);
        if (order == Order::none) continue;
        const pid_t before = desk_->worker.load();
        if (before > 0) TEMP_FAILURE_RETRY(::waitpid(before, nullptr, 0));
        const pid_t worker = ::fork();
        if (worker == 0) {
            ::setpgid(0, 0);
            ::sigaction(SIGTERM, &handler_before, nullptr);
            ::sigprocmask(SIG_SETMASK, &blocked_before, nullptr);
            if (order == Order::inside) be_inside(*desk_, image_, test_, options_, file_crashes_);
            be_worker(*desk_, image_, test_, options_);
        }
        desk_->worker = worker;
        if (worker < 0) {
            desk_->set(kDead);
            continue;
        }
        ::setpgid(worker, worker);
        desk_->set(kIdle);
        siginfo_t end = {};
        TEMP_FAILURE_RETRY(::waitid(P_PID, static_cast<id_t>(worker), &end, WEXITED | WNOWAIT));
        desk_->end_code = end.si_code;
        desk_->end_status = end.si_status;
        desk_->set(kDead);
    }
}

bool Workers::is_image(int file) const {
    struct stat now = {};
    return ::fstat(file, &now) == 0 && now.st_ino == image_file_.st_ino &&
           now.st_dev == image_file_.st_dev;
}

// Where the workload has closed it, the zygote's; -1: not to be had. A number may be of any file.
int Workers::open_image() const {
    if (is_image(image_)) return ::fcntl(image_, F_DUPFD_CLOEXEC, 0);
    const std::string path = "/proc/" + std::to_string(zygote_) + "/fd/" + std::to_string(image_);
    const int image = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (image < 0 || is_image(image)) return image;
    ::close(image);
    return -1;
}

Result<std::span<std::byte>> Workers::image(size_t bytes) {
    if (memory_.size() == bytes) return memory_;
    const int image = open_image();
    if (image < 0)
        return fail(Errc::io,
                    "no memory for images: its file is closed; does the program close descriptors "
                    "that it has not opened (closefrom)?");
    void* memory = MAP_FAILED;
    if (::ftruncate(image, static_cast<off_t>(bytes)) == 0)
        memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, image, 0);
    const auto mapped = memory != MAP_FAILED ? Result<void>() : failed("no memory for images");
    ::close(image);
    if (!mapped) return fail(mapped.error());
    memory_ = {static_cast<std::byte*>(memory), bytes};
    return memory_;
}

bool Workers::wait_while(uint32_t state, std::chrono::milliseconds time_max) {
    return desk_->wait_while(state, std::chrono::steady_clock::now() + time_max);
}

Result<void> Workers::hire(Order order) {
    if (desk_->state.load() == kIdle) return {};
    desk_->set(kNobody);
    desk_->give(order);
    if (!wait_while(kNobody, kPatience) || desk_->worker.load() <= 0)
        return fail(Errc::io, "no process for a recovery can be had");
    return {};
}

void Workers::kill_worker() {
    const pid_t worker = desk_->worker.load();
    if (worker > 0) ::kill(-worker, SIGKILL);  // and all that it has started
}

// With what it has left open or locked.
void Workers::dismiss() {
    kill_worker();
    for (uint32_t state = desk_->state.load(); state != kDead; state = desk_->state.load())
        if (!wait_while(state, kPatience)) break;
}

// The first worker may have been spoiled by images before, or by a machine with too much to do; but
// where recoveries are known to hang, that takes its time once.
Outcome Workers::recover(bool check, bool tell_written) {
    Outcome first = recover_once(check, tell_written);
    if (first.recovered || (hangs_ && first.kind == ViolationKind::hung)) return first;
    Outcome fresh = recover_once(check, false);
    hangs_ = hangs_ || (!fresh.recovered && fresh.kind == ViolationKind::hung);
    if (!fresh.recovered || first.unavailable) return fresh;
    return {false, ViolationKind::not_deterministic,
            "first '" + first.text + "', then in a new process it came to an end"};
}

Outcome Workers::confirm(const std::string& digest) {
    dismiss();
    Outcome fresh = recover_once(false, false);
    if (!fresh.recovered || fresh.text == digest) return fresh;
    Outcome other = differs(ViolationKind::not_deterministic, digest, fresh.text);
    other.text += " in a new process";
    return other;
}

std::chrono::milliseconds Workers::recovery_time_max() const {
    return std::min<std::chrono::milliseconds>(options_.recovery_time_max, kForever);
}

// Whatever begins on behalf of the request has that time.
bool Workers::wait_for_reply(std::chrono::milliseconds time_max) {
    for (;;) {
        const auto begun = desk_->begun.load();
        if (desk_->wait_while(kRequest, begun + time_max)) return true;
        if (desk_->begun.load() == begun) return false;
    }
}

Outcome Workers::recover_once(bool check, bool tell_written) {
    if (on_recovery_) on_recovery_();
    if (const auto hired = hire(Order::worker); !hired)
        return {.recovered = false, .text = hired.error().message, .unavailable = true};
    recoveries_ += check ? 3 : 1;
    desk_->check = check;
    desk_->tell_written = tell_written;
    desk_->begin(Phase::first);
    if (!desk_->change(kIdle, kRequest)) return how_it_ended(true);
    const bool in_time = wait_for_reply(recovery_time_max());
    const bool replied = in_time && desk_->state.load() == kReply;
    Outcome outcome = how_it_ended(in_time);
    if (replied)
        outcome = {desk_->recovered,
                   desk_->kind,
                   {desk_->text, desk_->length},
                   desk_->written,
                   desk_->unavailable};
    if (outcome.recovered && desk_->change(kReply, kIdle)) return outcome;
    outcome.kind = kind_in(desk_->phase.load(), outcome.kind);
    dismiss();
    return outcome;
}

// It says when it begins with a recovery, which is three where it checks; one is its workload.
Result<Workers::Reply> Workers::inside(const std::string& request, const Answer& answer) {
    const auto time_max = 4 * recovery_time_max() + kPatience;
    if (desk_->state.load() != kNobody) dismiss();
    if (const auto hired = hire(Order::inside); !hired) return fail(hired.error());
    desk_->put(request);
    desk_->begin(Phase::inside);
    if (!desk_->change(kIdle, kRequest)) return Reply{false, how_it_ended(true).text};
    for (;;) {
        const bool in_time = wait_for_reply(time_max);
        if (!in_time || desk_->state.load() != kReply) {
            const std::string how = in_time ? how_it_ended(true).text
                                            : words_of(Phase::inside) + std::string(" did not end");
            dismiss();
            return Reply{false, how};
        }
        const std::string text(desk_->text, desk_->length);
        if (!desk_->question) {
            const bool done = desk_->recovered, unavailable = desk_->unavailable;
            dismiss();
            if (unavailable) return fail(Errc::io, text);
            return Reply{done, text};
        }
        desk_->put(answer(text));
        desk_->begin(Phase::inside);
        desk_->change(kReply, kRequest);
    }
}

Outcome Workers::how_it_ended(bool in_time) const {
    const std::string what = words_of(desk_->phase.load());
    if (!in_time)
        return {false, ViolationKind::hung,
                what + " did not end within " + std::to_string(options_.recovery_time_max.count()) +
                    " ms"};
    if (desk_->end_code == CLD_EXITED)
        return {false, ViolationKind::crashed,
                what + " ended its process with exit code " + std::to_string(desk_->end_status)};
    return {false, ViolationKind::crashed,
            what + " died: " + ::strsignal(desk_->end_status) + " (signal " +
                std::to_string(desk_->end_status) + ")"};
}

Workers::~Workers() {
    if (zygote_ > 0) {
        if (desk_->state.load() != kNobody) kill_worker();
        desk_->set(kClosed);
        if (::kill(zygote_, SIGKILL) == 0)  // or this is another user's process by now
            ::waitpid(zygote_, nullptr, __WALL);
    }
    if (desk_ != nullptr) ::munmap(desk_, sizeof(Desk));
    if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
    if (is_image(image_)) ::close(image_);
}

}  // namespace cinnabar::crash
