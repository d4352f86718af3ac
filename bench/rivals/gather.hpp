// Records that wait for their force in a buffer of the process, and then go out as one write: what
// a log over files does.
#pragma once

#include <cstring>
#include <vector>

#include "cinnabar/types.hpp"

namespace cinnabar::bench {

class Gather {
  public:
    void add(Bytes record) {
        if (length_ + record.size() > buffer_.size()) buffer_.resize(2 * (length_ + record.size()));
        std::memcpy(buffer_.data() + length_, record.data(), record.size());
        length_ += record.size();
        ++records_;
    }
    void clear() { length_ = records_ = 0; }

    const std::byte* data() const { return buffer_.data(); }
    size_t size() const { return length_; }
    size_t records() const { return records_; }

  private:
    std::vector<std::byte> buffer_;
    size_t length_ = 0;
    size_t records_ = 0;
};

}  // namespace cinnabar::bench
