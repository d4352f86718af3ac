#include "crash/worker.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <optional>
#include <string>

#include "crash/unavailable.hpp"
#include "crash/worker_image.hpp"
#include "crash/workers.hpp"

namespace cinnabar::crash {

namespace {

Outcome recover(Desk& desk, Recovery& recovery) {
    desk.begin(Phase::first);
    recovery.renew();
    const std::string digest = recovery.run();
    desk.written = (desk.check || desk.tell_written) && recovery.written();
    if (!desk.check) return {true, {}, digest};
    if (desk.written) {
        desk.begin(Phase::again);
        const std::string again = recovery.run();
        if (again != digest) return differs(ViolationKind::not_idempotent, digest, again);
    }
    desk.begin(Phase::repeat);
    recovery.renew();
    const std::string repeated = recovery.run();
    if (repeated != digest) return differs(ViolationKind::not_deterministic, digest, repeated);
    return {true, {}, digest};
}

// Whatever leaves the recovery, as an outcome.
Outcome caught(Desk& desk, Recovery& recovery, const Options& options) {
    const auto failed = [&](ViolationKind kind, const std::string& how) -> Outcome {
        return {false, kind, words_of(desk.phase.load()) + how};
    };
    try {
        return recover(desk, recovery);
    } catch (const Unavailable& error) {
        return {.recovered = false, .text = error.what(), .unavailable = true};
    } catch (const std::bad_alloc&) {
        return failed(ViolationKind::out_of_memory,
                      " ran out of the memory it may use, " +
                          size_text(options.recovery_memory_bytes_max) +
                          " (recovery_memory_bytes_max, --memory)");
    } catch (const std::exception& error) {
        return failed(ViolationKind::threw, std::string(" threw: ") + error.what());
    } catch (...) {
        return failed(ViolationKind::threw, " threw something that is no std::exception");
    }
}

void limit_memory(uint64_t memory_bytes_max) {
    unsigned long long pages = 0;
    if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
        if (std::fscanf(file, "%llu", &pages) != 1) pages = 0;
        std::fclose(file);
    }
    if (pages == 0) return;
    const rlim_t start = pages * 4096;
    if (memory_bytes_max >= RLIM_INFINITY - start) return;
    const rlim_t bytes = start + memory_bytes_max;
    const struct rlimit limit = {bytes, bytes};
    ::setrlimit(RLIMIT_AS, &limit);
}

void answer(Desk& desk, Outcome outcome) {
    if (!desk.put(outcome.text)) {
        outcome = {false, ViolationKind::threw,
                   "the digest has " + size_text(outcome.text.size()) + "; at most " +
                       size_text(Desk::kTextMax)};
        desk.put(outcome.text);
    }
    desk.recovered = outcome.recovered;
    desk.unavailable = outcome.unavailable;
    desk.kind = outcome.kind;
    desk.change(kRequest, kReply);
}

}  // namespace

void leave_nothing_behind() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const struct rlimit none = {0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
}

void be_worker(Desk& desk, int shared_image, const Test& test, const Options& options) {
    leave_nothing_behind();
    std::optional<Recovery> recovery;
    try {
        recovery.emplace(shared_image, test, options.image_folder);
    } catch (const std::exception& error) {
        desk.wait_for(kRequest);
        answer(desk, {.recovered = false, .text = error.what(), .unavailable = true});
        for (;;) ::pause();  // until it is killed: an end would be an answer too
    }
    limit_memory(options.recovery_memory_bytes_max);
    while (desk.wait_for(kRequest)) answer(desk, caught(desk, *recovery, options));
    ::_exit(0);
}

}  // namespace cinnabar::crash
