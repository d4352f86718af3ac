// The names of the sites.
#include "seam/site.hpp"

#include <array>

namespace cinnabar {

namespace {

constexpr std::array kNames = {
#define CNB_SITE(name) std::string_view(#name),
    CNB_SITES(CNB_SITE)
#undef CNB_SITE
};

}  // namespace

std::string_view name_of(Site site) {
    return kNames.at(static_cast<size_t>(site));
}

}  // namespace cinnabar
