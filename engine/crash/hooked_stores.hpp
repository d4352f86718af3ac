// In the hook build (sim/hooks.hpp) plain stores to the region are told one by one: each is then a
// unit of its own, in the order of the program, and not one of a bag.
#pragma once

#include <cstddef>
#include <span>

#include "crash/recorder.hpp"
#include "sim/hooks.hpp"

namespace cinnabar::crash {

// While it lives. Does nothing in a program without hooked code.
class HookedStores : public sim::Watcher {
  public:
    HookedStores(std::span<std::byte> memory, Recorder& recorder)
        : memory_(memory), recorder_(recorder) {
        if (sim::hooked()) sim::watch(memory, *this);
    }
    ~HookedStores() override {
        if (sim::hooked()) sim::unwatch();
    }
    HookedStores(const HookedStores&) = delete;
    HookedStores& operator=(const HookedStores&) = delete;

    void before_load(const std::byte*, size_t) override {}
    void before_checksum(const std::byte*, size_t) override {}
    // It is told of before it is made: what can be noticed now is the one before.
    void before_store(std::byte* to, size_t length) override {
        if (!recorder_.is_owner()) return;
        if (length_ != 0) recorder_.notice(offset_, length_, recorder_.place("a plain store"));
        offset_ = static_cast<uint64_t>(to - memory_.data());
        length_ = length;
    }

  private:
    const std::span<std::byte> memory_;
    Recorder& recorder_;
    uint64_t offset_ = 0;
    size_t length_ = 0;
};

}  // namespace cinnabar::crash
