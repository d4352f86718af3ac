// Runs threads one at a time and switches between them only at points of their own, in an order
// that a seed decides: the same seed gives the same interleaving. Whoever sleeps is woken only by a
// wake; when all sleep, a wake-up was lost, and the run aborts saying so.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace cinnabar::sim {

// Runs the bodies as threads 0, 1, ... to their end. One run at a time in a process.
void run_interleaved(uint64_t seed, const std::vector<std::function<void()>>& bodies);

// The number of the calling thread in the present run; 0 outside of any.
size_t current_thread();

// Whether the caller is a thread of a run.
bool is_interleaved();

// Another thread may go on here. Nothing outside of a run.
void switch_point();

// Sleeps until woken on `address`. Aborts outside of a run: nobody could wake a single thread.
void sleep_on(const void* address);
void wake_all_on(const void* address);

// While it lives, switch_point does nothing: for work that stands outside of simulated time.
class Standstill {
  public:
    Standstill();
    ~Standstill();
    Standstill(const Standstill&) = delete;
    Standstill& operator=(const Standstill&) = delete;
};

}  // namespace cinnabar::sim
