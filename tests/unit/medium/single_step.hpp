// What a piece of code does to memory, instruction by instruction: it runs with the processor's
// trap flag, and before each instruction a signal handler looks at it. So that a test can see what
// no load shows: whether a store goes past the caches, what is flushed, and where a fence stands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <span>
#include <vector>

namespace cinnabar::medium {

struct Executed {
    enum class Kind : uint8_t {
        cached_store,  // changed the watched bytes, and is none of the others
        non_temporal_store,
        clflush,
        clflushopt,
        clwb,
        sfence,
        msync,        // with MS_SYNC
        system_call,  // any other
    };

    Kind kind;
    uintptr_t address = 0;  // of a flush: of the line
    size_t bytes = 0;

    bool operator==(const Executed&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Executed& executed);

// Does this process get the signal of the trap flag? Some emulators do not send it.
bool can_single_step();

// Runs `work`, and gives back what it executed of the above, in order. Cached stores are those that
// change `watched`: one that stores what is there already is not seen. Non-temporal ones, flushes
// and fences are all seen, whatever they reach, but for movnti's relatives in MMX and AMD's SSE4a,
// maskmovdqu and movdiri, which no compiler makes unasked. A signal handler of SIGTRAP is replaced
// meanwhile; one thread at a time.
std::vector<Executed> single_step(std::span<const std::byte> watched,
                                  const std::function<void()>& work);

}  // namespace cinnabar::medium
