// Where the engine touches the medium, by name. One site is one call in the source.
#pragma once

#include <cstdint>
#include <string_view>

namespace cinnabar {

enum class Site : uint16_t {
    none,
    // append and force
    forced_frame_store,
    lazy_frame_store,
    forced_frame_flush,  // a forced frame that was written with cached stores
    forcer_flush,        // what the forcer found published below its own frame
    forced_fence,        // the one fence of a forced record
    second_flush,        // lazy predecessors that were published after the first fence
    second_fence,
    page_sync,
    close_store,  // the testifying frame of a clean close
    // a new segment
    ceiling_store,
    ceiling_flush,
    ceiling_fence,
    header_a_store,
    header_a_flush,
    header_a_fence,
    header_b_store,
    header_b_flush,
    header_b_fence,
    pad_store,
    link_store,
    attach_flush,
    attach_fence,
    // low-water marks
    mark_store,
    mark_flush,
    mark_fence,
    // recovery
    accept_store,  // page domain: the accepted bytes stored again, so that msync writes them
    accept_flush,
    accept_fence,
    erase_store,
    erase_flush,
    erase_fence,
    count_of_sites
};

std::string_view name_of(Site site);

}  // namespace cinnabar
