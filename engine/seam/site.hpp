// Where the engine touches the medium, by name. One site is one call in the source.
#pragma once

#include <cstdint>
#include <string_view>

namespace cinnabar {

// X(name): every site once; the enumeration and the names come from this list.
#define CNB_SITES(X)                                                                   \
    X(none) /* stores to a copy that has no name yet, which no crash can show */       \
    /* append and force */                                                             \
    X(forced_frame_store)                                                              \
    X(lazy_frame_store)                                                                \
    X(forced_frame_flush) /* a forced frame that was written with cached stores */     \
    X(forcer_flush)       /* what the forcer found published below its own frame */    \
    X(forced_fence)       /* the one fence of a forced record */                       \
    X(second_flush)       /* lazy predecessors, published after the first fence */     \
    X(second_fence)                                                                    \
    X(page_sync)                                                                       \
    X(carried_frame_store)                                                             \
    X(close_store) /* the testifying frame of a clean close */                         \
    /* a new segment */                                                                \
    X(ceiling_store)                                                                   \
    X(ceiling_flush)                                                                   \
    X(ceiling_fence)                                                                   \
    X(header_a_store)                                                                  \
    X(header_a_flush)                                                                  \
    X(header_a_fence)                                                                  \
    X(header_b_store)                                                                  \
    X(header_b_flush)                                                                  \
    X(header_b_fence)                                                                  \
    X(pad_store)                                                                       \
    X(link_store)                                                                      \
    X(pad_flush)                                                                       \
    X(link_flush)                                                                      \
    X(attach_fence)                                                                    \
    X(pad_sync)                                                                        \
    X(link_sync)                                                                       \
    /* low-water marks */                                                              \
    X(mark_store)                                                                      \
    X(mark_flush)                                                                      \
    X(mark_fence)                                                                      \
    /* recovery */                                                                     \
    X(accept_store) /* page domain: accepted bytes stored again, for msync to write */ \
    X(accept_flush)                                                                    \
    X(accept_fence)                                                                    \
    X(erase_store)                                                                     \
    X(erase_flush)                                                                     \
    X(erase_fence)

enum class Site : uint16_t {
#define CNB_SITE(name) name,
    CNB_SITES(CNB_SITE)
#undef CNB_SITE
};

std::string_view name_of(Site site);

}  // namespace cinnabar
