// On what a result was taken.
#include "force/environment.hpp"

#include <sched.h>
#include <sys/utsname.h>

#include <fstream>

#include "base/crc32c.hpp"

namespace cinnabar::bench {

namespace {

std::string cpu_model() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with("model name")) continue;
        const size_t colon = line.find(": ");
        if (colon != std::string::npos) return line.substr(colon + 2);
    }
    return "unknown";
}

std::string kernel_release() {
    utsname u;
    return ::uname(&u) == 0 ? std::string(u.sysname) + " " + u.release : "unknown";
}

std::string governor() {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    std::string name;
    return file >> name ? name : "unknown";
}

}  // namespace

unsigned cores_allowed() {
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
    return static_cast<unsigned>(CPU_COUNT(&allowed));
}

Environment find_environment(const Clock& clock) {
    Environment e;
    e.cpu = cpu_model();
    e.kernel = kernel_release();
    e.governor = governor();
    e.compiler = "g++ " __VERSION__;
#ifdef __clang__
    e.compiler = __VERSION__;
#endif
    e.build_type = CINNABAR_BENCH_BUILD_TYPE;
    e.version = CINNABAR_BENCH_VERSION;
    e.checksum_path = std::string(name_of(crc32c_path()));
    e.clock = clock.counts_cycles() ? "tsc" : "clock_gettime";
    e.timer_ns = clock.timer_ns();
    e.timer_step_ns = clock.step_ns();
    e.cores = cores_allowed();
    e.pinned = true;
    return e;
}

}  // namespace cinnabar::bench
