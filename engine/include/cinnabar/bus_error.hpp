// An end in words where a pool's file cannot be reached any more.
//
// Pools are mapped. Where a page of one is gone (another process made the file shorter, the file
// has holes and its file system is full, the medium lost the page), a load or a store raises
// SIGBUS, and by default that ends the process with a core dump that names nothing. The library
// installs no signal handler unless it is asked to, here. Log::open refuses a file that is shorter
// than it must be; this is for what happens afterwards.
#pragma once

#include "cinnabar/result.hpp"

namespace cinnabar {

// From now on a bus error in the mapping of an open pool, or of one that its thread is opening or
// closing, ends the process: one sentence on the standard error names the file, the byte and what
// to do, and the process ends with `exit_status`, without destructors or exit handlers. The log
// is left as by a kill: what was acknowledged is kept as far as the file still holds it. Every
// other SIGBUS does what it did before: it goes to the handler that was there, is ignored (one that
// somebody sent, where it was ignored), or ends the process.
//
// While a pool is opened or closed, every bus error of that thread is taken for the pool's,
// wherever it lies; while one is closed, those of other threads are not.
//
// For the whole process; a handler that is installed later takes this one's place. Any thread,
// any number of times: a further call changes the status. The first 64 pools that are open at a
// time are known; names of more than 4000 bytes are cut.
// Errors: invalid_argument (a status that is not 1 to 255), io.
Result<void> end_on_bus_error(int exit_status);

}  // namespace cinnabar
