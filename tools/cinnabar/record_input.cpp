#include "record_input.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "output.hpp"

namespace cinnabar::tool {

namespace {

constexpr size_t kPrefixBytes = 4;
constexpr size_t kReadBytes = size_t{1} << 18;

}  // namespace

RecordInput::RecordInput(int descriptor, std::string name, Framing framing,
                         uint64_t record_bytes_max)
    : descriptor_(descriptor),
      name_(std::move(name)),
      framing_(framing),
      record_bytes_max_(record_bytes_max),
      buffer_(kReadBytes) {}

RecordInput::RecordInput(RecordInput&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      name_(std::move(other.name_)),
      framing_(other.framing_),
      record_bytes_max_(other.record_bytes_max_),
      buffer_(std::move(other.buffer_)) {}

RecordInput::~RecordInput() {
    if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
}

Result<RecordInput> RecordInput::open(const std::string& path, Framing framing,
                                      uint64_t record_bytes_max) {
    if (path == "-")
        return RecordInput(STDIN_FILENO, "the standard input", framing, record_bytes_max);
    const std::string name = "'" + path + "'";
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        const Errc code = errno == ENOENT || errno == ENOTDIR ? Errc::not_found
                          : errno == EACCES                   ? Errc::permission
                                                              : Errc::io;
        return fail(code, "cannot read " + name + ": " + std::strerror(errno));
    }
    return RecordInput(descriptor, name, framing, record_bytes_max);
}

Result<std::optional<Bytes>> RecordInput::next() {
    record_offset_ = offset_;
    ++number_;
    return framing_ == Framing::lines ? next_line() : next_prefixed();
}

Result<std::optional<Bytes>> RecordInput::next_line() {
    size_t seen = 0;
    for (;;) {
        const auto* newline = static_cast<const std::byte*>(
            std::memchr(&buffer_[begin_] + seen, '\n', held() - seen));
        const size_t length =
            newline ? static_cast<size_t>(newline - &buffer_[begin_]) + 1 : held();
        if (length > record_bytes_max_)
            return refuse(Errc::record_too_large,
                          "is longer than the " + size_text(record_bytes_max_) +
                              " that a record of this pool may have; create a pool with larger "
                              "segments");
        if (newline) return give(0, length);
        seen = held();
        auto more = fill();
        if (!more) return fail(std::move(more.error()));
        if (!*more) return held() == 0 ? std::optional<Bytes>() : give(0, held());
    }
}

Result<std::optional<Bytes>> RecordInput::next_prefixed() {
    size_t wanted = kPrefixBytes;
    for (;;) {
        if (held() >= kPrefixBytes) {
            size_t length = 0;
            for (size_t i = 0; i < kPrefixBytes; ++i)
                length |= std::to_integer<size_t>(buffer_[begin_ + i]) << (8 * i);
            if (length > record_bytes_max_)
                return refuse(Errc::record_too_large, "says a length of " + size_text(length) +
                                                          "; a record of this pool may have " +
                                                          size_text(record_bytes_max_));
            wanted = kPrefixBytes + length;
            if (held() >= wanted) return give(kPrefixBytes, length);
        }
        auto more = fill();
        if (!more) return fail(std::move(more.error()));
        if (*more) continue;
        if (held() == 0) return std::optional<Bytes>();
        return refuse(
            Errc::invalid_argument,
            "is cut off: the input ends after " + std::to_string(held()) + " of its " +
                (held() < kPrefixBytes ? "4 length bytes" : std::to_string(wanted) + " bytes"));
    }
}

Result<bool> RecordInput::fill() {
    if (begin_ != 0) {
        std::memmove(buffer_.data(), &buffer_[begin_], held());
        end_ -= begin_;
        begin_ = 0;
    }
    // One byte more than is used stays, so that the address behind the data is one of the buffer.
    if (buffer_.size() - end_ < kReadBytes / 2) buffer_.resize(buffer_.size() * 2);
    for (;;) {
        const ssize_t n = ::read(descriptor_, &buffer_[end_], buffer_.size() - end_ - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(Errc::io, "cannot read " + name_ + ": " + std::strerror(errno));
        end_ += static_cast<size_t>(n);
        return n > 0;
    }
}

Bytes RecordInput::give(size_t skip, size_t length) {
    const Bytes record(&buffer_[begin_] + skip, length);
    begin_ += skip + length;
    offset_ += skip + length;
    return record;
}

tl::unexpected<Error> RecordInput::refuse(Errc code, const std::string& what) const {
    return fail(code, "record " + std::to_string(number_) + " of " + name_ + ", from byte " +
                          std::to_string(record_offset_) + " on, " + what);
}

}  // namespace cinnabar::tool
