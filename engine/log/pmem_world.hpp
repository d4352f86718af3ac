// The world in production.
#pragma once

#include <mutex>

#include "log/futex_park.hpp"
#include "medium/modelled_medium.hpp"
#include "medium/pmem_medium.hpp"
#include "seam/world.hpp"

namespace cinnabar::log {

template <class M>
struct WorldOn {
    using Medium = M;
    using Park = FutexPark;
    using Mutex = std::mutex;
    static void point() {}
};

using PmemWorld = WorldOn<medium::PmemMedium>;
using ModelledWorld = WorldOn<medium::Modelled<medium::PmemMedium>>;
static_assert(World<PmemWorld> && World<ModelledWorld>);

}  // namespace cinnabar::log
