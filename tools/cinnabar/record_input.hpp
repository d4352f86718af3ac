// Cuts a file or a pipe into records: lines, each with its newline (the last one may lack it), or
// byte strings behind their length as 32 bits, little-endian.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cinnabar/result.hpp"
#include "cinnabar/types.hpp"

namespace cinnabar::tool {

enum class Framing { lines, length_prefixed };

class RecordInput {
  public:
    // `path` "-" is the standard input. Errors: not_found, permission, io.
    static Result<RecordInput> open(const std::string& path, Framing framing,
                                    uint64_t record_bytes_max);
    RecordInput(RecordInput&& other) noexcept;
    RecordInput& operator=(RecordInput&&) = delete;
    ~RecordInput();

    // The next record, valid until the next call; nothing at the end. As soon as a record is whole
    // it is given, so that a pipe is served record by record.
    // Errors: record_too_large, invalid_argument (the end within a record), io.
    Result<std::optional<Bytes>> next();

    // Where the record given last begins in the input, and its number from 1 on.
    uint64_t record_offset_bytes() const { return record_offset_; }
    uint64_t record_number() const { return number_; }
    // Where the record behind it begins.
    uint64_t next_offset_bytes() const { return offset_; }
    const std::string& name() const { return name_; }

  private:
    RecordInput(int descriptor, std::string name, Framing framing, uint64_t record_bytes_max);
    Result<std::optional<Bytes>> next_line();
    Result<std::optional<Bytes>> next_prefixed();
    Result<bool> fill();  // false: the end
    Bytes give(size_t skip, size_t length);
    tl::unexpected<Error> refuse(Errc code, const std::string& what) const;
    size_t held() const { return end_ - begin_; }

    int descriptor_;
    std::string name_;
    Framing framing_;
    uint64_t record_bytes_max_;
    std::vector<std::byte> buffer_;
    size_t begin_ = 0, end_ = 0;  // of what was read and not yet given
    uint64_t offset_ = 0;         // of begin_ in the input
    uint64_t record_offset_ = 0;
    uint64_t number_ = 0;
};

}  // namespace cinnabar::tool
