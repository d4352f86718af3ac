// StreamCore: its segments. Crossing into a new one, pinning, giving back. Included by
// stream_core.hpp.
#pragma once

#include "log/stream_core.hpp"

namespace cinnabar::log {

template <World W>
StreamCore<W>::StreamCore(PoolMedium<W>& medium, SegmentPool<W>& segments, const StreamStart& start,
                          StreamMode mode, Hooks hooks)
    : StreamCoreBase(start.name, start.writers),
      medium_(medium),
      raw_(medium.raw()),
      segments_(segments),
      stream_(start.stream),
      many_(start.writers == Writers::many),
      mode_(mode),
      page_domain_(medium.domain() == Domain::page),
      reserve_(start.reserve),
      record_bytes_max_(format::payload_bytes_max(medium.space().segment_bytes)),
      frame_bytes_max_(format::frame_bytes_max(medium.space().segment_bytes)),
      span_(format::frame_space(medium.space().segment_bytes)),
      segment_lines_(static_cast<uint32_t>(medium.space().segment_bytes / format::kLineBytes)),
      known_durable_(start.known_durable),
      opened_at_(start.end),
      hooks_(std::move(hooks)),
      alive_(alive_word()),
      life_(begin_life()),
      frontiers_(many_, start.end),
      tail_(frontiers_.tail()),
      live_(std::bit_ceil(medium.space().segments.size() + 1)),
      first_ordinal_(start.first_ordinal),
      next_ordinal_(start.first_ordinal + start.segments.size()),
      mark_(start.mark) {
    for (uint64_t i = 0; i < start.segments.size(); ++i) {
        const uint64_t ordinal = first_ordinal_ + i;
        live(ordinal) = new_life(start.segments[i], ordinal * span_);
    }
    // The tail stands in the last segment; without one it is closed, and the first append crosses.
    const uint32_t last = static_cast<uint32_t>(next_ordinal_ - 1);
    const uint64_t in_last = start.end - (next_ordinal_ - 1) * span_;
    const bool none = start.segments.empty();
    CNB_CHECK(none || in_last <= span_, {"end", start.end});
    // With a restart reserve its rest may be what an earlier life had promised: kept back, until
    // the first append finds that it is not needed.
    const uint32_t line =
        static_cast<uint32_t>((in_last + format::kFramesOffset) / format::kLineBytes);
    tail_ = pack(last, none ? kClosedLine : reserve_ ? line | kKeptBack : line);
    medium_.watch_failure(this, [this] { frontiers_.give_up(PoolMedium<W>::failure()); });
}

template <World W>
typename StreamCore<W>::Live StreamCore<W>::new_life(const PreparedSegment& segment,
                                                     uint64_t base_lsn) const {
    Live life;
    life.base = medium_.space().segments[segment.segment];
    life.generation = segment.generation;
    life.base_lsn = base_lsn;
    life.segment = segment.segment;
    life.seed = format::frame_seed(medium_.id(), segment.segment, segment.generation);
    return life;
}

// Under mutex_, with the tail closed; `word` is where it stood. `kept_back` is the new tail's bit.
template <World W>
Result<void> StreamCore<W>::open_next(const PreparedSegment& segment, uint64_t word,
                                      uint64_t kept_back) {
    CNB_CHECK(next_ordinal_ == uint64_t{ordinal_of(word)} + 1 ||
                  (next_ordinal_ == 0 && ordinal_of(word) == UINT32_MAX),
              {"next_ordinal", next_ordinal_}, {"tail", word});
    const Live& predecessor = live(next_ordinal_ - 1);
    const Live next = new_life(segment, next_ordinal_ * span_);
    Place pad;
    if (line_in(word) < segment_lines_)
        pad = {&predecessor, lsn_of(word), segment_lines_ - line_in(word)};
    const Place link{&next, next.base_lsn, 1};
    format::LinkPayload payload;
    payload.stream = stream_;
    payload.predecessor_end_lsn = next.base_lsn;
    if (next_ordinal_ > first_ordinal_) {
        payload.predecessor_segment = predecessor.segment;
        payload.predecessor_generation = predecessor.generation;
    }
    if (auto attached = attach(pad, link, payload); !attached) return attached;

    put_live(next);
    ++next_ordinal_;
    constexpr uint32_t first_line = format::kFramesOffset / format::kLineBytes;
    const uint32_t behind_link = first_line + (M::mutant(Mutant::link_place_given_away) ? 0 : 1);
    tail_.store(pack(static_cast<uint32_t>(next_ordinal_ - 1), behind_link) | kept_back,
                std::memory_order_release);
    for (const Place& place : {pad, link}) {
        if (place.live == nullptr) continue;
        frontiers_.wait([&] { return frontiers_.in_window(place.lsn); });
        frontiers_.publish(place.lsn, place.lines, true);
    }
    return {};
}

// Gives the next ordinal's place to this segment. A forcer may be looking for the one that stood
// there (base_if_live), which is released: it must not take the new base for the old one's.
template <World W>
void StreamCore<W>::put_live(const Live& segment) {
    Live& place = live(next_ordinal_);
    std::atomic_ref(place.base_lsn).store(segment.base_lsn, std::memory_order_relaxed);
    std::atomic_ref(place.base).store(segment.base, std::memory_order_release);
    place.generation = segment.generation;
    place.segment = segment.segment;
    place.seed = segment.seed;
    place.pins = segment.pins;
}

// Writes the pad that ends one segment and the link frame that begins the next, and makes both
// durable before any other frame of the new segment is stored.
template <World W>
Result<void> StreamCore<W>::attach(const Place& pad, const Place& link,
                                   const format::LinkPayload& payload) {
    Frame frame;
    frame.forced = true;
    if (pad.live != nullptr) {
        frame.type = format::FrameType::pad;
        frame.payload_bytes = pad.lines * format::kLineBytes - format::kHeaderBytes;
        store(pad, frame, {}, Site::pad_store, StoreKind::cached);
        maintenance_.bytes += format::kLineBytes;
    }
    frame.type = format::FrameType::link;
    frame.payload_bytes = sizeof payload;
    const Bytes bytes = std::as_bytes(std::span(&payload, 1));
    store(link, frame, {&bytes, 1}, Site::link_store, StoreKind::cached);
    maintenance_.bytes += format::kLineBytes;

    ++maintenance_.fences;
    if (page_domain_)
        return medium_.lead_sync([&](M& medium) -> Result<void> {
            if (pad.live != nullptr) {
                auto synced = medium.sync(Site::pad_sync, pad.bytes(), format::kLineBytes);
                if (!synced) return synced;
            }
            return medium.sync(Site::link_sync, link.bytes(), format::kLineBytes);
        });
    if (pad.live != nullptr) raw_.flush(Site::pad_flush, pad.bytes(), format::kLineBytes);
    raw_.flush(Site::link_flush, link.bytes(), format::kLineBytes);
    raw_.fence(Site::attach_fence);
    maintenance_.lines += pad.live != nullptr ? 2 : 1;
    return {};
}

template <World W>
void StreamCore<W>::close() {
    closed_.store(true, std::memory_order_release);
    frontiers_.give_up({Errc::failed, "stream '" + name() + "': the log was closed; open it again",
                        std::nullopt, std::nullopt});
}

template <World W>
uint64_t StreamCore<W>::oldest_end() const {
    if (!is_alive()) return low_water();
    std::lock_guard lock(mutex_);
    return (first_ordinal_ + 1) * span_;
}

template <World W>
Holding StreamCore<W>::holding() const {
    std::lock_guard lock(mutex_);
    Holding holding;
    holding.stream = name();
    holding.segments = static_cast<uint32_t>(next_ordinal_ - first_ordinal_);
    holding.oldest = first_ordinal_ * span_;
    holding.oldest_end = holding.oldest + span_;
    holding.mark = low_water();
    return holding;
}

template <World W>
void StreamCore<W>::forget_checkpoint(ServiceId service) {
    std::lock_guard lock(mutex_);
    checkpointed_.erase(service.value);
}

template <World W>
Result<StreamCoreBase::Pinned> StreamCore<W>::pin(uint64_t lsn) {
    if (auto ok = usable(); !ok) return fail(std::move(ok.error()));
    std::lock_guard lock(mutex_);
    const uint64_t ordinal = lsn / span_;
    if (ordinal < first_ordinal_)
        return fail({Errc::below_low_water,
                     "LSN " + std::to_string(lsn) + " of stream '" + name() +
                         "' was released; read from the low-water mark " +
                         std::to_string(low_water()) + " on",
                     Lsn{lsn}, std::nullopt});
    CNB_CHECK(ordinal < next_ordinal_, {"lsn", lsn});
    ++live(ordinal).pins;
    Pinned pinned{ordinal, life_of_live(live(ordinal))};
    pinned.life.unreadable =
        medium_.space().unreadable_in(pinned.life.base, pinned.life.segment_bytes);
    return pinned;
}

template <World W>
format::SegmentLife StreamCore<W>::life_of_live(const Live& segment) const {
    format::SegmentLife life;
    life.base = segment.base;
    life.segment_bytes = medium_.space().segment_bytes;
    life.segment = segment.segment;
    life.generation = segment.generation;
    life.base_lsn = segment.base_lsn;
    life.pool = medium_.id();
    life.seed = segment.seed;
    return life;
}

template <World W>
CheckedStream StreamCore<W>::pin_all() {
    std::lock_guard lock(mutex_);
    CheckedStream checked;
    checked.name = name();
    checked.end = frontiers_.published();
    for (uint64_t ordinal = first_ordinal_; ordinal < next_ordinal_; ++ordinal) {
        ++live(ordinal).pins;
        checked.segments.push_back(life_of_live(live(ordinal)));
    }
    return checked;
}

template <World W>
void StreamCore<W>::unpin_all(const CheckedStream& checked) {
    for (const format::SegmentLife& life : checked.segments) unpin(life.base_lsn / span_);
}

template <World W>
void StreamCore<W>::give_back_all() {
    std::lock_guard lock(mutex_);
    for (; first_ordinal_ < next_ordinal_; ++first_ordinal_)
        segments_.give_back(live(first_ordinal_).segment);
}

template <World W>
void StreamCore<W>::count(const Maintenance& maintenance) {
    std::lock_guard lock(mutex_);
    maintenance_.fences += maintenance.fences;
    maintenance_.lines += maintenance.lines;
    maintenance_.bytes += maintenance.bytes;
}

template <World W>
void StreamCore<W>::unpin(uint64_t ordinal) {
    if (!is_alive()) return;  // a child after fork, whose parent may have held the lock
    std::lock_guard lock(mutex_);
    CNB_CHECK(live(ordinal).pins > 0, {"ordinal", ordinal});
    --live(ordinal).pins;
    give_back_released();
}

template <World W>
void StreamCore<W>::release_below(uint64_t mark) {
    std::lock_guard lock(mutex_);
    mark_.store(mark, std::memory_order_release);
    give_back_released();
}

// Under mutex_. The segment that holds the tail stays, whatever the mark says.
template <World W>
void StreamCore<W>::give_back_released() {
    const uint64_t mark = mark_.load(std::memory_order_relaxed);
    while (next_ordinal_ - first_ordinal_ > 1 && (first_ordinal_ + 1) * span_ <= mark &&
           (live(first_ordinal_).pins == 0 || M::mutant(Mutant::pins_not_asked))) {
        segments_.give_back(live(first_ordinal_).segment);
        ++first_ordinal_;
        checkpointed_.clear();
    }
}

template <World W>
Result<void> StreamCore<W>::write_close_frame() {
    if (mode_.read_only || medium_.failed() || appended() == opened_at_) return {};
    CounterStripes::Work work;
    if (auto forced = settle(published(), work); !forced) return forced;
    const uint64_t word = tail_.load(std::memory_order_acquire);
    // No room, and no segment for it alone; nor what is kept back, which may be promised again.
    if (line_of(word) + 1 > segment_lines_) return {};
    CNB_CHECK(advance_tail(word, 1), {"tail", word});
    const Place place{&live(ordinal_of(word)), lsn_of(word), 1};
    Frame frame;
    frame.type = format::FrameType::close;
    frame.forced = true;
    store(place, frame, {}, Site::close_store, StoreKind::cached);
    if (finish_forced(place, true, work)) return {};
    return settle(place.end(), work);
}

}  // namespace cinnabar::log
