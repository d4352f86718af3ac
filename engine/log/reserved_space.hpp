// What stands behind a Reservation: log space that its stream has promised.
#pragma once

#include <cstdint>
#include <memory>

#include "log/stream_core_base.hpp"

namespace cinnabar {

struct ReservedSpace {
    std::shared_ptr<StreamCoreBase> stream;
    uint64_t left = 0;  // bytes that appends may still draw

    ReservedSpace(std::shared_ptr<StreamCoreBase> of, uint64_t bytes)
        : stream(std::move(of)), left(bytes) {}
    ReservedSpace(const ReservedSpace&) = delete;
    ReservedSpace& operator=(const ReservedSpace&) = delete;
    ~ReservedSpace() { stream->give_back_promised(left); }
};

}  // namespace cinnabar
