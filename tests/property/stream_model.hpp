// What a stream holds, in plain words: its records by origin, and at which LSNs each of them
// stands, itself and its copies. Reading from anywhere delivers each record once, where it is
// first met.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cinnabar/log.hpp"

namespace cinnabar {

struct ModelRecord {
    std::vector<std::byte> payload;
    Durability durability = Durability::lazy;
    ServiceId service = {};
    uint16_t kind = 0;
    std::optional<Lsn> previous = {};
};

class StreamModel {
  public:
    const std::map<uint64_t, uint64_t>& frames() const { return frames_; }  // LSN: origin
    const ModelRecord* record_at(uint64_t lsn) const {
        const auto frame = frames_.find(lsn);
        return frame == frames_.end() ? nullptr : &records_.at(frame->second);
    }

    void append(Lsn lsn, ModelRecord record) {
        frames_[lsn.value] = lsn.value;
        records_[lsn.value] = std::move(record);
    }
    // A copy of what stands at `from`.
    void carry(Lsn from, Lsn copy) { frames_[copy.value] = frames_.at(from.value); }

    // A crash took everything from here on.
    void cut(uint64_t end) {
        frames_.erase(frames_.lower_bound(end), frames_.end());
        records_.erase(records_.lower_bound(end), records_.end());
    }
    // One frame is lost.
    void lose(uint64_t lsn) { frames_.erase(lsn); }

    // Where a record stands last, itself or a copy.
    std::optional<uint64_t> newest(uint64_t origin) const {
        std::optional<uint64_t> found;
        for (const auto& [lsn, of] : frames_)
            if (of == origin) found = lsn;
        return found;
    }

    struct Met {
        uint64_t lsn = 0;
        uint64_t origin = 0;
    };
    // What reading [from, to) delivers, in this order.
    std::vector<Met> delivered(uint64_t from, uint64_t to) const {
        std::vector<Met> all;
        std::set<uint64_t> met;
        for (auto at = frames_.lower_bound(from); at != frames_.end() && at->first < to; ++at)
            if (met.insert(at->second).second) all.push_back({at->first, at->second});
        return all;
    }

    // Empty where the record is the one that stands there, else what is wrong with it.
    std::string differs(const Met& met, const Record& record) const {
        const ModelRecord& is = records_.at(met.origin);
        const std::string at = "LSN " + std::to_string(record.lsn.value);
        if (record.lsn.value != met.lsn)
            return at + " is delivered where LSN " + std::to_string(met.lsn) + " comes next";
        if (record.origin.value != met.origin)
            return at + ": origin " + std::to_string(record.origin.value) + ", not " +
                   std::to_string(met.origin);
        if (!std::ranges::equal(record.payload, is.payload)) return at + ": another payload";
        if (record.durability != is.durability) return at + ": another durability";
        if (record.service != is.service || record.kind != is.kind)
            return at + ": another service or kind";
        if (record.previous != is.previous)
            return at + ": previous " + std::to_string(record.previous.value_or(Lsn{}).value) +
                   ", not " + std::to_string(is.previous.value_or(Lsn{}).value);
        return "";
    }

  private:
    std::map<uint64_t, uint64_t> frames_;
    std::map<uint64_t, ModelRecord> records_;
};

}  // namespace cinnabar
