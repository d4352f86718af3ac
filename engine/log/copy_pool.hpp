// Writes what a survey found of an old pool into the space of a new one.
#pragma once

#include <cstdint>

#include "cinnabar/copy.hpp"
#include "log/survey.hpp"
#include "pool/space.hpp"

namespace cinnabar::log {

// Stores the tables, and the streams into the first segments of `fresh`, which holds a catalogue
// without rows, and zeros in at least survey.segments_needed() segments. Nothing is made durable.
// Fills the report's streams and segments_used. Errors: io (the old pool changed meanwhile).
Result<void> copy_pool_into(const pool::Space& old, const PoolSurvey& survey,
                            const pool::Space& fresh, CopyReport& report);

}  // namespace cinnabar::log
