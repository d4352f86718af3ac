// Numbers and texts as bytes, from one process to another of the same program.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace cinnabar::crash {

class MessageWriter {
  public:
    MessageWriter& add(uint64_t number) {
        bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
        return *this;
    }
    MessageWriter& add(std::string_view text) {
        add(uint64_t{text.size()});
        bytes_.append(text);
        return *this;
    }
    const std::string& bytes() const { return bytes_; }

  private:
    std::string bytes_;
};

// Takes them in the order in which they were added; what is not there is 0, or empty.
class MessageReader {
  public:
    explicit MessageReader(std::string_view bytes) : bytes_(bytes) {}

    uint64_t number() {
        uint64_t number = 0;
        const std::string_view taken = take(sizeof number);
        std::memcpy(&number, taken.data(), taken.size());
        return number;
    }
    std::string text() { return std::string(take(number())); }

  private:
    std::string_view take(uint64_t length) {
        const std::string_view taken = bytes_.substr(0, length);
        bytes_.remove_prefix(taken.size());
        return taken;
    }

    std::string_view bytes_;
};

}  // namespace cinnabar::crash
