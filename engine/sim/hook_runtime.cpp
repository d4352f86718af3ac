// What hooked code calls (hooks.hpp): every entry point that gcc 12 and clang 14 emit for
// -fsanitize=thread, and the announcement of base/crc32c.cpp; functions of the C library stand in
// hooked_calls.cpp. Linked into hooked programs alone, and plain itself.
//
// An access outside the watched region costs the call, a subtraction and a comparison. Atomic
// operations are sequentially consistent, which is at least what any of them asks for.
#include <cstddef>
#include <cstdint>

#include "sim/hook_state.hpp"

// The compiler gives the names, and a type stands without parentheses.
// NOLINTBEGIN(*-reserved-identifier,*-identifier-naming,*-macro-parentheses)

namespace {

using cinnabar::sim::Access;
using cinnabar::sim::load;
using cinnabar::sim::may_touch;
using cinnabar::sim::report;
using cinnabar::sim::store;

// --- atomic operations ---------------------------------------------------------------------------

using Word128 = unsigned __int128;

// Gives what stood there; `next` stands there now if that was `expected`.
template <class T>
inline T swap_if(volatile T* at, T expected, T next) {
    __atomic_compare_exchange_n(at, &expected, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return expected;
}

template <>
__attribute__((target("cx16"))) inline Word128 swap_if(volatile Word128* at, Word128 expected,
                                                       Word128 next) {
    return __sync_val_compare_and_swap(at, expected, next);
}

template <class T>
CNB_HOOK_INLINE T atomic_load(const volatile T* at) {
    load<sizeof(T)>(const_cast<const T*>(at));
    if constexpr (sizeof(T) <= sizeof(uint64_t))
        return __atomic_load_n(at, __ATOMIC_SEQ_CST);
    else
        return swap_if(const_cast<volatile T*>(at), T{0}, T{0});
}

// The operations that depend on what stands there, and give it.
template <class T, class Next>
CNB_HOOK_INLINE T atomic_update(volatile T* at, Next next) {
    load<sizeof(T)>(const_cast<const T*>(at));
    store<sizeof(T)>(const_cast<const T*>(at));
    for (T guess = 0;;) {
        const T found = swap_if(at, guess, static_cast<T>(next(guess)));
        if (found == guess) return found;
        guess = found;
    }
}

template <class T>
CNB_HOOK_INLINE void atomic_store(volatile T* at, T value) {
    store<sizeof(T)>(const_cast<const T*>(at));
    if constexpr (sizeof(T) <= sizeof(uint64_t)) {
        __atomic_store_n(at, value, __ATOMIC_SEQ_CST);
    } else {
        for (T guess = 0;;) {
            const T found = swap_if(at, guess, value);
            if (found == guess) return;
            guess = found;
        }
    }
}

template <class T>
CNB_HOOK_INLINE T atomic_swap_if(volatile T* at, T expected, T next) {
    load<sizeof(T)>(const_cast<const T*>(at));
    store<sizeof(T)>(const_cast<const T*>(at));
    return swap_if(at, expected, next);
}

template <class T>
CNB_HOOK_INLINE bool atomic_compare_exchange(volatile T* at, T* expected, T next) {
    const T found = atomic_swap_if(at, *expected, next);
    const bool swapped = found == *expected;
    *expected = found;
    return swapped;
}

}  // namespace

// --- entry points --------------------------------------------------------------------------------

#define CNB_HOOK_ACCESS(SIZE, PREFIX)             \
    void __tsan_##PREFIX##read##SIZE(void* at) {  \
        load<SIZE>(at);                           \
    }                                             \
    void __tsan_##PREFIX##write##SIZE(void* at) { \
        store<SIZE>(at);                          \
    }
#define CNB_HOOK_READ_WRITE(SIZE, PREFIX)              \
    void __tsan_##PREFIX##read_write##SIZE(void* at) { \
        load<SIZE>(at);                                \
        store<SIZE>(at);                               \
    }
