#include "log/copy_index.hpp"

#include <string>

#include "log/reader_core.hpp"

namespace cinnabar::log {

Result<Lsn> CopyIndex::locate(const std::shared_ptr<StreamCoreBase>& stream, Lsn origin) {
    if (auto ok = stream->usable(); !ok) return fail(std::move(ok.error()));
    if (origin.value >= stream->durable())
        return fail(Errc::never_appended, "LSN " + std::to_string(origin.value) + " of stream '" +
                                              stream->name() + "' is above the durable frontier " +
                                              std::to_string(stream->durable()));
    if (origin.value >= stream->low_water()) return origin;
    std::lock_guard lock(mutex_);
    if (auto done = catch_up(stream); !done) return fail(std::move(done.error()));
    const auto found = newest_.find(origin.value);
    if (found != newest_.end() && found->second >= stream->low_water()) return Lsn{found->second};
    return fail(Errc::below_low_water, "LSN " + std::to_string(origin.value) + " of stream '" +
                                           stream->name() + "' is below its low-water mark " +
                                           std::to_string(stream->low_water()) +
                                           ", and the record was not carried forward");
}

// Reads the copies between where it stopped and the durable frontier.
Result<void> CopyIndex::catch_up(const std::shared_ptr<StreamCoreBase>& stream) {
    const uint64_t low_water = stream->low_water();
    std::optional<Lsn> from;  // or the low-water mark
    if (read_to_ > low_water) from = Lsn{read_to_};
    auto reader = ReaderCore::open(stream, from, Frontier::durable);
    if (!reader) return fail(std::move(reader.error()));
    for (;;) {
        auto copy = (*reader)->next_copy();
        if (!copy) return fail(std::move(copy.error()));
        if (!*copy) break;
        newest_[(*copy)->origin.value] = (*copy)->lsn.value;
    }
    read_to_ = (*reader)->position();
    std::erase_if(newest_, [&](const auto& entry) { return entry.second < low_water; });
    return {};
}

}  // namespace cinnabar::log
