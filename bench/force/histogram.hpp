// A log-linear histogram of nanoseconds. Values below 64 have a bucket each; above, every power of
// two is cut into 32 buckets, so a value read back is at most 1/32 above the value put in, and
// never below it. Fixed size and trivially copyable: it travels between processes as it is.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace cinnabar::bench {

class Histogram {
  public:
    static constexpr unsigned kSubBits = 5;
    static constexpr unsigned kTopBits = 40;  // 2^40 ns are eighteen minutes; longer ones are cut
    static constexpr uint64_t kLargest = (uint64_t{1} << kTopBits) - 1;
    static constexpr size_t kBuckets = size_t{kTopBits - kSubBits + 1} << kSubBits;
    static constexpr double kRelativeErrorMax = 1.0 / (1 << kSubBits);

    void add(uint64_t value) {
        ++count_[bucket_of(std::min(value, kLargest))];
        ++samples_;
    }

    void merge(const Histogram& other) {
        for (size_t i = 0; i < kBuckets; ++i) count_[i] += other.count_[i];
        samples_ += other.samples_;
    }

    uint64_t samples() const { return samples_; }

    // The smallest recorded value that at least `fraction` of the samples do not exceed, rounded up
    // to the end of its bucket. 0 where nothing was recorded.
    uint64_t percentile(double fraction) const {
        const auto wanted = static_cast<uint64_t>(
            std::ceil(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(samples_)));
        const uint64_t rank = std::max<uint64_t>(wanted, 1);
        uint64_t seen = 0;
        for (size_t i = 0; i < kBuckets; ++i) {
            seen += count_[i];
            if (seen >= rank) return last_value_of(i);
        }
        return 0;
    }

    static constexpr size_t bucket_of(uint64_t value) {
        const unsigned width = static_cast<unsigned>(std::bit_width(value));
        if (width <= kSubBits + 1) return static_cast<size_t>(value);
        const unsigned shift = width - kSubBits - 1;
        return (size_t{shift} << kSubBits) + static_cast<size_t>(value >> shift);
    }

    static constexpr uint64_t last_value_of(size_t bucket) {
        if (bucket < size_t{2} << kSubBits) return bucket;
        const size_t shift = (bucket >> kSubBits) - 1;
        const uint64_t head = bucket - (shift << kSubBits);
        return ((head + 1) << shift) - 1;
    }

  private:
    std::array<uint64_t, kBuckets> count_ = {};
    uint64_t samples_ = 0;
};

}  // namespace cinnabar::bench
