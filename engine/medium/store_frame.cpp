// The forms of store_frame. All keep the sum in one unreduced line: a line S stands for all lines
// so far, and the next line N makes it (S * x^512 + N) modulo the polynomial, which is the fold
// that base/crc32c.cpp explains. How wide the multiplication is, is all that sets the forms apart.
#include "medium/store_frame.hpp"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.hpp"
#include "format/layout.hpp"

// g++ 12 takes the undefined pass-through operands inside its own intrinsics for a mistake of ours.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define CINNABAR_FOLD128 __attribute__((target("pclmul")))
#define CINNABAR_FOLD512 \
    __attribute__((target("sse4.2,pclmul,avx512f,avx512bw,avx512vl,vpclmulqdq,bmi2")))

namespace cinnabar::medium {
namespace {

using format::kLineBytes;

constexpr size_t kBeside = kLineBytes - sizeof(FrameWords);  // payload bytes of the first line
constexpr uint64_t kAboveChecksum = ~uint64_t{0xFFFFFFFF};

struct alignas(kLineBytes) Line {
    std::array<uint64_t, 8> word = {};
};

// x^n mod P, in the upper half of a reflected 64-bit word.
consteval long long factor(unsigned n) {
    uint32_t power = 0x80000000;
    for (; n != 0; --n) power = (power >> 1) ^ ((power & 1) != 0 ? 0x82F63B78 : 0);
    return static_cast<long long>(uint64_t{power} << 32);
}

// They move 128 bits on by so many; a carry-less product adds the missing power of x.
consteval long long low_factor(unsigned bits) {
    return factor(bits + 64 - 1);
}
consteval long long high_factor(unsigned bits) {
    return factor(bits - 1);
}
constexpr long long kLowFactor = low_factor(512);
constexpr long long kHighFactor = high_factor(512);

// --- the forms: sum and store whole lines, each byte loaded once ---------------------------------

// A compiler may load memory again instead of keeping what it loaded. Behind this it cannot: the
// value may have changed, for all it knows.
#define CINNABAR_KEEP(loaded) asm volatile("" : "+v"(loaded))

inline __m128i load_quarter(const std::byte* from) {
    __m128i quarter = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    CINNABAR_KEEP(quarter);
    return quarter;
}

template <StoreKind kKind>
inline void put(std::byte* to, __m128i quarter) {
    if constexpr (kKind == StoreKind::non_temporal)
        _mm_stream_si128(reinterpret_cast<__m128i*>(to), quarter);
    else
        _mm_store_si128(reinterpret_cast<__m128i*>(to), quarter);
}

template <StoreKind kKind>
inline void put(std::byte* to, const Line& line) {
    const auto* quarter = reinterpret_cast<const __m128i*>(&line);
    for (size_t i = 0; i < 4; ++i) put<kKind>(to + 16 * i, _mm_load_si128(quarter + i));
}

struct Portable {
    template <StoreKind kKind>
    static void put_lines(Line& sum, std::byte* to, const std::byte* from, size_t lines) {
        for (; lines != 0; --lines, to += kLineBytes, from += kLineBytes) {
            Line line;
            std::memcpy(&line, from, sizeof line);
            asm volatile("" : "+m"(line));  // as CINNABAR_KEEP
            put<kKind>(to, line);
            line.word[0] ^= crc32c(0, &sum, sizeof sum);
            sum = line;
        }
    }
};

CINNABAR_FOLD128 inline __m128i fold(__m128i sum, __m128i next) {
    const __m128i by = _mm_set_epi64x(kHighFactor, kLowFactor);
    return _mm_xor_si128(
        _mm_xor_si128(_mm_clmulepi64_si128(sum, by, 0x00), _mm_clmulepi64_si128(sum, by, 0x11)),
        next);
}

// The quarters are named one by one: an array of them would live on the stack, and its stores would
// stand in the same queue as those of the frame.
struct Fold128 {
    template <StoreKind kKind>
    CINNABAR_FOLD128 static void put_lines(Line& sum, std::byte* to, const std::byte* from,
                                           size_t lines) {
        auto* const kept = reinterpret_cast<__m128i*>(&sum);
        __m128i sum0 = kept[0];
        __m128i sum1 = kept[1];
        __m128i sum2 = kept[2];
        __m128i sum3 = kept[3];
        for (; lines != 0; --lines, to += kLineBytes, from += kLineBytes) {
            const __m128i line0 = load_quarter(from);
            const __m128i line1 = load_quarter(from + 16);
            const __m128i line2 = load_quarter(from + 32);
            const __m128i line3 = load_quarter(from + 48);
            put<kKind>(to, line0);
            put<kKind>(to + 16, line1);
            put<kKind>(to + 32, line2);
            put<kKind>(to + 48, line3);
            sum0 = fold(sum0, line0);
            sum1 = fold(sum1, line1);
            sum2 = fold(sum2, line2);
            sum3 = fold(sum3, line3);
        }
        kept[0] = sum0;
        kept[1] = sum1;
        kept[2] = sum2;
        kept[3] = sum3;
    }
};

template <StoreKind kKind>
CINNABAR_FOLD512 inline void put(std::byte* to, __m512i line) {
    if constexpr (kKind == StoreKind::non_temporal)
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to), line);
    else
        _mm512_store_si512(to, line);
}

