// Breaks the engine one flush, fence, store, ordering or seed at a time and demands that the
// workload named in the table notices. The same workloads find nothing wrong with the whole engine.
#include "crash/mutants.hpp"

#include <chrono>
#include <set>

namespace cinnabar::crash_test {

namespace {

void PrintTo(const Broken& broken, std::ostream* out) {
    *out << broken.name;
}

// The kill matrix, for engine/doc/CRASH.md.
TEST(Mutant, DISABLED_KillMatrix) {
    for (const Broken& broken : all_broken()) {
        std::cout << "| " << broken.name << " |" << std::flush;
        for (const Workload& workload : workloads()) {
            const auto start = std::chrono::steady_clock::now();
            const std::string wrong = notice(broken, workload);
            const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
            if (!wrong.empty()) std::cout << " " << workload.name << "(" << ms << ")" << std::flush;
            std::cerr << broken.name << "," << workload.name << "," << ms << "," << wrong << "\n";
        }
        std::cout << " |\n";
    }
}

TEST(Mutant, Sound) {
    for (const Domain domain : {Domain::cache_line, Domain::page, Domain::byte})
    for (const Workload& workload : workloads()) {
        const auto start = std::chrono::steady_clock::now();
            const std::string wrong = workload.run({.life = {.domain = domain}});
            const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
            std::cout << name_of(domain) << " " << workload.name << " " << ms << " " << wrong << std::endl;
            EXPECT_EQ(wrong, "");
    }
}

}  // namespace

}  // namespace cinnabar::crash_test
