// The makers of the engines; registry.cpp knows which of them are in this build.
#pragma once

#include <memory>

#include "rivals/engine.hpp"

namespace cinnabar {
enum class Writers : uint8_t;
}

namespace cinnabar::bench {

// What a pool needs beside a small area; beside a large one segments are larger too, by an eighth
// of it at most.
inline constexpr uint32_t kLogBeside_mib = 11;
inline constexpr uint32_t kTxBeside_mib = 10;

enum class FileSync : uint8_t { fdatasync, o_dsync };

std::unique_ptr<Engine> make_floor();
std::unique_ptr<Engine> make_msync();
std::unique_ptr<Engine> make_file(FileSync sync);
std::unique_ptr<Engine> make_pmemobj_tx();
std::unique_ptr<Engine> make_pmemlog(bool grouped);  // grouped: pmemlog_appendv, a force each
std::unique_ptr<Engine> make_io_uring();
// One writer: a stream for each thread. `forced_cached`: forced frames go through the caches.
std::unique_ptr<Engine> make_cinnabar(Writers writers, bool forced_cached);

}  // namespace cinnabar::bench
