#include "log/reserved_space.hpp"

namespace cinnabar {

Reservation::Reservation(std::unique_ptr<ReservedSpace> space) : space_(std::move(space)) {}
Reservation::Reservation(Reservation&&) noexcept = default;
Reservation& Reservation::operator=(Reservation&&) noexcept = default;
Reservation::~Reservation() = default;

uint64_t Reservation::bytes_left() const {
    return space_ ? space_->left : 0;
}

Result<Reservation> StreamCoreBase::reserve(std::shared_ptr<StreamCoreBase> stream,
                                            uint64_t record_bytes, uint32_t records, bool again) {
    auto bytes = stream->promise(record_bytes, records, again);
    if (!bytes) return fail(std::move(bytes.error()));
    return Reservation(std::make_unique<ReservedSpace>(std::move(stream), *bytes));
}

}  // namespace cinnabar
