// CRC32C (Castagnoli, reflected polynomial 0x82F63B78): the checksum of every summed byte on the
// medium. The raw form is used: `crc32c(seed, bytes)` starts from `seed` as it stands and does not
// invert at either end, so that crc32c(crc32c(s, a), b) == crc32c(s, ab).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cinnabar {

// The sum of `length` bytes that follow what `seed` already sums. Picks the fastest path that the
// processor has. Any alignment.
uint32_t crc32c(uint32_t seed, const void* bytes, size_t length);

// The same with the four bytes from kHoleAt on taken as zero, for what holds its own sum there. At
// least 64 bytes.
inline constexpr size_t kHoleAt = 8;
uint32_t crc32c_with_hole(uint32_t seed, const void* bytes, size_t length);

// The paths, apart, so that tests can compare them and benchmarks can name them.
enum class Crc32cPath : uint8_t {
    table,        // portable
    instruction,  // SSE4.2 crc32
    fold512,      // AVX-512 VPCLMULQDQ, with the instruction for short runs and ends
};

bool available(Crc32cPath path);
uint32_t crc32c_by(Crc32cPath path, uint32_t seed, const void* bytes, size_t length);
uint32_t crc32c_with_hole_by(Crc32cPath path, uint32_t seed, const void* bytes, size_t length);

// The path that crc32c() takes here.
Crc32cPath crc32c_path();
std::string_view name_of(Crc32cPath path);

}  // namespace cinnabar
