// The tests' main: a worker of the benchmark when started as one.
#include <gtest/gtest.h>

#include <string_view>

#include "force/force_bench.hpp"

int main(int argc, char** argv) {
    if (argc > 1 && std::string_view(argv[1]) == cinnabar::bench::kWorkerVerb) {
        return cinnabar::bench::bench_worker_main(argc, argv);
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
