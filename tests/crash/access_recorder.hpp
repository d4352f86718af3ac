// A watcher that keeps what it was told, by bytes and by lines of the region.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "sim/hooks.hpp"

namespace cinnabar::crash_test {

class Recorder : public sim::Watcher {
  public:
    struct Range {
        size_t offset = 0;
        size_t length = 0;
        bool operator==(const Range&) const = default;
    };

    explicit Recorder(std::span<const std::byte> region) : region_(region) {
        sim::watch(region, *this);
    }
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;
    ~Recorder() override { sim::unwatch(); }

    void before_load(const std::byte* from, size_t length) override {
        loads.push_back(range(from, length));
    }
    void before_store(std::byte* to, size_t length) override {
        stores.push_back(range(to, length));
    }
    void before_checksum(const std::byte* from, size_t length) override {
        checksums.push_back(range(from, length));
    }

    // The numbers of what the ranges touch, counted in units of `unit` bytes.
    static std::set<size_t> touched(const std::vector<Range>& ranges, size_t unit) {
        std::set<size_t> numbers;
        for (const Range& one : ranges)
            for (size_t at = one.offset / unit; at <= (one.offset + one.length - 1) / unit; ++at)
                numbers.insert(at);
        return numbers;
    }

    std::vector<Range> loads;
    std::vector<Range> stores;
    std::vector<Range> checksums;

  private:
    Range range(const std::byte* at, size_t length) const {
        return {static_cast<size_t>(at - region_.data()), length};
    }

    std::span<const std::byte> region_;
};

}  // namespace cinnabar::crash_test
