#include "seam/site.hpp"

namespace cinnabar {

std::string_view name_of(Site site) {
    switch (site) {
        case Site::none:
            return "none";
        case Site::forced_frame_store:
            return "forced_frame_store";
        case Site::lazy_frame_store:
            return "lazy_frame_store";
        case Site::forced_frame_flush:
            return "forced_frame_flush";
        case Site::forcer_flush:
            return "forcer_flush";
        case Site::forced_fence:
            return "forced_fence";
        case Site::second_flush:
            return "second_flush";
        case Site::second_fence:
            return "second_fence";
        case Site::page_sync:
            return "page_sync";
        case Site::close_store:
            return "close_store";
        case Site::ceiling_store:
            return "ceiling_store";
        case Site::ceiling_flush:
            return "ceiling_flush";
        case Site::ceiling_fence:
            return "ceiling_fence";
        case Site::header_a_store:
            return "header_a_store";
        case Site::header_a_flush:
            return "header_a_flush";
        case Site::header_a_fence:
            return "header_a_fence";
        case Site::header_b_store:
            return "header_b_store";
        case Site::header_b_flush:
            return "header_b_flush";
        case Site::header_b_fence:
            return "header_b_fence";
        case Site::pad_store:
            return "pad_store";
        case Site::link_store:
            return "link_store";
        case Site::attach_flush:
            return "attach_flush";
        case Site::attach_fence:
            return "attach_fence";
        case Site::mark_store:
            return "mark_store";
        case Site::mark_flush:
            return "mark_flush";
        case Site::mark_fence:
            return "mark_fence";
        case Site::accept_store:
            return "accept_store";
        case Site::accept_flush:
            return "accept_flush";
        case Site::accept_fence:
            return "accept_fence";
        case Site::erase_store:
            return "erase_store";
        case Site::erase_flush:
            return "erase_flush";
        case Site::erase_fence:
            return "erase_fence";
        case Site::count_of_sites:
            break;
    }
    return "unknown";
}

}  // namespace cinnabar