#define CNB_HOOK_SIZE(SIZE)                    \
    CNB_HOOK_ACCESS(SIZE, )                    \
    CNB_HOOK_ACCESS(SIZE, volatile_)           \
    CNB_HOOK_ACCESS(SIZE, unaligned_)          \
    CNB_HOOK_ACCESS(SIZE, unaligned_volatile_) \
    CNB_HOOK_READ_WRITE(SIZE, )                \
    CNB_HOOK_READ_WRITE(SIZE, unaligned_)

#define CNB_HOOK_FETCH(TYPE, BITS, NAME, NEXT)                                         \
    TYPE __tsan_atomic##BITS##_##NAME(volatile TYPE* at, TYPE value, int) {            \
        return atomic_update(at, [value]([[maybe_unused]] TYPE old) { return NEXT; }); \
    }
#define CNB_HOOK_COMPARE_EXCHANGE(TYPE, BITS, KIND)                                      \
    int __tsan_atomic##BITS##_compare_exchange_##KIND(volatile TYPE* at, TYPE* expected, \
                                                      TYPE next, int, int) {             \
        return atomic_compare_exchange(at, expected, next) ? 1 : 0;                      \
    }
#define CNB_HOOK_ATOMIC(TYPE, BITS)                                                              \
    TYPE __tsan_atomic##BITS##_load(const volatile TYPE* at, int) {                              \
        return atomic_load(at);                                                                  \
    }                                                                                            \
    void __tsan_atomic##BITS##_store(volatile TYPE* at, TYPE value, int) {                       \
        atomic_store(at, value);                                                                 \
    }                                                                                            \
    CNB_HOOK_FETCH(TYPE, BITS, exchange, value)                                                  \
    CNB_HOOK_FETCH(TYPE, BITS, fetch_add, old + value)                                           \
    CNB_HOOK_FETCH(TYPE, BITS, fetch_sub, old - value)                                           \
    CNB_HOOK_FETCH(TYPE, BITS, fetch_and, old& value)                                            \
    CNB_HOOK_FETCH(TYPE, BITS, fetch_or, old | value)                                            \
    CNB_HOOK_FETCH(TYPE, BITS, fetch_xor, old ^ value)                                           \
    CNB_HOOK_FETCH(TYPE, BITS, fetch_nand, ~(old & value))                                       \
    CNB_HOOK_COMPARE_EXCHANGE(TYPE, BITS, strong)                                                \
    CNB_HOOK_COMPARE_EXCHANGE(TYPE, BITS, weak)                                                  \
    TYPE __tsan_atomic##BITS##_compare_exchange_val(volatile TYPE* at, TYPE expected, TYPE next, \
                                                    int, int) {                                  \
        return atomic_swap_if(at, expected, next);                                               \
    }

extern "C" {

void __tsan_init() {
    cinnabar::sim::note_hooked();
}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_ignore_thread_begin() {}
void __tsan_ignore_thread_end() {}

CNB_HOOK_SIZE(1)
CNB_HOOK_SIZE(2)
CNB_HOOK_SIZE(4)
CNB_HOOK_SIZE(8)
CNB_HOOK_SIZE(16)

void __tsan_read_range(void* at, size_t length) {
    load(at, length);
}
void __tsan_write_range(void* at, size_t length) {
    store(at, length);
}
void __tsan_vptr_read(void** at) {
    load<sizeof *at>(at);
}
void __tsan_vptr_update(void** at, void*) {
    store<sizeof *at>(at);
}

CNB_HOOK_ATOMIC(uint8_t, 8)
CNB_HOOK_ATOMIC(uint16_t, 16)
CNB_HOOK_ATOMIC(uint32_t, 32)
CNB_HOOK_ATOMIC(uint64_t, 64)
CNB_HOOK_ATOMIC(Word128, 128)

void __tsan_atomic_thread_fence(int) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void __tsan_atomic_signal_fence(int) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

// --- base/crc32c.cpp -----------------------------------------------------------------------------

void cinnabar_before_checksum(const void* bytes, size_t length) {
    if (may_touch(bytes, length)) [[unlikely]]
        report(Access::checksum, bytes, length, CNB_HOOK_BEHIND);
}

}  // extern "C"

// NOLINTEND(*-reserved-identifier,*-identifier-naming,*-macro-parentheses)
