// A stream: how a record gets its place, its bytes and its durability.
//
// The tail is one word, {segment ordinal, line in the segment}. Taking space is one
// compare-exchange on it (a plain store where there is one writer), and it succeeds only if the
// frame fits into the present segment: space, LSN and slot come from the same step (trap L2),
// nobody ever owns a place outside a segment (L17), and nothing is taken that must be refused
// (L4). Whoever does not fit crosses under the stream's mutex: he obtains a prepared segment
// first, then closes the tail, pads, writes the link frame, fences, and opens the tail behind it.
// stream_core_admission.hpp says who may have a segment when few are left.
//
// Between taking space and publishing there is only the copy: no lock, no user code, no failure.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "base/fork_guard.hpp"
#include "base/thread_slot.hpp"
#include "format/codec.hpp"
#include "log/check_pool.hpp"
#include "log/counters.hpp"
#include "log/frontiers.hpp"
#include "log/holder.hpp"
#include "log/reserved_space.hpp"
#include "log/segment_pool.hpp"
#include "log/stream_core_base.hpp"

namespace cinnabar::log {

// What a stream starts from: recovery's result, or nothing.
struct StreamStart {
    uint32_t stream = 0;
    std::string name;
    Writers writers = Writers::one;
    bool reserve = false;
    uint64_t mark = 0;
    uint64_t first_ordinal = 0;
    std::vector<PreparedSegment> segments;  // oldest first
    uint64_t end = 0;                       // the cut
    uint64_t known_durable = 0;
};

struct StreamMode {
    bool read_only = false;
    bool forced_cached = false;
};

template <World W>
class StreamCore final : public StreamCoreBase {
  public:
    using M = typename W::Medium;

    // Called outside of the stream's lock.
    struct Hooks {
        // Says who holds the pool's space, for the error of a full log.
        std::function<std::string(const StreamCore&)> holder;
        // The stream took another segment.
        std::function<void(const StreamCore&)> crossed;
        // Is this a service of the stream?
        std::function<bool(uint32_t stream, ServiceId service)> owns;
    };

    StreamCore(PoolMedium<W>& medium, SegmentPool<W>& segments, const StreamStart& start,
               StreamMode mode, Hooks hooks);
    ~StreamCore() override {
        if (is_alive()) medium_.unwatch_failure(this);
    }

    uint32_t stream() const { return stream_; }
    bool has_reserve() const { return reserve_; }

    Result<void> usable() const override;
    Result<Lsn> append(std::span<const Bytes> pieces, uint64_t size,
                       const AppendOptions& options) override;
    Result<Lsn> append_copy(const Record& record) override;
    Result<void> force_copies(Lsn last) override {
        return M::mutant(Mutant::copies_not_forced) ? Result<void>{} : force(last);
    }
    Result<uint64_t> promise(uint64_t record_bytes, uint32_t records, bool again) override;
    void give_back_promised(uint64_t bytes) override;
    Result<void> force(Lsn lsn) override;
    Result<void> wait_durable(Lsn lsn, std::optional<std::chrono::nanoseconds> timeout) override;

    Result<void> on_durable(Lsn lsn, std::function<void(Result<Lsn>)> call) override;

    uint64_t durable() const override {
        return std::min(frontiers_.durable(), frontiers_.published());
    }
    uint64_t published() const override { return frontiers_.published(); }
    uint64_t appended() const override { return lsn_of(tail_.load(std::memory_order_acquire)); }
    uint64_t low_water() const override { return mark_.load(std::memory_order_acquire); }
    uint64_t oldest_end() const override;
    uint64_t known_durable() const override { return known_durable_; }
    uint64_t record_bytes_max() const override { return record_bytes_max_; }
    Counters counters() const override;
    uint64_t offset_in_pool(const std::byte* p) const override {
        return medium_.space().offset_of(p);
    }
    Result<Pinned> pin(uint64_t lsn) override;
    void unpin(uint64_t ordinal) override;

