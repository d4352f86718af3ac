// One thread's part of an area that is filled from its start, and from its start again when it is
// full: the bookkeeping that the linear engines share, and the proof of what they stored.
#pragma once

#include <cstdint>

#include "cinnabar/result.hpp"
#include "force/records.hpp"

namespace cinnabar::bench {

// What an engine puts around a record.
struct Framing {
    uint32_t header_bytes = 0;
    uint32_t align_bytes = 1;

    constexpr uint64_t framed(uint64_t record_bytes) const {
        return (header_bytes + record_bytes + align_bytes - 1) / align_bytes * align_bytes;
    }
};

class Lane {
  public:
    Lane() = default;
    Lane(uint64_t begin, uint64_t capacity) : begin_(begin), capacity_(capacity) {}

    // Space for records of `bytes` in all, framing included: its offset in the area. Starts over
    // when the end would be passed.
    uint64_t take(uint64_t bytes, uint64_t records = 1) {
        if (position_ + bytes > capacity_) [[unlikely]]
            rewind();
        const uint64_t offset = begin_ + position_;
        position_ += bytes;
        index_ += records;
        return offset;
    }

    void rewind() {
        position_ = 0;
        first_index_ = index_;
    }
    // Between slices: a lane with less than a quarter left starts over.
    void make_room() {
        if (left() < capacity_ / 4) rewind();
    }

    uint64_t begin() const { return begin_; }
    uint64_t capacity() const { return capacity_; }
    uint64_t left() const { return capacity_ - position_; }
    uint64_t first_index() const { return first_index_; }
    uint64_t next_index() const { return index_; }

  private:
    uint64_t begin_ = 0;
    uint64_t capacity_ = 0;
    uint64_t position_ = 0;
    uint64_t first_index_ = 0;  // of the record at the start
    uint64_t index_ = 0;        // of the next one
};

// The part of `area_bytes` that thread `thread` of `threads` gets, page aligned.
// Error: disk_full, if a cell's greatest group would not fit four times.
Result<Lane> lane_of(uint64_t area_bytes, unsigned thread, unsigned threads, uint64_t group_bytes);

// Compares what a lane should hold with `area`, read anew. Error: corrupt, naming the first record
// that differs.
Result<void> verify_lane(const Lane& lane, const Records& records, unsigned thread,
                         const Framing& framing, const std::byte* area);

}  // namespace cinnabar::bench
