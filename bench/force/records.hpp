// What is appended: the same records for every engine. A record's length and bytes depend on its
// thread and its index alone, so nothing is written into a record inside the timed loop, and what
// lies on the medium afterwards can be told byte for byte.
//
// The lengths form a cycle of a power of two. Record i starts 64 * (i mod cycle) bytes into its
// thread's pattern of words that never repeat; its first word names thread and place in the cycle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "cinnabar/result.hpp"

namespace cinnabar::bench {

inline constexpr uint32_t kRecordBytesMin = 8;  // the first word is a record's name
inline constexpr uint32_t kRecordBytesMax = 64 * 1024;
inline constexpr size_t kFixedCycle = 64;
inline constexpr size_t kTraceCycle = 1024;
inline constexpr unsigned kThreadsMax = 256;

// Lengths of the lines of a file, newline counted, at most kTraceCycle of them taken at even
// distances and in order, repeated up to a power of two. Lines outside [kRecordBytesMin,
// kRecordBytesMax] count as the nearer end.
Result<std::vector<uint32_t>> read_trace(const std::string& path);

std::vector<uint32_t> fixed_sizes(uint32_t record_bytes);

class Records {
  public:
    Records() = default;
    // `sizes`: a power of two of them, each within the limits above.
    Records(std::vector<uint32_t> sizes, unsigned threads);

    Bytes at(unsigned thread, uint64_t index) const {
        const size_t place = static_cast<size_t>(index) & mask_;
        return {reinterpret_cast<const std::byte*>(patterns_[thread].data()) + place * kStep,
                sizes_[place]};
    }

    size_t cycle() const { return sizes_.size(); }
    uint32_t bytes_max() const { return bytes_max_; }
    double bytes_mean() const { return bytes_mean_; }
    unsigned threads() const { return static_cast<unsigned>(patterns_.size()); }
    const std::vector<uint32_t>& sizes() const { return sizes_; }

    // The thread and the place in the cycle that a stored record names; false for no record.
    struct Name {
        unsigned thread = 0;
        size_t place = 0;
    };
    bool name_of(const std::byte* stored, Name& name) const;

  private:
    static constexpr size_t kStep = 64;

    std::vector<uint32_t> sizes_;
    size_t mask_ = 0;
    uint32_t bytes_max_ = 0;
    double bytes_mean_ = 0;
    std::vector<std::vector<uint64_t>> patterns_;
    std::unordered_map<uint64_t, Name> names_;
};

}  // namespace cinnabar::bench
