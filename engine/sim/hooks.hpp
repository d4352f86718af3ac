// The hook build: code that tells the simulator of every load and store that it makes in one
// watched region of memory. It finds stores that go around the medium, and lets an explorer decide
// what a line holds only when recovery is about to look at it.
//
// How. gcc's -fsanitize=thread puts a call before each load and store that it compiles. Hooked
// objects are compiled with it and linked not with libtsan but with hook_runtime.cpp, which
// compares the address and reports. What the C library's functions store would be unseen, and small
// memcpy and their like are expanded after that pass; so hooked_calls.hpp, included into every
// hooked source, makes calls of the runtime of them (hooked_calls.cpp). In CMake: cinnabar_hooks
// (flags and runtime), cinnabar_hooked (the engine compiled so), cinnabar_hooked_test. Not together
// with another sanitizer; gcc alone.
//
// Seen: every load and store of C++ code, as one or more reports that cover its bytes; struct
// copies, bit fields, std::bit_cast, vptr, plain vector loads and stores (_mm512_loadu_si512),
// std::atomic; memcpy, memmove, memset and memcmp, by whatever name (std::copy, std::equal, ...);
// the other functions of <string.h> and <strings.h> that copy bytes or text, such as strncpy, also
// with _FORTIFY_SOURCE, and what sprintf and its like store (not what they load for %s); inline
// code of the standard library, std::string and std::vector too. A read-modify-write is a load and
// a store, a compare-exchange too where it fails. memcmp counts as loading all of both. A report
// comes before the access: what the watcher then writes there is what is loaded.
//
// Not seen: inline assembly; vector instructions that the compiler has no plain form for
// (_mm_stream_*, masked loads and stores); other functions of the C library (strlen, strcmp,
// memchr, wmemcpy, read(2)); code inside other libraries, the compiled part of libstdc++ among
// them; what clwb writes back, which is no store. The checksums and the CrashMedium say so
// otherwise:
//   - crc32c() and crc32c_with_hole() make one before_checksum report, of the range, and none for
//     their loads. What the engine first loads into an object of its own and then sums (registers,
//     segment headers, link payloads) is reported as those loads, and the sum not at all.
//   - The simulator is plain code: stores through the medium are not reported, nor are loads by a
//     verb of the medium from its source. (All that recovery stores from, it has loaded before.)
//
// One definition. An inline function that a hooked and a plain object both emit exists once in the
// program: the linker keeps the first. Hooked objects come first in the link, and of the engine no
// plain library but the simulator is linked at all, so that hooked code never calls a plain copy
// and nothing goes unseen. Plain code may call a hooked copy, and is then reported. This is the
// harmless direction, since it alarms and does not hide; a simulator that works on the region while
// it is watched does so Unwatched.
#pragma once

#include <cstddef>
#include <span>

namespace cinnabar::sim {

// Told of each access before it is made, in the thread that makes it. Ranges lie in the region, cut
// at its edges, and are never empty. What it does itself is not reported. Must not throw: the
// compiler takes the calls of the hooks for ones that cannot.
class Watcher {
  public:
    virtual ~Watcher() = default;
    virtual void before_load(const std::byte* from, size_t length) = 0;
    virtual void before_store(std::byte* to, size_t length) = 0;
    virtual void before_checksum(const std::byte* from, size_t length) = 0;
};

// For a watcher: where the code goes on that is making the access which it is told of.
const void* behind_access();

// Reports the accesses of hooked code to `region` from now on; aborts when one is watched already.
// No other thread may run hooked code during either call.
void watch(std::span<const std::byte> region, Watcher& watcher);
void unwatch();

// While it lives, what its thread does is not reported.
class Unwatched {
  public:
    Unwatched();
    ~Unwatched();
    Unwatched(const Unwatched&) = delete;
    Unwatched& operator=(const Unwatched&) = delete;
};

// Is there hooked code in this program?
bool hooked();

}  // namespace cinnabar::sim
