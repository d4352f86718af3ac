// CRC32C by table, by the SSE4.2 instruction and by folding 512 bits at a time.
//
// The mathematics. Bits are coefficients of polynomials over GF(2), reflected: the first bit of a
// run of bytes (bit 0 of byte 0) is its highest power. In a 32-bit word bit i is x^(31-i), in a
// 64-bit word x^(63-i), and so on. Then, for a message M of n bits and a seed s,
//
//     crc(s, M) = (s * x^n + M * x^32) mod P
//
// Three facts carry everything below.
//   1. A seed is the same as an exclusive-or into the first four bytes of the message.
//   2. A carry-less product of an a-bit and a b-bit word has a+b-1 bits. Read as a reflected word
//      of a+b bits it is the product times x, so a constant that shall multiply by x^e holds
//      x^(e-1).
//   3. The crc32 instruction on a 64-bit word w with a zero start gives w * x^32 mod P: it is also
//      the reduction modulo P of anything we keep in unreduced form.
//
// Folding keeps a word A that stands for the sum of all bytes so far, unreduced. To append D bits,
// A must be multiplied by x^D. A 128-bit A = H * x^64 + L (H is the word at the lower address) is
// congruent to H * (x^(D+64) mod P) + L * (x^D mod P): two carry-less products of 64 by 32 bits,
// whose result fits 128 bits again. A 512-bit register does that in four lanes at once; lane by
// lane with the same constants when D is a whole register or more, and with D = 384, 256, 128 in
// the end, to bring the four lanes together.
#include "base/crc32c.hpp"

#include <immintrin.h>

#include <array>
#include <atomic>
#include <cstring>

#include "base/check.hpp"

// g++ 12 takes the undefined pass-through operands inside its own intrinsics for a mistake of ours.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

// In the hook build (sim/hooks.hpp) a sum is told of as a whole, and this file is compiled plain.
#ifdef CINNABAR_HOOKS
extern "C" void cinnabar_before_checksum(const void* bytes, size_t length);
#define CINNABAR_ANNOUNCE(bytes, length) cinnabar_before_checksum(bytes, length)
#else
#define CINNABAR_ANNOUNCE(bytes, length)
#endif

#define CINNABAR_INSTRUCTION __attribute__((target("sse4.2,pclmul")))
#define CINNABAR_FOLD512 __attribute__((target("sse4.2,pclmul,avx512f,avx512vl,vpclmulqdq")))

namespace cinnabar {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;

constexpr size_t kHoleLeast = 64;

constexpr uint32_t times_x(uint32_t a) {
    return (a >> 1) ^ ((a & 1) != 0 ? kPolynomial : 0);
}

// x^n mod P.
constexpr uint32_t x_to_the(unsigned n) {
    uint32_t power = 0x80000000;
    for (; n != 0; --n) power = times_x(power);
    return power;
}

// --- table ---------------------------------------------------------------------------------------

constexpr std::array<uint32_t, 256> make_table() {
    std::array<uint32_t, 256> table = {};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t sum = byte;
        for (int bit = 0; bit < 8; ++bit) sum = times_x(sum);
        table[byte] = sum;
    }
    return table;
}

constexpr std::array<uint32_t, 256> kTable = make_table();

uint32_t by_table(uint32_t sum, const std::byte* p, size_t length) {
    for (const std::byte* end = p + length; p != end; ++p)
        sum = (sum >> 8) ^ kTable[(sum ^ static_cast<uint32_t>(*p)) & 0xFF];
    return sum;
}

// --- instruction ---------------------------------------------------------------------------------

template <class Word>
Word load(const std::byte* p) {
    Word word;
    std::memcpy(&word, p, sizeof word);
    return word;
}

// The sum travels in 64 bits, as the instruction gives it: a cut to 32 between two of them would
// add a cycle to a chain of three.
CINNABAR_INSTRUCTION inline uint64_t add_word(uint64_t sum, uint64_t word) {
    return _mm_crc32_u64(sum, word);
}

// One stream: three cycles for 8 bytes, the latency of the instruction.
CINNABAR_INSTRUCTION inline uint32_t by_words(uint64_t start, const std::byte* p, size_t length) {
    for (; length >= 8; p += 8, length -= 8) start = add_word(start, load<uint64_t>(p));
    uint32_t sum = static_cast<uint32_t>(start);
    if ((length & 4) != 0) {
        sum = _mm_crc32_u32(sum, load<uint32_t>(p));
        p += 4;
    }
    if ((length & 2) != 0) {
        sum = _mm_crc32_u16(sum, load<uint16_t>(p));
        p += 2;
    }
    if ((length & 1) != 0) sum = _mm_crc32_u8(sum, load<uint8_t>(p));
    return sum;
}

