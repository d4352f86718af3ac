// In the hook build (sim/hooks.hpp) plain stores to the region are told one by one: each is then a
// unit of its own, in the order of the program, and not one of a bag.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

#include "crash/code_place.hpp"
#include "crash/recorder.hpp"
#include "sim/hooks.hpp"

namespace cinnabar::crash {

// While it lives, of `memory`, where the recorder's region, from `offset` on, is mapped. Does
// nothing in a program without hooked code.
class HookedStores : public sim::Watcher {
  public:
    HookedStores(std::span<const std::byte> memory, uint64_t offset, Recorder& recorder)
        : memory_(memory), begin_(offset), recorder_(recorder) {
        if (!sim::hooked()) return;
        recorder_.before_notice([this] { tell(); });
        sim::watch(memory, *this);
    }
    ~HookedStores() override {
        if (!sim::hooked()) return;
        sim::unwatch();
        recorder_.before_notice(nullptr);
    }
    HookedStores(const HookedStores&) = delete;
    HookedStores& operator=(const HookedStores&) = delete;

    void before_load(const std::byte*, size_t) override {}
    void before_checksum(const std::byte*, size_t) override {}
    // It is told of before it is made: what can be told now is the one before.
    void before_store(std::byte* to, size_t length) override {
        if (!recorder_.is_owner()) return;
        tell();
        offset_ = begin_ + static_cast<uint64_t>(to - memory_.data());
        length_ = length;
        behind_ = sim::behind_access();
    }

  private:
    void tell() {
        if (length_ == 0) return;
        recorder_.stored_plainly(offset_, length_, place_of(behind_));
        length_ = 0;
    }
    Site place_of(const void* behind) {
        const auto [known, is_new] = places_.try_emplace(behind, Site::none);
        if (is_new) known->second = recorder_.place("plain store at " + code_place(behind).text());
        return known->second;
    }

    const std::span<const std::byte> memory_;
    const uint64_t begin_;
    Recorder& recorder_;
    // Of a store that is not told yet; of length 0: there is none.
    uint64_t offset_ = 0;
    size_t length_ = 0;
    const void* behind_ = nullptr;
    std::map<const void*, Site> places_;
};

}  // namespace cinnabar::crash
