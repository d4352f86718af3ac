#include "sim/image.hpp"

#include <cstring>

#include "base/check.hpp"

namespace cinnabar::sim {

namespace {

constexpr size_t kPageBytes = 4096;

constexpr uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

// Odd, one for each word of a line.
constexpr Line kFactors = [] {
    Line factors = {};
    for (size_t word = 0; word < kWordsPerLine; ++word) factors[word] = mix(word + 1) | 1;
    return factors;
}();

uint64_t hash_of(uint64_t line, const Line& value) {
    uint64_t sum = mix(line + 1);
    for (size_t word = 0; word < kWordsPerLine; ++word) sum += value[word] * kFactors[word];
    return mix(sum);
}

std::byte* allocate(size_t bytes) {
    CNB_CHECK(bytes > 0 && bytes % kPageBytes == 0, {"bytes", bytes});
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(kPageBytes, bytes));
    CNB_CHECK(memory != nullptr, {"bytes", bytes});
    return memory;
}

}  // namespace

uint64_t hash_of(std::span<const std::byte> image) {
    uint64_t sum = 0;
    for (uint64_t line = 0; line < image.size() / kLineBytes; ++line)
        sum ^= hash_of(line, line_at(image, line));
    return sum;
}

Image::Image(size_t bytes)
    : owned_image_(allocate(bytes)),
      owned_work_(allocate(bytes)),
      image_(owned_image_.get(), bytes),
      work_(owned_work_.get(), bytes) {}

Image::Image(std::span<std::byte> memory) : image_(memory) {}

void Image::begin(std::span<const std::byte> live, const PendingLines& pending) {
    CNB_CHECK(live.size() == image_.size(), {"live", live.size()}, {"image", image_.size()});
    std::memcpy(image_.data(), live.data(), live.size());
    for (const auto& [line, stores] : pending) put_line(image_, line, stores.durable);
    if (!work_.empty()) std::memcpy(work_.data(), image_.data(), image_.size());
    stored_.clear();
    hash_ = hash_of(image_);
}

void Image::put(uint64_t line, const Line& value) {
    const Line before = line_at(image(), line);
    if (before == value) return;
    hash_ ^= hash_of(line, before) ^ hash_of(line, value);
    put_line(image_, line, value);
    if (!work_.empty()) put_line(work_, line, value);
}

void Image::stored(uint64_t offset, size_t length) {
    for (uint64_t line = offset / kLineBytes; line * kLineBytes < offset + length; ++line)
        stored_.push_back(line);
}

void Image::undo() {
    for (const uint64_t line : stored_) put_line(bytes(), line, line_at(image(), line));
    stored_.clear();
}

}  // namespace cinnabar::sim