// sum * x^(8 * kBytes) mod P: what `kBytes` zero bytes would make of it. Fact 2 costs one power of
// the constant, fact 3 another 32.
template <unsigned kBytes>
CINNABAR_INSTRUCTION inline uint64_t shifted(uint64_t sum) {
    constexpr uint32_t kFactor = x_to_the(8 * kBytes - 33);
    const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(sum)),
                                                 _mm_cvtsi32_si128(static_cast<int>(kFactor)), 0);
    return add_word(0, static_cast<uint64_t>(_mm_cvtsi128_si64(product)));
}

// Three streams side by side hide the latency. They lie close together, so that the three still
// look like one ascending read to the prefetcher.
constexpr unsigned kStreamBytes = 256;

CINNABAR_INSTRUCTION uint32_t by_instruction(uint32_t seed, const std::byte* p, size_t length) {
    uint64_t sum = seed;
    for (; length >= 3 * kStreamBytes; p += 3 * kStreamBytes, length -= 3 * kStreamBytes) {
        uint64_t second = 0;
        uint64_t third = 0;
        for (unsigned i = 0; i < kStreamBytes; i += 8) {
            sum = add_word(sum, load<uint64_t>(p + i));
            second = add_word(second, load<uint64_t>(p + kStreamBytes + i));
            third = add_word(third, load<uint64_t>(p + 2 * kStreamBytes + i));
        }
        sum = shifted<2 * kStreamBytes>(sum) ^ shifted<kStreamBytes>(second) ^ third;
    }
    return by_words(sum, p, length);
}

// --- fold512 -------------------------------------------------------------------------------------

// The two factors of a lane that moves on by `bits`: {for its low word, for its high word}. A
// remainder of 32 bits stands in the upper half of a reflected 64-bit word.
struct Factors {
    long long low;
    long long high;
};

constexpr Factors factors(unsigned bits) {
    return {static_cast<long long>(uint64_t{x_to_the(bits + 63)} << 32),
            static_cast<long long>(uint64_t{x_to_the(bits - 1)} << 32)};
}

template <unsigned kBits>
CINNABAR_FOLD512 inline __m512i all_lanes() {
    constexpr Factors kF = factors(kBits);
    return _mm512_set_epi64(kF.high, kF.low, kF.high, kF.low, kF.high, kF.low, kF.high, kF.low);
}

// a * x^D + b, with the factors for D.
CINNABAR_FOLD512 inline __m512i fold(__m512i a, __m512i factors_of_d, __m512i b) {
    constexpr int kXorOfThree = 0x96;
    return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(a, factors_of_d, 0x00),
                                     _mm512_clmulepi64_epi128(a, factors_of_d, 0x11), b,
                                     kXorOfThree);
}

// a * x^32 mod P. Lanes 0 to 2 move up to lane 3; the instruction reduces what is left.
CINNABAR_FOLD512 inline uint64_t reduced(__m512i a) {
    constexpr Factors kF0 = factors(384);
    constexpr Factors kF1 = factors(256);
    constexpr Factors kF2 = factors(128);
    const __m512i up =
        _mm512_set_epi64(0, 0, kF2.high, kF2.low, kF1.high, kF1.low, kF0.high, kF0.low);
    const __m512i lanes = fold(a, up, _mm512_maskz_mov_epi64(0xC0, a));
    const __m256i two =
        _mm256_xor_si256(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));
    const __m128i one =
        _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
    const uint64_t sum = add_word(0, static_cast<uint64_t>(_mm_cvtsi128_si64(one)));
    return add_word(sum, static_cast<uint64_t>(_mm_extract_epi64(one, 1)));
}

// Folding wins from one register on (bench/micro: crc32c); from four on, four of them hide its
// latency.
template <bool kHole>
CINNABAR_FOLD512 inline uint32_t fold_all(uint32_t seed, const std::byte* p, size_t length) {
    constexpr __mmask16 kWords = kHole ? 0xFFFF & ~(1u << (kHoleAt / 4)) : 0xFFFF;
    const std::byte* const end = p + length;
    const __m512i start = _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(seed)));
    __m512i a = _mm512_xor_si512(_mm512_maskz_loadu_epi32(kWords, p), start);
    const __m512i by_one = all_lanes<512>();
    if (length >= 256) {
        __m512i b = _mm512_loadu_si512(p + 64);
        __m512i c = _mm512_loadu_si512(p + 128);
        __m512i d = _mm512_loadu_si512(p + 192);
        const __m512i by_four = all_lanes<4 * 512>();
        for (p += 256; end - p >= 256; p += 256) {
            a = fold(a, by_four, _mm512_loadu_si512(p));
            b = fold(b, by_four, _mm512_loadu_si512(p + 64));
            c = fold(c, by_four, _mm512_loadu_si512(p + 128));
            d = fold(d, by_four, _mm512_loadu_si512(p + 192));
        }
        a = fold(fold(a, by_one, b), all_lanes<2 * 512>(), fold(c, by_one, d));
    } else {
        p += 64;
    }
    for (; end - p >= 64; p += 64) a = fold(a, by_one, _mm512_loadu_si512(p));
    return by_words(reduced(a), p, static_cast<size_t>(end - p));
}

