// One engine in a process of its own, as the benchmark sees it.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "cinnabar/result.hpp"
#include "force/wire.hpp"

namespace cinnabar::bench {

class WorkerProcess {
  public:
    // Starts this program again as a worker. `force_pmem`: libpmem there takes every mapping for
    // persistent memory, which it reads from its environment once per process.
    static Result<std::unique_ptr<WorkerProcess>> start(bool force_pmem);
    ~WorkerProcess();  // tells it to quit and waits
    WorkerProcess(const WorkerProcess&) = delete;
    WorkerProcess& operator=(const WorkerProcess&) = delete;

    // Sends an order and waits for its reply. Error: what the worker reports, timed_out if it
    // hangs, io if it died.
    Result<const Reply*> call(const Order& order);

  private:
    WorkerProcess(pid_t child, int socket) : child_(child), socket_(socket) {}
    Error how_it_ended();

    pid_t child_;
    int socket_;
    Reply reply_;
};

}  // namespace cinnabar::bench
