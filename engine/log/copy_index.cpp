#include "log/copy_index.hpp"

#include <algorithm>
#include <string>

#include "log/reader_core.hpp"

namespace cinnabar::log {

Result<Lsn> CopyIndex::locate(const std::shared_ptr<StreamCoreBase>& stream, Lsn origin) {
    if (auto ok = stream->usable(); !ok) return fail(std::move(ok.error()));
    if (origin.value >= stream->appended())
        return fail(Errc::never_appended, "LSN " + std::to_string(origin.value) + " of stream '" +
                                              stream->name() + "' is not below its end " +
                                              std::to_string(stream->appended()) +
                                              "; use an LSN that append or a reader gave");
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

Result<std::vector<Lsn>> CopyIndex::carry_forward(const std::shared_ptr<StreamCoreBase>& stream,
                                                  std::span<const Lsn> records,
                                                  std::optional<Lsn> release_to) {
    if (auto ok = stream->usable(); !ok) return fail(std::move(ok.error()));
    std::vector<Lsn> places;
    if (records.empty()) return places;
    // In a stream of many writers an append may return before what stands below it is published.
    const Lsn newest = *std::max_element(records.begin(), records.end());
    if (auto forced = stream->force(newest); !forced) return fail(std::move(forced.error()));
    std::lock_guard lock(mutex_);
    if (auto done = catch_up(stream); !done) return fail(std::move(done.error()));
    ReaderCore reader(stream, stream->low_water(), Frontier::published);
    for (const Lsn lsn : records) {
        auto record = reader.record_at(lsn);
        if (!record) return fail(std::move(record.error()));
        uint64_t& place = newest_.emplace(record->origin.value, lsn.value).first->second;
        if (!release_to || place < release_to->value) {
            record->lsn = Lsn{place};
            const auto copy = stream->append_copy(*record);
            if (!copy) return fail(copy.error());
            place = copy->value;
        }
        places.push_back(Lsn{place});
    }
    const Lsn last = *std::max_element(places.begin(), places.end());
    if (auto forced = stream->force_copies(last); !forced) return fail(std::move(forced.error()));
    return places;
}

// Knows every copy below the published frontier. Releases may overtake the reading: then it begins
// again at the new mark.
Result<void> CopyIndex::catch_up(const std::shared_ptr<StreamCoreBase>& stream) {
    for (;;) {
        const uint64_t low_water = stream->low_water();
        auto done = read_on(stream, low_water);
        if (done || done.error().code != Errc::below_low_water) return done;
        if (stream->low_water() == low_water) return done;
    }
}

Result<void> CopyIndex::read_on(const std::shared_ptr<StreamCoreBase>& stream, uint64_t low_water) {
    std::optional<Lsn> from;  // or the low-water mark
    if (read_to_ > low_water) from = Lsn{read_to_};
    auto reader = ReaderCore::open(stream, from, Frontier::published);
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
