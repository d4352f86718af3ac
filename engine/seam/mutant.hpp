// What the engine can be made to do wrong, by name: the tests that crash it must notice each
// (engine/doc/CRASH.md). One mutant is one line in the source that asks M::mutant(...); those of
// the format are made where a test is linked, since the format knows no medium. In production the
// answer is false when the engine is compiled, and nothing of this is left.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cinnabar {

// X(name): every mutant once; the enumeration and the names come from this list.
#define CNB_MUTANTS(X)                                                                 \
    X(none)                                                                            \
    /* append and force */                                                             \
    X(published_before_stored)                                                         \
    X(durable_before_fence)    /* of what a forcer flushed below its own frame */      \
    X(early_acknowledgement)   /* the own frame is durable, those before it are not */ \
    X(second_look_left_out)    /* predecessors are awaited, and not flushed */         \
    X(predecessors_not_forced) /* force() flushes the last line alone */               \
    X(slots_counted_apart)     /* space from one counter, the turn from another */     \
    X(space_without_exchange)  /* two threads may take the same */                     \
    X(slots_not_stepped_over)  /* nobody moves the frontier on */                      \
    X(copies_not_forced)       /* before what they are copies of is released */        \
    X(previous_forgotten)      /* of a record, by its frame */                         \
    X(copy_without_previous)                                                           \
    X(testimony_too_great)  /* frames say that all before them is durable */           \
    X(failure_forgotten)    /* a failed msync leaves the pool usable */                \
    X(failure_flagged_late) /* once others may ask again */                            \
    /* a new segment */                                                                \
    X(ceiling_after_header)                                                            \
    X(headers_under_one_fence)                                                         \
    X(holding_header_first)                                                            \
    X(holding_header_not_accepted)                                                     \
    X(spare_before_fence)                                                              \
    X(tail_left_open) /* while pad and link are written */                             \
    X(link_place_given_away)                                                           \
    /* low-water marks */                                                              \
    X(reuse_before_mark)                                                               \
    X(mark_above_durable)                                                              \
    X(register_in_place) /* over the slot that holds */                                \
    X(pins_not_asked)                                                                  \
    X(own_mark_releases) /* whatever other services need */                            \
    /* space that was promised */                                                      \
    X(promise_not_counted)                                                             \
    X(reserve_given_away) /* the restart reserve, to anybody */                        \
    X(checkpoint_again)   /* a service's second one from the reserve */                \
    /* recovery */                                                                     \
    X(ceiling_not_accepted)                                                            \
    X(marks_not_accepted)                                                              \
    X(first_mark_accepted)    /* and no other */                                       \
    X(first_stream_recovered) /* and no other */                                       \
    X(ceiling_not_heeded)     /* the next generation follows those that are seen */    \
    X(renewed_headers_not_accepted)                                                    \
    X(kept_headers_not_accepted)                                                       \
    X(frames_not_accepted)                                                             \
    X(nothing_accepted)                                                                \
    X(first_page_accepted)     /* and no other of a range */                           \
    X(weak_testimony_believed) /* of a life on a medium that asked for less */         \
    X(cut_not_erased)                                                                  \
    X(tail_erased_in_part)      /* the rest is left for the next recovery */           \
    X(tail_erased_line_by_line) /* a fence for each: more work, and nothing else */    \
    X(own_generation_erased)    /* and no line of which the header is torn */          \
    X(zeros_not_accepted)                                                              \
    X(dead_segments_kept) /* later segments get no new generation */                   \
    X(dead_renewed_oldest_first)                                                       \
    /* format: what a sum begins with, and what is verified */                         \
    X(seed_without_pool)                                                               \
    X(seed_without_segment)                                                            \
    X(seed_without_generation)                                                         \
    X(seed_without_high_generation)                                                    \
    X(register_sum_not_verified)                                                       \
    X(header_sum_not_verified)                                                         \
    X(frame_sum_not_verified)                                                          \
    X(foreign_lsn_believed)                                                            \
    X(testimony_not_heeded)

enum class Mutant : uint16_t {
#define CNB_MUTANT(name) name,
    CNB_MUTANTS(CNB_MUTANT)
#undef CNB_MUTANT
};

// Inline, so that only programs that ask hold the names.
inline std::string_view name_of(Mutant mutant) {
    constexpr std::array names = {
#define CNB_MUTANT(name) std::string_view(#name),
        CNB_MUTANTS(CNB_MUTANT)
#undef CNB_MUTANT
    };
    return names.at(static_cast<size_t>(mutant));
}

}  // namespace cinnabar