    // The stream's lowest mark was durably raised: gives back what nobody needs.
    void release_below(uint64_t mark);
    // The service is gone; its number may be another's soon.
    void forget_checkpoint(ServiceId service);

    // Appends the frame that testifies for a clean close, if this life appended and there is room.
    Result<void> write_close_frame();

    // The stream is being removed: its segments hold nothing that anybody needs.
    void give_back_all();

    // The live segments, which are not reused before unpin_all.
    CheckedStream pin_all();
    void unpin_all(const CheckedStream& checked);

    void count(const Maintenance& maintenance);

    // No call succeeds after this.
    void close();

    // But for the service's name, which the stream does not know.
    Holding holding() const;

  private:
    static constexpr uint32_t kKeptBack = 0x80000000;  // a bit of the line: not for everybody
    static constexpr uint32_t kClosedLine = 0xFFFFFFFF;
    static constexpr uint64_t kOrdinalsMax = UINT32_MAX - 1;
    static constexpr uint64_t kUnflushedMax = 256 * 1024;  // of lazy bytes, per stream

    // One life of a segment while it belongs to this stream.
    struct Live {
        std::byte* base = nullptr;
        uint64_t generation = 0;
        uint64_t base_lsn = 0;
        uint32_t segment = 0;
        uint32_t seed = 0;
        uint32_t pins = 0;  // under mutex_
    };

    struct Frame {
        format::FrameType type = format::FrameType::record;
        uint64_t payload_bytes = 0;
        bool forced = false;
        uint16_t service = 0;
        uint16_t kind = 0;
        uint32_t back_lines = 0;
    };

    // What an append asks for.
    struct Draw {
        uint64_t lines = 0;
        ReservedSpace* reserved = nullptr;
        uint16_t checkpoint = 0;  // of this service
        bool copy = false;

        uint64_t bytes() const { return lines * format::kLineBytes; }
    };

    enum class Step : uint8_t { again, crossed, taken, refused };

    // A place in the stream that one thread owns.
    struct Place {
        const Live* live = nullptr;
        uint64_t lsn = 0;
        uint64_t lines = 0;

        uint64_t end() const { return lsn + lines * format::kLineBytes; }
        std::byte* bytes() const {
            return live->base + format::kFramesOffset + (lsn - live->base_lsn);
        }
    };

    static constexpr uint64_t pack(uint32_t ordinal, uint32_t line) {
        return uint64_t{ordinal} << 32 | line;
    }
    static constexpr uint32_t ordinal_of(uint64_t word) {
        return static_cast<uint32_t>(word >> 32);
    }
    // Beyond every segment's end where the fast path must not take space.
    static constexpr uint32_t line_of(uint64_t word) { return static_cast<uint32_t>(word); }
    static constexpr uint32_t line_in(uint64_t word) { return line_of(word) & ~kKeptBack; }
    static constexpr bool is_kept_back(uint64_t word) { return (line_of(word) & kKeptBack) != 0; }

    uint64_t lsn_of(uint64_t word) const {
        if (line_of(word) == kClosedLine) return uint64_t{ordinal_of(word) + 1} * span_;
        return uint64_t{ordinal_of(word)} * span_ + uint64_t{line_in(word)} * format::kLineBytes -
               format::kFramesOffset;
    }

    Live& live(uint64_t ordinal) { return live_[ordinal & (live_.size() - 1)]; }
    const Live& live(uint64_t ordinal) const { return live_[ordinal & (live_.size() - 1)]; }