CINNABAR_FOLD512 inline __m512i load_line(const std::byte* from) {
    __m512i line = _mm512_loadu_si512(from);
    CINNABAR_KEEP(line);
    return line;
}

CINNABAR_FOLD512 inline __m512i fold(__m512i sum, __m512i by, __m512i next) {
    constexpr int kXorOfThree = 0x96;
    return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(sum, by, 0x00),
                                     _mm512_clmulepi64_epi128(sum, by, 0x11), next, kXorOfThree);
}

CINNABAR_FOLD512 inline __m512i with_line(__m512i sum, __m512i line) {
    return fold(sum,
                _mm512_set_epi64(kHighFactor, kLowFactor, kHighFactor, kLowFactor, kHighFactor,
                                 kLowFactor, kHighFactor, kLowFactor),
                line);
}

struct Fold512 {
    template <StoreKind kKind>
    CINNABAR_FOLD512 static void put_lines(Line& sum, std::byte* to, const std::byte* from,
                                           size_t lines) {
        __m512i s = _mm512_load_si512(&sum);
        for (; lines != 0; --lines, to += kLineBytes, from += kLineBytes) {
            const __m512i line = load_line(from);
            put<kKind>(to, line);
            s = with_line(s, line);
        }
        _mm512_store_si512(&sum, s);
    }
};

// --- any number of parts -------------------------------------------------------------------------

// Whole lines of a part go straight from it; lines that parts share with each other, with the
// header or with the zero fill are put together in a staging line.
template <class Form, StoreKind kKind>
class FrameWriter {
  public:
    FrameWriter(std::byte* to, const FrameWords& header, uint32_t seed)
        : to_(to), at_(to), seed_(seed) {
        std::copy(header.word.begin(), header.word.end(), staging_.word.begin());
        staging_.word[1] &= kAboveChecksum;
    }

    void add(Bytes part) {
        if (filled_ != 0) {
            const size_t length = std::min(part.size(), kLineBytes - filled_);
            stage(part.first(length));
            part = part.subspan(length);
            if (filled_ < kLineBytes) return;
            put_staged();
        }
        const size_t lines = part.size() / kLineBytes;
        if (lines != 0) Form::template put_lines<kKind>(sum_, at_, part.data(), lines);
        at_ += lines * kLineBytes;
        stage(part.subspan(lines * kLineBytes));
    }

    void finish() {
        if (filled_ != 0) {
            std::memset(staging() + filled_, 0, kLineBytes - filled_);
            put_staged();
        }
        first_.word[1] |= crc32c(0, &sum_, sizeof sum_);
        put<kKind>(to_, first_);
    }

  private:
    std::byte* staging() { return reinterpret_cast<std::byte*>(&staging_); }

    void stage(Bytes bytes) {
        if (!bytes.empty()) std::memcpy(staging() + filled_, bytes.data(), bytes.size());
        filled_ += bytes.size();
    }

    // The first line waits for the sum.
    void put_staged() {
        if (at_ == to_) {
            first_ = staging_;
            sum_ = staging_;
            sum_.word[0] ^= seed_;
        } else {
            Form::template put_lines<kKind>(sum_, at_, staging(), 1);
        }
        at_ += kLineBytes;
        filled_ = 0;
    }

    std::byte* to_;
    std::byte* at_;
    uint32_t seed_;
    size_t filled_ = sizeof(FrameWords);
    Line staging_;
    Line first_;
    Line sum_;
};

template <class Form, StoreKind kKind>
void store_parts(std::byte* to, const FrameWords& header, std::span<const Bytes> parts,
                 uint32_t seed) {
    FrameWriter<Form, kKind> writer(to, header, seed);
    for (Bytes part : parts) writer.add(part);
    writer.finish();
}

// --- one part, 512 bits wide: the append of a single record --------------------------------------

// The header with its checksum zero. Loaded by words, as the caller has just stored it: a wider
// load would wait until those stores have left for the cache.
CINNABAR_FOLD512 inline __m256i load_header(const FrameWords& header) {
    return _mm256_set_epi64x(static_cast<long long>(header.word[3]),
                             static_cast<long long>(header.word[2]),
                             static_cast<long long>(header.word[1] & kAboveChecksum),
                             static_cast<long long>(header.word[0]));
}

