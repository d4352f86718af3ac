// Walking a stream's frames in LSN order, verifying each, on pinned segments.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "log/stream_core_base.hpp"

namespace cinnabar {

class ReaderCore {
  public:
    // `from`: where a frame starts. Errors: below_low_water, never_appended, invalid_argument.
    static Result<std::unique_ptr<ReaderCore>> open(std::shared_ptr<StreamCoreBase> stream,
                                                    std::optional<Lsn> from, Frontier frontier);
    ReaderCore(std::shared_ptr<StreamCoreBase> stream, uint64_t position, Frontier frontier);
    ReaderCore(const ReaderCore&) = delete;
    ReaderCore& operator=(const ReaderCore&) = delete;
    ~ReaderCore();

    Result<std::optional<Record>> next();
    // The next carried copy, whatever was delivered before.
    Result<std::optional<Record>> next_copy();
    // The record, or the copy of one, that stands at `lsn`. Errors: below_low_water,
    // never_appended, invalid_argument, corrupt.
    Result<Record> record_at(Lsn lsn);
    uint64_t position() const { return position_; }

  private:
    static Result<std::unique_ptr<ReaderCore>> open_once(std::shared_ptr<StreamCoreBase> stream,
                                                         std::optional<Lsn> from,
                                                         Frontier frontier);
    uint64_t limit() const;
    Result<void> stand_on(uint64_t lsn);
    Result<void> align(uint64_t from, bool exact);
    Result<format::Seen> look_at(uint64_t lsn);
    Result<std::optional<format::Seen>> next_frame();
    Record record_of(const format::Seen& seen) const;
    bool delivered_before(const format::CarriedPrefix& copy) const;
    Error below_low_water(uint64_t lsn) const;
    Error above_frontier(uint64_t lsn) const;
    Error no_record(uint64_t lsn) const;
    Error gap_at(uint64_t lsn, uint64_t bytes) const;

    const std::shared_ptr<StreamCoreBase> stream_;
    const uint64_t start_;  // the LSN that reading began at
    uint64_t position_;
    const Frontier frontier_;
    std::optional<StreamCoreBase::Pinned> pinned_;
};

}  // namespace cinnabar
