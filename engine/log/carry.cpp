#include "log/carry.hpp"

#include "log/reader_core.hpp"

namespace cinnabar::log {

Result<std::vector<Lsn>> carry_forward(const std::shared_ptr<StreamCoreBase>& stream,
                                       std::span<const Lsn> records) {
    std::vector<Lsn> copies;
    if (records.empty()) return copies;
    ReaderCore reader(stream, stream->low_water(), Frontier::published);
    for (const Lsn lsn : records) {
        const auto record = reader.record_at(lsn);
        if (!record) return fail(std::move(record.error()));
        const auto copy = stream->append_copy(*record);
        if (!copy) return fail(std::move(copy.error()));
        copies.push_back(*copy);
    }
    if (auto forced = stream->force(copies.back()); !forced) return fail(std::move(forced.error()));
    return copies;
}

}  // namespace cinnabar::log
