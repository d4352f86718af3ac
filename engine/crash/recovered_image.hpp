// The image whose recovery is a workload: what a region that the recovery attaches there is told is
// recorded, as the calls of a workload's region are.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <thread>

#include "cinnabar/crash.hpp"
#include "crash/hooked_stores.hpp"
#include "crash/recorder.hpp"
#include "crash/run.hpp"

namespace cinnabar::crash {

class RecoveredImage {
  public:
    // `before`: what the image held when the recovery began. The domain is that of the region whose
    // image it is.
    RecoveredImage(std::span<std::byte> memory, std::span<const std::byte> before, Domain domain,
                   Run& run)
        : memory_(memory), before_(before), domain_(domain), run_(run) {}
    RecoveredImage(const RecoveredImage&) = delete;
    RecoveredImage& operator=(const RecoveredImage&) = delete;

    // The run's workload is the recovery: until it ends regions are attached here.
    void run_workload();

    struct Part {
        Recorder* recorder;
        uint64_t offset;  // of the memory in the image
    };
    // Who records what a region of this memory is told; nobody where it is no part of an image, in
    // another thread or process, or where the domain is another one: that is misuse. The first one
    // that is attached begins the recording.
    static std::optional<Part> attached(std::span<std::byte> memory, Domain domain);

  private:
    bool contains(std::span<const std::byte> memory) const;
    bool begin_recording();

    const std::span<std::byte> memory_;
    const std::span<const std::byte> before_;
    const Domain domain_;
    Run& run_;
    const pid_t process_ = ::getpid();
    const std::thread::id thread_ = std::this_thread::get_id();
    std::optional<Recorder> recorder_;
    std::optional<HookedStores> told_;
    bool refused_ = false;
};

}  // namespace cinnabar::crash