CINNABAR_FOLD512 uint32_t by_fold512(uint32_t seed, const std::byte* p, size_t length) {
    return length < 64 ? by_words(seed, p, length) : fold_all<false>(seed, p, length);
}

CINNABAR_FOLD512 uint32_t by_fold512_with_hole(uint32_t seed, const std::byte* p, size_t length) {
    return fold_all<true>(seed, p, length);
}

// --- with a hole, otherwise ----------------------------------------------------------------------

template <uint32_t (*kSum)(uint32_t, const std::byte*, size_t)>
uint32_t around_hole(uint32_t seed, const std::byte* p, size_t length) {
    std::array<std::byte, kHoleLeast> first;
    std::memcpy(first.data(), p, first.size());
    std::memset(&first[kHoleAt], 0, sizeof(uint32_t));
    return kSum(kSum(seed, first.data(), first.size()), p + first.size(), length - first.size());
}

// --- choice --------------------------------------------------------------------------------------

using Sum = uint32_t (*)(uint32_t, const std::byte*, size_t);

struct Path {
    Sum whole;
    Sum with_hole;
};

Path functions_of(Crc32cPath path) {
    switch (path) {
        case Crc32cPath::table: break;
        case Crc32cPath::instruction: return {by_instruction, around_hole<by_instruction>};
        case Crc32cPath::fold512: return {by_fold512, by_fold512_with_hole};
    }
    return {by_table, around_hole<by_table>};
}

// Each starts at a function that puts the right one here: no order of static initialisation
// matters.
uint32_t choose_and_sum(uint32_t seed, const std::byte* p, size_t length);
uint32_t choose_and_sum_with_hole(uint32_t seed, const std::byte* p, size_t length);
constinit std::atomic<Sum> chosen = choose_and_sum;
constinit std::atomic<Sum> chosen_with_hole = choose_and_sum_with_hole;

uint32_t choose_and_sum(uint32_t seed, const std::byte* p, size_t length) {
    const Sum sum = functions_of(crc32c_path()).whole;
    chosen.store(sum, std::memory_order_relaxed);
    return sum(seed, p, length);
}

uint32_t choose_and_sum_with_hole(uint32_t seed, const std::byte* p, size_t length) {
    const Sum sum = functions_of(crc32c_path()).with_hole;
    chosen_with_hole.store(sum, std::memory_order_relaxed);
    return sum(seed, p, length);
}

}  // namespace

uint32_t crc32c(uint32_t seed, const void* bytes, size_t length) {
    CINNABAR_ANNOUNCE(bytes, length);
    return chosen.load(std::memory_order_relaxed)(seed, static_cast<const std::byte*>(bytes),
                                                  length);
}

uint32_t crc32c_with_hole(uint32_t seed, const void* bytes, size_t length) {
    CNB_CHECK(length >= kHoleLeast, {"length", length});
    CINNABAR_ANNOUNCE(bytes, length);
    return chosen_with_hole.load(std::memory_order_relaxed)(
        seed, static_cast<const std::byte*>(bytes), length);
}

bool available(Crc32cPath path) {
    __builtin_cpu_init();
    const bool instruction = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
    switch (path) {
        case Crc32cPath::table: return true;
        case Crc32cPath::instruction: return instruction;
        case Crc32cPath::fold512:
            return instruction && __builtin_cpu_supports("avx512f") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("bmi2");
    }
    return false;
}

uint32_t crc32c_by(Crc32cPath path, uint32_t seed, const void* bytes, size_t length) {
    CNB_CHECK(available(path), {"path", static_cast<uint64_t>(path)});
    return functions_of(path).whole(seed, static_cast<const std::byte*>(bytes), length);
}

uint32_t crc32c_with_hole_by(Crc32cPath path, uint32_t seed, const void* bytes, size_t length) {
    CNB_CHECK(available(path), {"path", static_cast<uint64_t>(path)});
    CNB_CHECK(length >= kHoleLeast, {"length", length});
    return functions_of(path).with_hole(seed, static_cast<const std::byte*>(bytes), length);
}

Crc32cPath crc32c_path() {
    if (available(Crc32cPath::fold512)) return Crc32cPath::fold512;
    if (available(Crc32cPath::instruction)) return Crc32cPath::instruction;
    return Crc32cPath::table;
}

std::string_view name_of(Crc32cPath path) {
    switch (path) {
        case Crc32cPath::table: return "table";
        case Crc32cPath::instruction: return "instruction";
        case Crc32cPath::fold512: return "fold512";
    }
    return "unknown";
}

}  // namespace cinnabar
