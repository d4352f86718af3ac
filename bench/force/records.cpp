// What is appended: lengths from a trace or fixed, bytes from a pattern.
#include "force/records.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/check.hpp"

namespace cinnabar::bench {

namespace {

// Words of a pattern: a bijection of (thread, position), so no word comes twice.
uint64_t word_at(unsigned thread, size_t position) {
    uint64_t z = (uint64_t{thread} << 32) + position + 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

std::vector<uint32_t> sample_cycle(const std::vector<uint32_t>& lengths) {
    const size_t cycle = std::min(std::bit_ceil(lengths.size()), kTraceCycle);
    std::vector<uint32_t> sizes(cycle);
    for (size_t i = 0; i < cycle; ++i) {
        sizes[i] = lengths.size() > cycle ? lengths[i * lengths.size() / cycle]
                                          : lengths[i % lengths.size()];
    }
    return sizes;
}

}  // namespace

Result<std::vector<uint32_t>> read_trace(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail(Errc::not_found, "trace " + path + ": " + std::strerror(errno));
    std::vector<uint32_t> lengths;
    std::string line;
    while (std::getline(file, line)) {
        const size_t bytes = line.size() + (file.eof() ? 0 : 1);
        lengths.push_back(
            static_cast<uint32_t>(std::clamp<size_t>(bytes, kRecordBytesMin, kRecordBytesMax)));
    }
    if (file.bad()) return fail(Errc::io, "trace " + path + ": " + std::strerror(errno));
    if (lengths.empty()) return fail(Errc::invalid_argument, "trace " + path + " has no line");
    return sample_cycle(lengths);
}

std::vector<uint32_t> fixed_sizes(uint32_t record_bytes) {
    return std::vector<uint32_t>(kFixedCycle, record_bytes);
}

Records::Records(std::vector<uint32_t> sizes, unsigned threads) : sizes_(std::move(sizes)) {
    CNB_CHECK(std::has_single_bit(sizes_.size()), {"sizes", sizes_.size()});
    CNB_CHECK(threads > 0 && threads <= kThreadsMax, {"threads", threads});
    mask_ = sizes_.size() - 1;
    uint64_t sum = 0;
    for (uint32_t bytes : sizes_) {
        CNB_CHECK(bytes >= kRecordBytesMin && bytes <= kRecordBytesMax, {"bytes", bytes});
        bytes_max_ = std::max(bytes_max_, bytes);
        sum += bytes;
    }
    bytes_mean_ = static_cast<double>(sum) / static_cast<double>(sizes_.size());
    const size_t words = (sizes_.size() * kStep + bytes_max_ + 7) / 8;
    for (unsigned thread = 0; thread < threads; ++thread) {
        auto& pattern = patterns_.emplace_back(words);
        for (size_t i = 0; i < words; ++i) pattern[i] = word_at(thread, i);
        for (size_t place = 0; place < sizes_.size(); ++place) {
            names_[pattern[place * kStep / 8]] = {thread, place};
        }
    }
}

bool Records::name_of(const std::byte* stored, Name& name) const {
    uint64_t word;
    std::memcpy(&word, stored, sizeof word);
    const auto found = names_.find(word);
    if (found == names_.end()) return false;
    name = found->second;
    return true;
}

}  // namespace cinnabar::bench
