// A word that names the process, at the price of one load to look: in a child it differs from what
// it was in the parent. A page that the kernel wipes on fork; where that is missing, a fork
// handler.
#pragma once

#include <atomic>
#include <cstdint>

namespace cinnabar {

// One word for the process. What begin_life() returned as long as it is the same process; 0 in a
// child, until the child begins a life of its own.
const std::atomic<uint32_t>& alive_word();

// The present value, never 0, and none that a process had from which this one descends. What is
// opened keeps it, and is refused where they differ.
uint32_t begin_life();

// Is the word wiped by the kernel, in whatever way the process is copied? Else it is a fork handler
// that does it, which runs for fork() alone and not for a bare clone.
bool wiped_on_fork();

}  // namespace cinnabar
