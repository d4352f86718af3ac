// The hooks themselves: every form of load and store that C++ has is reported, before it is made,
// with its bytes and no others.
#include "sim/hooks.hpp"

#include <gtest/gtest.h>
#include <immintrin.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/crc32c.hpp"
#include "crash/access_recorder.hpp"
#include "crash/hooks_twin.hpp"

namespace cinnabar::crash_test {

namespace {

constexpr size_t kAt = 64;  // where the forms access the region
constexpr std::byte kOld{0x11};
constexpr std::byte kDecided{0x5A};

// A region in memory that is aligned like a pool, with room around it.
struct Region {
    alignas(4096) std::array<std::byte, 4096> memory = {};
    std::span<std::byte> bytes() { return std::span(memory).subspan(1024, 1024); }
    std::byte* at() { return bytes().data() + kAt; }
};

// Writes what is about to be loaded, as an explorer does.
class Decider : public Recorder {
  public:
    using Recorder::Recorder;
    void before_load(const std::byte* from, size_t length) override {
        Recorder::before_load(from, length);
        std::memset(const_cast<std::byte*>(from), static_cast<int>(kDecided), length);
    }
};

std::set<size_t> numbers(size_t from, size_t length) {
    std::set<size_t> all;
    for (size_t i = 0; i < length; ++i) all.insert(from + i);
    return all;
}

struct Whole {
    std::array<uint64_t, 8> word;
};
struct Odd {
    std::array<uint64_t, 4> word;
    uint32_t last;
    uint32_t more;
};
struct [[gnu::packed]] Packed {
    uint8_t first;
    uint64_t word;
};
struct Bits {
    uint32_t low : 5;
    uint32_t high : 27;
};

template <class T>
T* as(std::byte* at) {
    return reinterpret_cast<T*>(at);
}
template <class T>
const T* as(const std::byte* at) {
    return reinterpret_cast<const T*>(at);
}

// --- loads ---------------------------------------------------------------------------------------

// Loads `length` bytes at `from` and puts them into `out`.
struct LoadForm {
    const char* name;
    size_t length;
    void (*load)(const std::byte* from, std::byte* out);
};

void PrintTo(const LoadForm& form, std::ostream* out) {
    *out << form.name;
}

template <class T>
constexpr LoadForm scalar(const char* name) {
    return {name, sizeof(T), [](auto from, auto out) { *as<T>(out) = *as<T>(from); }};
}

template <class T>
constexpr LoadForm atomic(const char* name) {
    return {name, sizeof(T), [](auto from, auto out) {
                *as<T>(out) = as<std::atomic<T>>(from)->load(std::memory_order_acquire);
            }};
}

volatile size_t forty = 40;  // a length that the compiler does not know

const LoadForm kLoads[] = {
    scalar<uint8_t>("Byte"),
    scalar<uint16_t>("Word16"),
    scalar<uint32_t>("Word32"),
    scalar<uint64_t>("Word64"),
    scalar<unsigned __int128>("Word128"),
    scalar<double>("Double"),
    scalar<volatile uint64_t>("Volatile"),
    scalar<Whole>("StructOf64"),
    scalar<Odd>("StructOf40"),
    atomic<uint8_t>("Atomic8"),
    atomic<uint16_t>("Atomic16"),
    atomic<uint32_t>("Atomic32"),
    atomic<uint64_t>("Atomic64"),
    {"Unaligned", 8, [](auto from, auto out) { *as<uint64_t>(out) = as<Packed>(from - 1)->word; }},
    {"Memcpy8", 8, [](auto from, auto out) { std::memcpy(out, from, 8); }},
    {"Memcpy32", 32, [](auto from, auto out) { std::memcpy(out, from, 32); }},
    {"Memcpy64", 64, [](auto from, auto out) { std::memcpy(out, from, 64); }},
    {"MemcpyAnyLength", 40, [](auto from, auto out) { std::memcpy(out, from, forty); }},
    {"BuiltinMemcpy8", 8, [](auto from, auto out) { __builtin_memcpy(out, from, 8); }},
    {"BuiltinMemcpy64", 64, [](auto from, auto out) { __builtin_memcpy(out, from, 64); }},
    {"Memmove", 48, [](auto from, auto out) { std::memmove(out, from, 48); }},
    {"BuiltinMemmove", 48, [](auto from, auto out) { __builtin_memmove(out, from, 48); }},
    {"Mempcpy", 48, [](auto from, auto out) { mempcpy(out, from, 48); }},
    {"Memccpy", 40, [](auto from, auto out) { memccpy(out, from, 0, 40); }},
    {"Bcopy", 40, [](auto from, auto out) { bcopy(from, out, 40); }},
    {"Strncpy", 40,
     [](auto from, auto out) { std::strncpy(as<char>(out), as<char>(from), forty); }},
    {"Stpncpy", 40, [](auto from, auto out) { stpncpy(as<char>(out), as<char>(from), forty); }},
    {"Strncat", 40,
     [](auto from, auto out) { std::strncat(as<char>(out), as<char>(from), forty); }},
    {"StdCopy", 40, [](auto from, auto out) { std::copy(from, from + 40, out); }},
    {"StdCopyN", 24,
     [](auto from, auto out) { std::copy_n(as<uint64_t>(from), 3, as<uint64_t>(out)); }},
    {"RangesCopy", 40, [](auto from, auto out) { std::ranges::copy(std::span(from, forty), out); }},
    {"BitCast", 64,
     [](auto from, auto out) {
         *as<std::array<std::byte, 64>>(out) =
             std::bit_cast<std::array<std::byte, 64>>(*as<Whole>(from));
     }},
    {"Vector", 40,
     [](auto from, auto out) {
         const std::vector<std::byte> copy(from, from + 40);
         std::ranges::copy(copy, out);
     }},
    {"VectorAssign", 40,
     [](auto from, auto out) {
         std::vector<std::byte> copy(3);
         copy.assign(from, from + 40);
         std::ranges::copy(copy, out);
     }},
    {"String", 40,
     [](auto from, auto out) {
         const std::string copy(as<char>(from), 40);
         std::memcpy(out, copy.data(), 40);
     }},
    {"ByteLoop", 40,
     [](auto from, auto out) {
         for (size_t i = 0; i < 40; ++i) out[i] = from[i];
     }},
    {"WordLoop", 64,
     [](auto from, auto out) {
         for (size_t i = 0; i < 8; ++i) as<uint64_t>(out)[i] = as<uint64_t>(from)[i];
     }},
    {"Vector128", 16,
     [](auto from, auto out) {
         _mm_storeu_si128(as<__m128i>(out), _mm_loadu_si128(as<__m128i>(from)));
     }},
    {"Equal", 40,
     [](auto from, auto out) {
         std::array<std::byte, 40> expected;
         expected.fill(kDecided);
         const bool equal = std::equal(expected.begin(), expected.end(), from);
         std::fill_n(out, 40, equal ? kDecided : kOld);
     }},
    {"RangesEqual", 40,
     [](auto from, auto out) {
         std::array<std::byte, 40> expected;
         expected.fill(kDecided);
         const bool equal = std::ranges::equal(expected, std::span(from, 40));
         std::fill_n(out, 40, equal ? kDecided : kOld);
     }},
    {"Memcmp", 40,
     [](auto from, auto out) {
         std::array<std::byte, 40> expected;
         expected.fill(kDecided);
         const bool equal = std::memcmp(expected.data(), from, 40) == 0;
         std::fill_n(out, 40, equal ? kDecided : kOld);
     }},
};

class Load : public testing::TestWithParam<LoadForm> {};

TEST_P(Load, IsReportedBeforeItIsMade) {
    const LoadForm& form = GetParam();
    const auto region = std::make_unique<Region>();
    region->memory.fill(kOld);
    std::array<std::byte, 128> out = {};
    Decider decider(region->bytes());
    form.load(region->at(), out.data());
    EXPECT_EQ(Recorder::touched(decider.loads, 1), numbers(kAt, form.length));
    EXPECT_EQ(decider.stores.size() + decider.checksums.size(), 0u);
    for (size_t i = 0; i < form.length; ++i) ASSERT_EQ(out[i], kDecided) << "byte " << i;
}

INSTANTIATE_TEST_SUITE_P(All, Load, testing::ValuesIn(kLoads),
                         [](const auto& form) { return form.param.name; });

__attribute__((target("avx512f"))) void copy_512(const std::byte* from, std::byte* out) {
    _mm512_storeu_si512(out, _mm512_loadu_si512(from));
}

TEST(Hooks, AVectorOf64BytesIsOneReport) {
    if (!__builtin_cpu_supports("avx512f")) GTEST_SKIP() << "skipped: no AVX-512 here";
    const auto region = std::make_unique<Region>();
    std::array<std::byte, 64> out;
    Decider decider(region->bytes());
    copy_512(region->at(), out.data());
    EXPECT_EQ(decider.loads, std::vector<Recorder::Range>({{kAt, 64}}));
    EXPECT_EQ(out[63], kDecided);
    copy_512(out.data(), region->at());
    EXPECT_EQ(decider.stores, std::vector<Recorder::Range>({{kAt, 64}}));
}

struct Shape {
    Shape() = default;
    Shape(const Shape&) = default;
    Shape& operator=(const Shape&) = default;
    virtual ~Shape() = default;
    virtual int corners() const { return 0; }
};
struct Square : Shape {
    int corners() const override { return 4; }
};

TEST(Hooks, AVirtualCallLoadsItsObject) {
    const auto region = std::make_unique<Region>();
    const Shape other;  // with a second class in use, the compiler cannot know which one is called
    const Shape* volatile shape = &other;
    EXPECT_EQ(shape->corners(), 0);
    shape = new (region->at()) Square;
    Recorder recorder(region->bytes());
    EXPECT_EQ(shape->corners(), 4);
    EXPECT_EQ(Recorder::touched(recorder.loads, 1), numbers(kAt, sizeof(void*)));
}

TEST(Hooks, ABitFieldLoadsWhatHoldsIt) {
    const auto region = std::make_unique<Region>();
    Recorder recorder(region->bytes());
    EXPECT_EQ(as<Bits>(region->at())->high, 0u);
    const std::set<size_t> loaded = Recorder::touched(recorder.loads, 1);
    EXPECT_FALSE(loaded.empty());
    for (const size_t byte : loaded) EXPECT_TRUE(byte >= kAt && byte < kAt + sizeof(Bits)) << byte;
}

// --- stores --------------------------------------------------------------------------------------

struct StoreForm {
    const char* name;
    size_t length;
    void (*store)(std::byte* to, const std::byte* from);
    bool loads = false;  // the same bytes, too
};

void PrintTo(const StoreForm& form, std::ostream* out) {
    *out << form.name;
}

template <class T>
constexpr StoreForm scalar_store(const char* name) {
    return {name, sizeof(T), [](auto to, auto from) { *as<T>(to) = *as<T>(from); }};
}

// The forms of the library that take a list.
void formatted(char* to, size_t size, const char* format, ...) {
    va_list values;
    va_start(values, format);
    if (size == SIZE_MAX)
        std::vsprintf(to, format, values);
    else
        std::vsnprintf(to, size, format, values);
    va_end(values);
}

const StoreForm kStores[] = {
    scalar_store<uint8_t>("Byte"),
    scalar_store<uint16_t>("Word16"),
    scalar_store<uint32_t>("Word32"),
    scalar_store<uint64_t>("Word64"),
    scalar_store<unsigned __int128>("Word128"),
    scalar_store<volatile uint64_t>("Volatile"),
    scalar_store<Whole>("StructOf64"),
    scalar_store<Odd>("StructOf40"),
    {"Unaligned", 8, [](auto to, auto) { as<Packed>(to - 1)->word = 5; }},
    {"NewObject", 64, [](auto to, auto) { new (to) Whole(); }},
    {"Memcpy8", 8, [](auto to, auto from) { std::memcpy(to, from, 8); }},
    {"Memcpy64", 64, [](auto to, auto from) { std::memcpy(to, from, 64); }},
    {"MemcpyAnyLength", 40, [](auto to, auto from) { std::memcpy(to, from, forty); }},
    {"BuiltinMemcpy64", 64, [](auto to, auto from) { __builtin_memcpy(to, from, 64); }},
    {"Memmove", 48, [](auto to, auto from) { std::memmove(to, from, 48); }},
    {"Memset", 64, [](auto to, auto) { std::memset(to, 0, 64); }},
    {"BuiltinMemset", 32, [](auto to, auto) { __builtin_memset(to, 0, 32); }},
    {"Mempcpy", 48, [](auto to, auto from) { mempcpy(to, from, 48); }},
    {"Memccpy", 3, [](auto to, auto) { memccpy(to, "a word", 'w', 40); }},
    {"MemccpyWithoutIt", 5, [](auto to, auto) { memccpy(to, "a word", 'x', 5); }},
    {"Bcopy", 40, [](auto to, auto from) { bcopy(from, to, 40); }},
    {"Bzero", 40, [](auto to, auto) { bzero(to, 40); }},
    {"ExplicitBzero", 40, [](auto to, auto) { explicit_bzero(to, 40); }},
    {"Strcpy", 7, [](auto to, auto) { std::strcpy(as<char>(to), "a word"); }},
    {"Stpcpy", 7, [](auto to, auto) { stpcpy(as<char>(to), "a word"); }},
    {"Strncpy", 40, [](auto to, auto) { std::strncpy(as<char>(to), "a word", 40); }},
    {"StrncpyOfAPart", 4, [](auto to, auto) { std::strncpy(as<char>(to), "a word", forty / 10); }},
    {"Stpncpy", 40, [](auto to, auto) { stpncpy(as<char>(to), "a word", 40); }},
    {"Strcat", 1, [](auto to, auto) { std::strcat(as<char>(to), ""); }, true},
    {"Strncat", 1, [](auto to, auto) { std::strncat(as<char>(to), "a word", 0); }, true},
    {"Sprintf", 7, [](auto to, auto) { std::sprintf(as<char>(to), "%s", "a word"); }},
    {"Snprintf", 7, [](auto to, auto) { std::snprintf(as<char>(to), forty, "%s", "a word"); }},
    {"SnprintfOfAPart", 4, [](auto to, auto) { std::snprintf(as<char>(to), 4, "a%zu", forty); }},
    {"Vsprintf", 3, [](auto to, auto) { formatted(as<char>(to), SIZE_MAX, "%d", 40); }},
    {"Vsnprintf", 2, [](auto to, auto) { formatted(as<char>(to), 2, "%d", 40); }},
    {"StdCopy", 40, [](auto to, auto from) { std::copy(from, from + 40, to); }},
    {"StdFill", 40, [](auto to, auto) { std::fill(to, to + 40, std::byte{7}); }},
    {"StdFillN", 24, [](auto to, auto) { std::fill_n(as<uint64_t>(to), 3, 7); }},
    {"ByteLoop", 40,
     [](auto to, auto from) {
         for (size_t i = 0; i < 40; ++i) to[i] = from[i];
     }},
    {"ZeroLoop", 64,
     [](auto to, auto) {
         for (size_t i = 0; i < 8; ++i) as<uint64_t>(to)[i] = 0;
     }},
    {"Vector128", 16,
     [](auto to, auto from) {
         _mm_storeu_si128(as<__m128i>(to), _mm_loadu_si128(as<__m128i>(from)));
     }},
    {"AtomicStore8", 1, [](auto to, auto) { as<std::atomic<uint8_t>>(to)->store(1); }},
    {"AtomicStore64", 8,
     [](auto to, auto) { as<std::atomic<uint64_t>>(to)->store(1, std::memory_order_release); }},
    {"Increment", 8, [](auto to, auto) { ++*as<uint64_t>(to); }, true},
    {"Exchange", 4, [](auto to, auto) { as<std::atomic<uint32_t>>(to)->exchange(1); }, true},
    {"FetchAdd", 8, [](auto to, auto) { as<std::atomic<uint64_t>>(to)->fetch_add(1); }, true},
    {"FetchOr", 2, [](auto to, auto) { as<std::atomic<uint16_t>>(to)->fetch_or(1); }, true},
    {"CompareExchange", 8,
     [](auto to, auto) {
         uint64_t expected = 1;
         as<std::atomic<uint64_t>>(to)->compare_exchange_strong(expected, 2);
     },
     true},
};

class Store : public testing::TestWithParam<StoreForm> {};

TEST_P(Store, IsReported) {
    const StoreForm& form = GetParam();
    const auto region = std::make_unique<Region>();
    const std::array<std::byte, 128> source = {};
    Recorder recorder(region->bytes());
    form.store(region->at(), source.data());
    const std::set<size_t> expected = numbers(kAt, form.length);
    EXPECT_EQ(Recorder::touched(recorder.stores, 1), expected);
    EXPECT_EQ(Recorder::touched(recorder.loads, 1), form.loads ? expected : std::set<size_t>());
    EXPECT_TRUE(recorder.checksums.empty());
}

INSTANTIATE_TEST_SUITE_P(All, Store, testing::ValuesIn(kStores),
                         [](const auto& form) { return form.param.name; });

// The functions of the C library still do what they are for.
TEST(Hooks, TextsAndBytesAreWhatTheLibraryMakesOfThem) {
    char text[32];
    EXPECT_EQ(std::strcpy(text, "one"), text);
    EXPECT_EQ(std::strcat(text, " two"), text);
    EXPECT_EQ(std::strncat(text, " three", forty / 13), text);
    EXPECT_STREQ(text, "one two th");
    EXPECT_EQ(stpcpy(text + 8, "four"), text + 12);
    EXPECT_STREQ(text, "one two four");
    EXPECT_EQ(std::strncpy(text, "one and all", forty / 13), text);
    EXPECT_STREQ(text, "one two four");
    EXPECT_EQ(stpncpy(text, "1", 4), text + 1);
    EXPECT_EQ(text[3], 0);
    EXPECT_EQ(text[4], 't');
    EXPECT_EQ(std::sprintf(text, "%d and %s", 7, "five"), 10);
    EXPECT_STREQ(text, "7 and five");
    EXPECT_EQ(std::snprintf(text, forty / 10, "%d", 12345), 5);
    EXPECT_STREQ(text, "123");
    EXPECT_EQ(mempcpy(text, "xyz", 2), text + 2);
    EXPECT_STREQ(text, "xy3");
    EXPECT_EQ(memccpy(text, "a:b", ':', 8), text + 2);
    EXPECT_EQ(memccpy(text, "abc", ':', 2), nullptr);
    EXPECT_STREQ(text, "ab3");
    bcopy(text, text + 1, 4);
    EXPECT_STREQ(text, "aab3");
    bzero(text, 1);
    EXPECT_STREQ(text, "");
}

// What an append loads is all that tells where it begins.
TEST(Hooks, AppendingToATextLoadsIt) {
    const auto region = std::make_unique<Region>();
    auto* text = as<char>(region->at());
    std::strcpy(text, "ab");
    Recorder recorder(region->bytes());
    std::strcat(text, "cd");
    EXPECT_EQ(Recorder::touched(recorder.loads, 1), numbers(kAt, 3));
    EXPECT_EQ(recorder.stores, std::vector<Recorder::Range>({{kAt + 2, 3}}));
}

// Whether a text that begins ahead of the region ends there is the region's to say.
TEST(Hooks, ATextThatReachesIntoTheRegionIsLoadedThere) {
    const auto region = std::make_unique<Region>();
    std::byte* const begin = region->bytes().data();
    std::memset(begin - 2, 'a', 4);
    std::array<char, 8> out;
    {
        Recorder recorder(region->bytes());
        std::strcpy(out.data(), as<char>(begin - 2));
        EXPECT_EQ(recorder.loads, std::vector<Recorder::Range>({{0, 1}, {1, 1}, {2, 1}}));
    }
    *begin = std::byte{0};
    Recorder recorder(region->bytes());
    std::strcpy(out.data(), as<char>(begin - 2));
    EXPECT_EQ(recorder.loads, std::vector<Recorder::Range>({{0, 1}}));
    std::strncpy(out.data(), as<char>(begin - 2), 2);
    EXPECT_EQ(recorder.loads.size(), 1u);
}

// The operations still do what they are for.
template <class T>
void check_atomic() {
    std::atomic<T> word{5};
    EXPECT_EQ(word.fetch_add(3), 5);
    EXPECT_EQ(word.fetch_sub(1), 8);
    EXPECT_EQ(word.fetch_and(6), 7);
    EXPECT_EQ(word.fetch_or(9), 6);
    EXPECT_EQ(word.fetch_xor(1), 15);
    EXPECT_EQ(word.exchange(40), 14);
    T expected = 41;
    EXPECT_FALSE(word.compare_exchange_strong(expected, 50));
    EXPECT_EQ(expected, 40);
    EXPECT_TRUE(word.compare_exchange_weak(expected, 50));
    EXPECT_EQ(word.load(), 50);
    word.store(static_cast<T>(-1));
    EXPECT_EQ(word.load(), static_cast<T>(-1));
    T plain = 12;
    EXPECT_EQ(__atomic_fetch_nand(&plain, T{10}, __ATOMIC_SEQ_CST), 12);
    EXPECT_EQ(plain, static_cast<T>(~8));
    std::atomic_thread_fence(std::memory_order_seq_cst);
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

TEST(Hooks, AtomicOperationsKeepTheirMeaning) {
    check_atomic<uint8_t>();
    check_atomic<uint16_t>();
    check_atomic<uint32_t>();
    check_atomic<uint64_t>();
}

// gcc emits these for __atomic operations on 16 bytes where the processor is told to have them.
using Word128 = unsigned __int128;
extern "C" Word128 __tsan_atomic128_load(const volatile Word128* at, int order);
extern "C" void __tsan_atomic128_store(volatile Word128* at, Word128 value, int order);
extern "C" Word128 __tsan_atomic128_fetch_add(volatile Word128* at, Word128 value, int order);

TEST(Hooks, AtomicOperationsOf16Bytes) {
    const auto region = std::make_unique<Region>();
    auto* word = as<Word128>(region->at());
    const Word128 high = Word128{7} << 64;
    Recorder recorder(region->bytes());
    __tsan_atomic128_store(word, high, __ATOMIC_SEQ_CST);
    EXPECT_TRUE(__tsan_atomic128_fetch_add(word, high + 1, __ATOMIC_SEQ_CST) == high);
    EXPECT_TRUE(__tsan_atomic128_load(word, __ATOMIC_SEQ_CST) == 2 * high + 1);
    EXPECT_EQ(recorder.stores, std::vector<Recorder::Range>({{kAt, 16}, {kAt, 16}}));
    EXPECT_EQ(recorder.loads, std::vector<Recorder::Range>({{kAt, 16}, {kAt, 16}}));
}

// --- what is watched -----------------------------------------------------------------------------

TEST(Hooks, OutsideTheRegionNothingIsReported) {
    const auto region = std::make_unique<Region>();
    Recorder recorder(region->bytes());
    std::byte* const begin = region->bytes().data();
    std::byte* const end = begin + region->bytes().size();
    std::array<std::byte, 64> other = {};
    for (std::byte* at : {begin - 16, end}) {
        *as<volatile Word128>(at) = *as<volatile Word128>(at) + 1;
        std::memcpy(at, other.data(), 16);
        std::memcpy(other.data(), at, 16);
        as<std::atomic<uint64_t>>(at)->fetch_add(1);
    }
    std::memset(begin - 512, 0, 512);
    std::memset(end, 0, 512);
    std::memcpy(end, begin - 512, 512);
    std::memcpy(begin, begin - 8, 0);
    EXPECT_TRUE(recorder.loads.empty());
    EXPECT_TRUE(recorder.stores.empty());
}

TEST(Hooks, WhatReachesOverAnEdgeIsCut) {
    const auto region = std::make_unique<Region>();
    Recorder recorder(region->bytes());
    std::byte* const begin = region->bytes().data();
    const size_t size = region->bytes().size();
    as<Packed>(begin - 8)->word = 1;         // seven bytes ahead, one inside
    as<Packed>(begin + size - 4)->word = 1;  // three inside, five behind
    std::memset(begin - 100, 0, 200);
    std::memset(begin + size - 100, 0, 200);
    std::memset(begin - 100, 0, size + 200);
    EXPECT_EQ(recorder.stores,
              std::vector<Recorder::Range>(
                  {{0, 1}, {size - 3, 3}, {0, 100}, {size - 100, 100}, {0, size}}));
}

// Also where the compiler takes the access for aligned, or says its size.
TEST(Hooks, WhatReachesOverAnOddEdgeIsCut) {
    const auto region = std::make_unique<Region>();
    std::byte* const begin = region->at();
    Recorder recorder(std::span(begin + 5, 22));
    *as<volatile uint64_t>(begin) = 1;
    *as<volatile Word128>(begin + 16) = 1;
    *as<volatile uint32_t>(begin + 28) = 1;
    as<std::atomic<uint32_t>>(begin + 4)->store(1);
    EXPECT_EQ(recorder.stores, std::vector<Recorder::Range>({{0, 3}, {11, 11}, {0, 3}}));
}

TEST(Hooks, UnwatchedWorkIsNotReported) {
    const auto region = std::make_unique<Region>();
    auto* word = as<volatile uint64_t>(region->at());
    {
        Recorder recorder(region->bytes());
        *word = 1;
        {
            const sim::Unwatched unwatched;
            *word = 2;
            {
                const sim::Unwatched further;
                *word = 3;
            }
            *word = 4;
            crc32c(0, region->at(), 64);
        }
        *word = 5;
        EXPECT_EQ(recorder.stores.size(), 2u);
        EXPECT_EQ(recorder.checksums.size(), 0u);
    }
    *word = 6;  // nobody watches
    Recorder second(region->bytes());
    EXPECT_TRUE(second.stores.empty());
}

TEST(Hooks, AnotherThreadIsWatchedMeanwhile) {
    const auto region = std::make_unique<Region>();
    Recorder recorder(region->bytes());
    const sim::Unwatched unwatched;
    std::thread([&] { *as<volatile uint64_t>(region->at()) = 1; }).join();
    EXPECT_EQ(recorder.stores, std::vector<Recorder::Range>({{kAt, 8}}));
}

TEST(Hooks, AChecksumIsOneReport) {
    const auto region = std::make_unique<Region>();
    Recorder recorder(region->bytes());
    crc32c(1, region->at(), 300);
    crc32c_with_hole(1, region->at() + 64, 128);
    EXPECT_EQ(recorder.checksums, std::vector<Recorder::Range>({{kAt, 300}, {kAt + 64, 128}}));
    EXPECT_TRUE(recorder.loads.empty());
    // Of a copy there are only the loads that made it.
    const Whole copy = *as<Whole>(region->at());
    crc32c(1, &copy, sizeof copy);
    EXPECT_EQ(recorder.checksums.size(), 2u);
    EXPECT_EQ(recorder.loads, std::vector<Recorder::Range>({{kAt, sizeof copy}}));
}

// A copy of the function that a plain object emitted is not the one that hooked code calls.
TEST(Hooks, AnInlineFunctionOfAPlainFileTooIsTheHookedOne) {
    const auto region = std::make_unique<Region>();
    const auto* word = as<uint64_t>(region->at());
    Recorder recorder(region->bytes());
    EXPECT_EQ(load_inline(word), 0u);
    EXPECT_EQ(recorder.loads, std::vector<Recorder::Range>({{kAt, 8}}));
    EXPECT_EQ(load_from_plain_file(word), 0u);  // plain code that is reported: it alarms
    EXPECT_EQ(recorder.loads.size(), 2u);
}

TEST(Hooks, TheProgramKnowsThatItIsHooked) {
    EXPECT_TRUE(sim::hooked());
}

TEST(HooksDeathTest, OneRegionAtATime) {
    const auto region = std::make_unique<Region>();
    Recorder recorder(region->bytes());
    EXPECT_DEATH(sim::watch(region->bytes(), recorder), "");
}

// --- cost ----------------------------------------------------------------------------------------

CNB_RANDOM_READS(random_reads_hooked)

double ns_per_read(RandomReads* reads, const uint64_t* words) {
    constexpr uint64_t kCount = 1'000'000;
    double best = 1e9;
    for (int i = 0; i < 20; ++i) {
        const auto start = std::chrono::steady_clock::now();
        volatile uint64_t sum = reads(words, kCount);
        (void)sum;
        const std::chrono::duration<double, std::nano> took =
            std::chrono::steady_clock::now() - start;
        best = std::min(best, took.count() / static_cast<double>(kCount));
    }
    return best;
}

// Measured, not asserted: what a load outside the region costs.
TEST(Hooks, CostOfALoadOutsideTheRegion) {
    const auto region = std::make_unique<Region>();
    Recorder recorder(region->bytes());
    const std::vector<uint64_t> words(2048, 1);  // in the first cache
    const double plain = ns_per_read(random_reads_plain, words.data());
    const double hooked = ns_per_read(random_reads_hooked, words.data());
    std::cout << "plain " << plain << " ns, hooked " << hooked << " ns per load: " << hooked - plain
              << " ns more, " << hooked / plain << " times\n";
    EXPECT_TRUE(recorder.loads.empty());
}

}  // namespace

}  // namespace cinnabar::crash_test
