#include "log/reserved_space.hpp"

namespace cinnabar {

Result<Reservation> StreamCoreBase::reserve(std::shared_ptr<StreamCoreBase> stream,
                                            uint64_t record_bytes, uint32_t records, bool again) {
    auto bytes = stream->promise(record_bytes, records, again);
    if (!bytes) return fail(std::move(bytes.error()));
    return Reservation(std::make_unique<ReservedSpace>(std::move(stream), *bytes));
}

}  // namespace cinnabar
