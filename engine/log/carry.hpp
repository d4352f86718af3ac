// Carrying records forward, and finding them afterwards.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cinnabar/log.hpp"

namespace cinnabar::log {

// See Stream::carry_forward.
Result<std::vector<Lsn>> carry_forward(const std::shared_ptr<StreamCoreBase>& stream,
                                       std::span<const Lsn> records);

}  // namespace cinnabar::log