// The header and what of the payload stands beside it. Bytes masked out are not read.
CINNABAR_FOLD512 inline __m512i load_first(const FrameWords& header, Bytes payload) {
    __m256i beside = _mm256_setzero_si256();
    if (!payload.empty()) {
        const size_t length = std::min(payload.size(), kBeside);
        const __mmask32 present = _bzhi_u32(~uint32_t{0}, static_cast<uint32_t>(length));
        beside = _mm256_maskz_loadu_epi8(present, payload.data());
        CINNABAR_KEEP(beside);
    }
    return _mm512_inserti64x4(_mm512_zextsi256_si512(load_header(header)), beside, 1);
}

CINNABAR_FOLD512 inline __m512i load_last(const std::byte* from, size_t length) {
    const __mmask64 present = _bzhi_u64(~uint64_t{0}, static_cast<uint32_t>(length));
    __m512i line = _mm512_maskz_loadu_epi8(present, from);
    CINNABAR_KEEP(line);
    return line;
}

CINNABAR_FOLD512 inline __m512i seeded(__m512i line, uint32_t seed) {
    return _mm512_xor_si512(line,
                            _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(seed))));
}

// Brings the four lanes together first: a 64-byte frame waits for this, and it is shorter than
// eight crc32 instructions in a row.
CINNABAR_FOLD512 inline uint32_t reduced(__m512i sum) {
    constexpr uint8_t kLastLane = 0xC0;
    const __m512i to_last_lane =
        _mm512_set_epi64(0, 0, high_factor(128), low_factor(128), high_factor(256), low_factor(256),
                         high_factor(384), low_factor(384));
    const __m512i lanes = fold(sum, to_last_lane, _mm512_maskz_mov_epi64(kLastLane, sum));
    const __m256i two =
        _mm256_xor_si256(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));
    const __m128i one =
        _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
    const uint64_t half = _mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(one)));
    return static_cast<uint32_t>(
        _mm_crc32_u64(half, static_cast<uint64_t>(_mm_extract_epi64(one, 1))));
}

CINNABAR_FOLD512 inline __m512i with_checksum(__m512i first, uint32_t sum) {
    constexpr __mmask16 kChecksum = 1 << 2;  // the third of the line's sixteen 32-bit words
    return _mm512_mask_set1_epi32(first, kChecksum, static_cast<int>(sum));
}

template <StoreKind kKind>
CINNABAR_FOLD512 inline void store_one_part(std::byte* to, const FrameWords& header, Bytes payload,
                                            uint32_t seed) {
    const __m512i first = load_first(header, payload);
    __m512i sum = seeded(first, seed);
    if (payload.size() > kBeside) {
        const std::byte* from = payload.data() + kBeside;
        size_t left = payload.size() - kBeside;
        std::byte* at = to + kLineBytes;
        for (; left >= kLineBytes; at += kLineBytes, from += kLineBytes, left -= kLineBytes) {
            const __m512i line = load_line(from);
            put<kKind>(at, line);
            sum = with_line(sum, line);
        }
        if (left != 0) {
            const __m512i line = load_last(from, left);
            put<kKind>(at, line);
            sum = with_line(sum, line);
        }
    }
    put<kKind>(to, with_checksum(first, reduced(sum)));
}

// --- choice --------------------------------------------------------------------------------------

void check_place(const std::byte* to) {
    CNB_CHECK(reinterpret_cast<uintptr_t>(to) % kLineBytes == 0,
              {"to", reinterpret_cast<uintptr_t>(to)});
}

template <class Form>
void store_by(std::byte* to, const FrameWords& header, std::span<const Bytes> parts, uint32_t seed,
              StoreKind kind) {
    check_place(to);
    if (kind == StoreKind::non_temporal)
        store_parts<Form, StoreKind::non_temporal>(to, header, parts, seed);
    else
        store_parts<Form, StoreKind::cached>(to, header, parts, seed);
}

CINNABAR_FOLD512 void store_by_fold512(std::byte* to, const FrameWords& header,
                                       std::span<const Bytes> parts, uint32_t seed,
                                       StoreKind kind) {
    if (parts.size() != 1) return store_by<Fold512>(to, header, parts, seed, kind);
    check_place(to);
    if (kind == StoreKind::non_temporal)
        store_one_part<StoreKind::non_temporal>(to, header, parts[0], seed);
    else
        store_one_part<StoreKind::cached>(to, header, parts[0], seed);
}

void choose_and_store(std::byte* to, const FrameWords& header, std::span<const Bytes> parts,
                      uint32_t seed, StoreKind kind) {
    const StoreFrame here = store_frame_by(crc32c_path());
    store_frame_here.store(here, std::memory_order_relaxed);
    here(to, header, parts, seed, kind);
}

}  // namespace

constinit std::atomic<StoreFrame> store_frame_here = choose_and_store;

StoreFrame store_frame_by(Crc32cPath path) {
    CNB_CHECK(available(path), {"path", static_cast<uint64_t>(path)});
    switch (path) {
        case Crc32cPath::table: return store_by<Portable>;
        case Crc32cPath::instruction: return store_by<Fold128>;
        case Crc32cPath::fold512: return store_by_fold512;
    }
    return store_by<Portable>;
}

}  // namespace cinnabar::medium
