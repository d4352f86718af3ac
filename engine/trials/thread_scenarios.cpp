// Threads in a shared stream, in many orders.
#include "trials/scenario_bodies.hpp"

#include "trials/threads.hpp"

namespace cinnabar::trials {

namespace {

std::string run_threads(ThreadRun::Options options, uint64_t runs, Trial& trial) {
    options.pool.seed = trial.seed;
    for (uint64_t i = 0; i < runs; ++i) {
        options.seed = trial.seed * 1000 + i;
        ThreadRun run(trial, options);
        if (std::string wrong = run.run(); !wrong.empty())
            return "seed " + std::to_string(options.seed) + ": " + wrong;
    }
    return "";
}

}  // namespace

std::string two_threads(Trial& trial) {
    return run_threads({.threads = 2, .records = 4, .lazy_of_8 = 3}, 12, trial);
}

// Short records of three threads.
std::string three_threads(Trial& trial) {
    return run_threads({.threads = 3, .records = 3, .lazy_of_8 = 4, .length_max = 90}, 16, trial);
}

// One force makes durable what several threads appended.
std::string group_forcing(Trial& trial) {
    return run_threads(
        {.threads = 3, .records = 4, .lazy_of_8 = 4, .length_max = 150, .force_apart = true}, 12,
        trial);
}

// Who has taken space and is slow is overtaken by the others (trap L2).
std::string overtaken(Trial& trial) {
    return run_threads({.threads = 3,
                        .records = 12,
                        .lazy_of_8 = 6,
                        .length_max = 32,
                        .end = ThreadRun::End::none},
                       40, trial);
}

// Long ones: nearly every record crosses into another segment.
std::string crossing_threads(Trial& trial) {
    return run_threads(
        {.threads = 3, .records = 4, .lazy_of_8 = 6, .length_max = 480, .pool = {.segments = 6}},
        trial.life.domain == Domain::page ? 4 : 8, trial);
}

// Killed anywhere; the next life recovers, appends, and loses power anywhere in that.
std::string killed_threads(Trial& trial) {
    return run_threads({.threads = 3, .records = 3, .length_max = 200, .end = ThreadRun::End::kill},
                       2, trial);
}

// Power is lost, and again in the next life.
std::string reviving_threads(Trial& trial) {
    return run_threads({.threads = 3,
                        .records = 3,
                        .lazy_of_8 = 5,
                        .length_max = 90,
                        .end = ThreadRun::End::power_loss_twice},
                       2, trial);
}

}  // namespace cinnabar::trials
