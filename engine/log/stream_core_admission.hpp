// StreamCore: who may take space, and when. Included by stream_core.hpp.
//
// Space is admitted before it is taken, so a refused append leaves no hole. An ordinary append is
// admitted to the present segment, or to a whole segment beyond those that the pool keeps back
// (SegmentPool). What may be written when only kept-back segments are left: records with a
// reservation, carried copies, one checkpoint per service. A segment taken from those bears
// kKeptBack in the tail word: the fast path refuses it without a look at anything else, and its
// space is given out under the mutex. Once there is room in the pool again, the next append clears
// the bit.
//
// A stream promises segments, enough for all bytes reserved in it, and the pool never gives away a
// promised segment to anybody else. Frames of a reservation cannot be refused, therefore: each one
// lowers the promise by what it takes (segments_for).
#pragma once

#include "log/stream_core.hpp"

namespace cinnabar::log {

// Segments that reserved frames need beyond the `room` bytes of the present one that are theirs
// alone. A frame that does not fit wastes less than its own length at a segment's end.
template <World W>
uint32_t StreamCore<W>::segments_for(uint64_t reserved, uint64_t room) const {
    const uint64_t waste = frame_bytes_max_ - format::kLineBytes;
    const uint64_t here = room - std::min(room, waste);
    const uint64_t each = span_ - frame_bytes_max_;  // behind the link frame, less the waste
    const uint64_t beyond = reserved - std::min(reserved, here);
    return static_cast<uint32_t>((beyond + each - 1) / each);
}

// Bytes left in the present segment, if nobody takes them without the mutex.
template <World W>
uint64_t StreamCore<W>::kept_back_room() const {
    const uint64_t word = tail_.load(std::memory_order_acquire);
    if (!is_kept_back(word) || line_in(word) >= segment_lines_) return 0;
    return uint64_t{segment_lines_ - line_in(word)} * format::kLineBytes;
}

template <World W>
Result<typename StreamCore<W>::Draw> StreamCore<W>::draw_for(uint64_t lines,
                                                             const AppendOptions& options) const {
    Draw draw{lines, nullptr, 0};
    if (options.checkpoint) {
        if (!hooks_.owns(stream_, options.service))
            return fail(Errc::invalid_argument,
                        "a checkpoint is of a service: " + std::to_string(options.service.value) +
                            " is no service of stream '" + name() + "'");
        draw.checkpoint = options.service.value;
    }
    if (options.reservation == nullptr) return draw;
    draw.reserved = space_of(*options.reservation);
    if (draw.reserved == nullptr || draw.reserved->stream.get() != this)
        return fail(Errc::invalid_argument,
                    "stream '" + name() + "': the reservation is of another stream, or moved from");
    if (draw.reserved->left < draw.bytes())
        return fail(Errc::invalid_argument, "the record takes " + std::to_string(draw.bytes()) +
                                                " bytes of the log and its reservation has " +
                                                std::to_string(draw.reserved->left) +
                                                " left: reserve more");
    return draw;
}

// Space for a frame, crossing and waiting as needed. On error nothing was taken.
template <World W>
Result<void> StreamCore<W>::take(const Draw& draw, std::optional<Lsn> previous, Place& place,
                                 uint32_t& back_lines) {
    for (Step step = Step::again; step != Step::taken;) {
        const uint64_t word = tail_.load(std::memory_order_acquire);
        if (previous) {
            auto back = back_to(*previous, lsn_of(word));
            if (!back) return fail(std::move(back.error()));
        }
        if (line_of(word) + draw.lines <= segment_lines_) {
            frontiers_.wait([&] { return frontiers_.in_window(lsn_of(word)); });
            if (!try_take(draw.lines, place)) continue;
            if (draw.reserved != nullptr) give_back_promised(draw.bytes());
            step = Step::taken;
            continue;
        }
        auto stepped = step_locked(draw, place);
        if (!stepped) return fail(std::move(stepped.error()));
        step = *stepped;
        if (step == Step::refused) return fail(full(segments_.why_none()));
        // Who carries forward knows that space is low, and may be in that very call.
        if (step == Step::crossed && !draw.copy) hooks_.crossed(*this);
    }
    // Others may have come between: it is the place taken that counts.
    if (previous)
        back_lines = static_cast<uint32_t>((place.lsn - previous->value) / format::kLineBytes);
    if (draw.reserved != nullptr) draw.reserved->left -= draw.bytes();
    return {};
}

template <World W>
Result<typename StreamCore<W>::Step> StreamCore<W>::step_locked(const Draw& draw, Place& place) {
    std::lock_guard lock(mutex_);
    const uint64_t word = tail_.load(std::memory_order_acquire);
    if (line_in(word) + draw.lines > segment_lines_) return cross(word, draw);
    if (!is_kept_back(word)) return Step::again;  // another thread crossed meanwhile
    // Is there room in the pool again, so that the segment can be opened to all?
    const uint32_t open = segments_for(reserved_bytes_, 0);
    if (segments_.promise(Reach::open, promised_, open)) {
        promised_ = open;
        tail_.store(word & ~uint64_t{kKeptBack}, std::memory_order_release);
        return Step::again;
    }
    if (!may_use_kept_back(draw)) return Step::refused;
    return take_kept_back(word, draw, place);
}

template <World W>
bool StreamCore<W>::may_use_kept_back(const Draw& draw) const {
    if (!reserve_) return false;
    if (draw.copy || draw.reserved != nullptr) return true;
    if (M::mutant(Mutant::checkpoint_again)) return draw.checkpoint != 0;
    return draw.checkpoint != 0 && !checkpointed_.contains(draw.checkpoint);
}

// Under mutex_; the frame fits into the present segment, which was taken from those kept back.
template <World W>
Result<typename StreamCore<W>::Step> StreamCore<W>::take_kept_back(uint64_t word, const Draw& draw,
                                                                   Place& place) {
    const uint64_t reserved = reserved_bytes_ - (draw.reserved != nullptr ? draw.bytes() : 0);
    const uint32_t after = segments_for(reserved, kept_back_room() - draw.bytes());
    if (!segments_.promise(Reach::kept_back, promised_, after)) return Step::refused;
    promised_ = after;
    reserved_bytes_ = reserved;
    if (draw.checkpoint != 0 && draw.reserved == nullptr) checkpointed_.insert(draw.checkpoint);
    const uint64_t lsn = lsn_of(word);
    frontiers_.wait([&] { return frontiers_.in_window(lsn); });
    place = {&live(ordinal_of(word)), lsn, draw.lines};
    tail_.store(word + draw.lines, std::memory_order_release);
    return Step::taken;
}

// Under mutex_. Opens a new segment for a frame that does not fit. On error nothing was taken.
template <World W>
Result<typename StreamCore<W>::Step> StreamCore<W>::cross(uint64_t word, const Draw& draw) {
    if (medium_.failed()) return fail(PoolMedium<W>::failure());
    if (next_ordinal_ >= kOrdinalsMax)
        return fail(Errc::full,
                    "stream '" + name() + "' has used up its positions: go on in a new stream");
    uint64_t kept_back = 0;
    uint32_t promise = segments_for(reserved_bytes_, 0);
    auto segment = segments_.take(Reach::open, promised_, promise, maintenance_);
    if (!segment && segment.error().code == Errc::full && may_use_kept_back(draw)) {
        kept_back = kKeptBack;
        promise = segments_for(reserved_bytes_, span_ - format::kLineBytes);
        segment = segments_.take(Reach::kept_back, promised_, promise, maintenance_);
    }
    if (!segment) {
        if (segment.error().code == Errc::full) return Step::refused;
        return fail(std::move(segment.error()));
    }
    promised_ = promise;
    // From here on nobody takes what is left; until here smaller frames may have.
    while (!M::mutant(Mutant::tail_left_open) && line_of(word) != kClosedLine &&
           !tail_.compare_exchange_weak(word, pack(ordinal_of(word), kClosedLine),
                                        std::memory_order_acq_rel)) {
    }
    if (auto opened = open_next(*segment, word, kept_back); !opened)
        return fail(std::move(opened.error()));
    give_back_released();  // the segment that the tail left may have been released before
    return Step::crossed;
}

template <World W>
Error StreamCore<W>::full(const std::string& why) const {
    return {Errc::full, "stream '" + name() + "': " + why + "; " + hooks_.holder(*this),
            Lsn{appended()}, std::nullopt};
}

template <World W>
Result<uint64_t> StreamCore<W>::promise(uint64_t record_bytes, uint32_t records, bool again) {
    if (auto ok = usable(); !ok) return fail(std::move(ok.error()));
    if (mode_.read_only)
        return fail(Errc::read_only, "stream '" + name() + "': the log was opened read-only");
    if (!reserve_)
        return fail(Errc::invalid_argument, "stream '" + name() +
                                                "' has no restart reserve: create it with "
                                                "Reserve::yes");
    if (record_bytes == 0 || records == 0)
        return fail(Errc::invalid_argument, "a reservation is for one record of one byte or more");
    if (record_bytes > record_bytes_max_) return fail(too_large(record_bytes));
    const uint64_t bytes = format::padded_bytes(record_bytes) * records;
    uint32_t more = 0;
    {
        std::lock_guard lock(mutex_);
        const uint32_t after = segments_for(reserved_bytes_ + bytes, kept_back_room());
        more = after - promised_;
        if (segments_.promise(again ? Reach::kept_back : Reach::open, promised_, after)) {
            promised_ = after;
            reserved_bytes_ += bytes;
            return bytes;
        }
    }
    return fail(full("a reservation of " + std::to_string(bytes) + " bytes needs " +
                     std::to_string(more) + " more segments, and " + segments_.why_none()));
}

template <World W>
void StreamCore<W>::give_back_promised(uint64_t bytes) {
    if (!is_alive()) return;  // a child after fork
    std::lock_guard lock(mutex_);
    CNB_CHECK(bytes <= reserved_bytes_, {"bytes", bytes}, {"reserved", reserved_bytes_});
    reserved_bytes_ -= bytes;
    // Never more than before, also where a crossing failed and left no room: the pool failed then.
    const uint32_t after = std::min(promised_, segments_for(reserved_bytes_, kept_back_room()));
    CNB_CHECK(segments_.promise(Reach::kept_back, promised_, after), {"after", after});
    promised_ = after;
}

}  // namespace cinnabar::log
