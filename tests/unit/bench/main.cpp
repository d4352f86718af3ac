// The tests' main: a worker or writer of the benchmarks when started as one.
#include <gtest/gtest.h>

#include <string_view>

#include "force/force_bench.hpp"
#include "recovery/recovery_bench.hpp"

int main(int argc, char** argv) {
    if (argc > 1 && std::string_view(argv[1]) == cinnabar::bench::kWorkerVerb) {
        return cinnabar::bench::bench_worker_main(argc, argv);
    }
    if (argc > 1 && std::string_view(argv[1]) == cinnabar::bench::kRecoveryWriterVerb) {
        return cinnabar::bench::recovery_writer_main(argc, argv);
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
