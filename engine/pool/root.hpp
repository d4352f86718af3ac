// What libpmemobj knows of a pool: its layout name and its root object. The root keeps the
// allocations reachable; the positions that count stand in the superblock.
#pragma once

#include <libpmemobj++/persistent_ptr.hpp>
#include <libpmemobj++/pool.hpp>

#include "format/layout.hpp"

namespace cinnabar::pool {

inline constexpr char kLayoutName[] = "cinnabar-1";

struct Root {
    pmem::obj::persistent_ptr<char> catalogue;  // the catalogue starts at the next whole page
    pmem::obj::persistent_ptr<char> extents[format::kExtentsMax];
};
static_assert(sizeof(Root) == 16 * (1 + format::kExtentsMax));

}  // namespace cinnabar::pool
