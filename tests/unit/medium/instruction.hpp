// Reads one instruction of x86-64, as far as it makes memory durable.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <optional>

#include "single_step.hpp"

namespace cinnabar::medium {

// What the instruction at REG_RIP is about to do with these registers; nothing if it is of no kind
// of Executed. Whether it is a cached store cannot be told from here. Safe in a signal handler.
std::optional<Executed> about_to_execute(const gregset_t& registers);

}  // namespace cinnabar::medium
