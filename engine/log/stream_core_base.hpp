// A stream without its world: what the public Stream and Reader call.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "cinnabar/log.hpp"
#include "format/verdict.hpp"
#include "log/copy_index.hpp"

namespace cinnabar {

class StreamCoreBase {
  public:
    // A segment that a reader stands on; it is not reused before unpin(ordinal).
    struct Pinned {
        uint64_t ordinal = 0;
        format::SegmentLife life;
    };

    StreamCoreBase(std::string name, Writers writers) : name_(std::move(name)), writers_(writers) {}
    StreamCoreBase(const StreamCoreBase&) = delete;
    StreamCoreBase& operator=(const StreamCoreBase&) = delete;
    virtual ~StreamCoreBase() = default;

    const std::string& name() const { return name_; }
    Writers writers() const { return writers_; }
    log::CopyIndex& copies() { return copies_; }

    // Errors that any call may return: forked, failed.
    virtual Result<void> usable() const = 0;
    virtual Result<Lsn> append(std::span<const Bytes> pieces, uint64_t size,
                               const AppendOptions& options) = 0;
    // Appends a lazy copy of a record of this stream; its payload stays pinned meanwhile.
    virtual Result<Lsn> append_copy(const Record& record) = 0;
    // Makes copies durable, up to the one at `last`.
    virtual Result<void> force_copies(Lsn last) = 0;
    // Promises log space, or what an earlier life had promised (`again`).
    static Result<Reservation> reserve(std::shared_ptr<StreamCoreBase> stream,
                                       uint64_t record_bytes, uint32_t records, bool again);
    virtual void give_back_promised(uint64_t bytes) = 0;
    virtual Result<void> force(Lsn lsn) = 0;
    virtual Result<void> wait_durable(Lsn lsn, std::optional<std::chrono::nanoseconds> timeout) = 0;

    virtual Result<void> on_durable(Lsn lsn, std::function<void(Result<Lsn>)> call) = 0;

    virtual uint64_t durable() const = 0;
    virtual uint64_t published() const = 0;
    virtual uint64_t appended() const = 0;
    virtual uint64_t low_water() const = 0;
    virtual uint64_t oldest_end() const = 0;     // of the oldest segment
    virtual uint64_t known_durable() const = 0;  // read-only: below it frames need no flush
    virtual uint64_t record_bytes_max() const = 0;
    virtual Counters counters() const = 0;
    virtual uint64_t offset_in_pool(const std::byte* p) const = 0;

    // The segment that holds `lsn`. Errors: below_low_water, forked, failed.
    virtual Result<Pinned> pin(uint64_t lsn) = 0;
    virtual void unpin(uint64_t ordinal) = 0;

  protected:
    // The bytes promised.
    virtual Result<uint64_t> promise(uint64_t record_bytes, uint32_t records, bool again) = 0;
    static ReservedSpace* space_of(const Reservation& reservation) {
        return reservation.space_.get();
    }

  private:
    const std::string name_;
    const Writers writers_;
    log::CopyIndex copies_;
};

}  // namespace cinnabar
