// What stands behind a Reservation: log space that its stream has promised.
#pragma once

#include <cstdint>
#include <memory>

#include "log/stream_core_base.hpp"

namespace cinnabar {

struct ReservedSpace {
    std::shared_ptr<StreamCoreBase> stream;
    uint64_t left = 0;      // bytes that appends may still draw
    uint64_t promised = 0;  // bytes that the stream counts for it; never less than `left`

    ReservedSpace(std::shared_ptr<StreamCoreBase> of, uint64_t bytes)
        : stream(std::move(of)), left(bytes), promised(bytes) {}
    ReservedSpace(const ReservedSpace&) = delete;
    ReservedSpace& operator=(const ReservedSpace&) = delete;
    ~ReservedSpace() { stream->give_back_promised(promised); }
};

}  // namespace cinnabar