    Result<void> writable();
    static void touch(std::span<const Bytes> pieces);
    static Result<uint32_t> back_to(Lsn previous, uint64_t lsn);
    bool is_alive() const { return alive_.load(std::memory_order_relaxed) == life_; }
    bool is_writable() const;
    Result<void> admissible(uint64_t size);
    Error too_large(uint64_t size) const;
    Result<Draw> draw_for(uint64_t lines, const AppendOptions& options) const;
    bool try_take(uint64_t lines, Place& place);
    Result<void> take(const Draw& draw, std::optional<Lsn> previous, Place& place,
                      uint32_t& back_lines);
    bool advance_tail(uint64_t word, uint64_t lines);
    Result<Step> step_locked(const Draw& draw, Place& place);
    bool may_use_kept_back(const Draw& draw) const;
    Result<Step> take_kept_back(uint64_t word, const Draw& draw, Place& place);
    Result<Step> cross(uint64_t word, const Draw& draw);
    uint32_t segments_for(uint64_t reserved, uint64_t room) const;
    uint64_t kept_back_room() const;
    Result<void> open_next(const PreparedSegment& segment, uint64_t word, uint64_t kept_back);
    Result<void> attach(const Place& pad, const Place& link, const format::LinkPayload& payload);
    format::SegmentLife life_of_live(const Live& segment) const;
    Live new_life(const PreparedSegment& segment, uint64_t base_lsn) const;

    format::FrameHeader header(const Place& place, const Frame& frame) const;
    void store(const Place& place, const Frame& frame, std::span<const Bytes> pieces, Site site,
               StoreKind kind);
    bool write_forced(const Place& place, const Frame& frame, std::span<const Bytes> pieces,
                      CounterStripes::Work& work);
    bool write_lazy(const Place& place, const Frame& frame, std::span<const Bytes> pieces);
    Result<void> catch_up(uint64_t end, bool forced);
    bool finish_forced(const Place& place, bool cached, CounterStripes::Work& work);
    Result<void> settle(uint64_t end, CounterStripes::Work& work);
    Result<void> force_published(CounterStripes::Work& work);
    Result<void> sync_to(uint64_t end, CounterStripes::Work& work);
    uint64_t flush_range(Site site, uint64_t from, uint64_t to);
    template <class Piece>
    void for_each_piece(uint64_t from, uint64_t to, Piece&& piece) const;
    const std::byte* base_if_live(uint64_t base_lsn) const;
    void put_live(const Live& segment);
    void give_back_released();
    Error full(const std::string& why) const;
    Error never_appended(Lsn lsn) const;

    PoolMedium<W>& medium_;
    M& raw_;
    SegmentPool<W>& segments_;
    const uint32_t stream_;
    const bool many_;
    const StreamMode mode_;
    const bool page_domain_;
    const bool reserve_;  // the pool keeps segments back for this stream
    const uint64_t record_bytes_max_;
    const uint64_t frame_bytes_max_;
    const uint64_t span_;  // LSNs per segment
    const uint32_t segment_lines_;
    const uint64_t known_durable_;
    const uint64_t opened_at_;  // where this life began to append
    const Hooks hooks_;
    const std::atomic<uint32_t>& alive_;
    const uint32_t life_;  // of the process; alive_ differs in a child after fork

    std::atomic<const void*> writer_{nullptr};  // of a one-writer stream, from its first append
    std::atomic<bool> closed_{false};
    Frontiers<W> frontiers_;
    std::atomic<uint64_t>& tail_;  // stands beside the frontiers
    std::vector<Live> live_;
    CounterStripes counters_;

    mutable typename W::Mutex mutex_;  // crossing, reservations, pins, marks
    uint64_t first_ordinal_ = 0;       // live segments are [first, next)
    uint64_t next_ordinal_ = 0;
    uint64_t reserved_bytes_ = 0;      // of all reservations
    uint32_t promised_ = 0;            // segments_for them, as segments_ knows it
    std::set<uint16_t> checkpointed_;  // services that used kept-back space since any was released
    Maintenance maintenance_;
    std::atomic<uint64_t> mark_;
};

}  // namespace cinnabar::log

#include "log/stream_core_admission.hpp"
#include "log/stream_core_append.hpp"
#include "log/stream_core_segments.hpp"
