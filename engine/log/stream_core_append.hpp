// StreamCore: appending and forcing. Included by stream_core.hpp.
#pragma once

#include "log/stream_core.hpp"

namespace cinnabar::log {

// What every append passes through is always inlined, so that the place, the frame and the work
// stay in registers: whatever is stored between two forces stands in the same queue as the frame,
// and the next frame waits for it.

template <World W>
Result<void> StreamCore<W>::usable() const {
    if (!is_alive()) [[unlikely]]
        return fail(
            Errc::forked,
            "the log was opened before fork: the child opens it anew once the parent closed it");
    if (closed_.load(std::memory_order_acquire)) [[unlikely]]
        return fail(Errc::failed, "stream '" + name() + "': the log was closed; open it again");
    if (medium_.failed()) [[unlikely]]
        return fail(PoolMedium<W>::failure());
    return {};
}

template <World W>
Result<void> StreamCore<W>::writable() {
    if (auto ok = usable(); !ok) [[unlikely]]
        return ok;
    if (mode_.read_only) [[unlikely]]
        return fail(Errc::read_only,
                    "stream '" + name() + "': the log was opened read-only; open it for writing");
    if (many_) return {};
    const void* writer = writer_.load(std::memory_order_relaxed);
    if (writer == thread_token()) [[likely]]
        return {};
    if (writer == nullptr && writer_.compare_exchange_strong(writer, thread_token())) return {};
    return fail(Errc::wrong_thread, "stream '" + name() +
                                        "' has one writer, and another thread appended first: "
                                        "create the stream with Writers::many");
}

// May this thread append? The answer of writable() without its words.
template <World W>
[[gnu::always_inline]] inline bool StreamCore<W>::is_writable() const {
    return is_alive() && !closed_.load(std::memory_order_acquire) && !medium_.failed() &&
           !mode_.read_only && (many_ || writer_.load(std::memory_order_relaxed) == thread_token());
}

template <World W>
Result<void> StreamCore<W>::admissible(uint64_t size) {
    if (auto ok = writable(); !ok) return ok;
    if (size == 0)
        return fail(Errc::invalid_argument, "an empty record: a record holds 1 byte or more");
    if (size <= record_bytes_max_) return {};
    return fail(too_large(size));
}

template <World W>
Error StreamCore<W>::too_large(uint64_t size) const {
    return {Errc::record_too_large,
            "a record of " + std::to_string(size) + " bytes; the limit is " +
                std::to_string(record_bytes_max_) +
                " (a quarter segment): split it, or create the pool with larger segments",
            std::nullopt, std::nullopt};
}

template <World W>
Result<Lsn> StreamCore<W>::append(std::span<const Bytes> pieces, uint64_t size,
                                  const AppendOptions& options) {
    if (!is_writable() || size - 1 >= record_bytes_max_) [[unlikely]]
        if (auto ok = admissible(size); !ok) return fail(std::move(ok.error()));

    Frame frame;
    frame.payload_bytes = size;
    frame.forced = options.durability == Durability::forced;
    frame.service = options.service.value;
    frame.kind = options.kind;
    const uint64_t lines = format::padded_bytes(size) / format::kLineBytes;
    touch(pieces);
    Place place;
    const bool plain = !options.previous && options.reservation == nullptr && !options.checkpoint;
    if (!plain || !try_take(lines, place)) [[unlikely]] {
        Place there;  // of its own, so that the usual place can stay in registers
        uint32_t back_lines = 0;
        const auto draw = draw_for(lines, options);
        if (!draw) return fail(std::move(draw.error()));
        if (auto taken = take(*draw, options.previous, there, back_lines); !taken)
            return fail(std::move(taken.error()));
        place = there;
        frame.back_lines = M::mutant(Mutant::previous_forgotten) ? 0 : back_lines;
    }

    CounterStripes::Work work;
    work.records = 1;
    work.payload_bytes = size;
    work.bytes = lines * format::kLineBytes;
    const bool done =
        frame.forced ? write_forced(place, frame, pieces, work) : write_lazy(place, frame, pieces);
    counters_.add(work);
    if (!done) [[unlikely]]
        if (auto caught_up = catch_up(place.end(), frame.forced); !caught_up)
            return fail(std::move(caught_up.error()));
    return Lsn{place.lsn};
}

// Appends a lazy copy of an older record, which its reader keeps pinned meanwhile.
template <World W>
Result<Lsn> StreamCore<W>::append_copy(const Record& record) {
    if (auto ok = writable(); !ok) return fail(std::move(ok.error()));
    const bool alone = M::mutant(Mutant::copy_without_previous);
    const Lsn previous = alone ? Lsn{} : record.previous.value_or(Lsn{});
    const format::CarriedPrefix prefix{record.origin.value, record.lsn.value, previous.value};
    Frame frame;
    frame.type = format::FrameType::carried;
    frame.payload_bytes = sizeof prefix + record.payload.size();
    frame.forced = record.durability == Durability::forced;
    frame.service = record.service.value;
    frame.kind = record.kind;
    Draw draw;
    draw.lines = format::padded_bytes(frame.payload_bytes) / format::kLineBytes;
    draw.copy = true;
    Place place;
    if (auto taken = take(draw, std::nullopt, place, frame.back_lines); !taken)
        return fail(std::move(taken.error()));
    const Bytes pieces[] = {std::as_bytes(std::span(&prefix, 1)), record.payload};
    store(place, frame, pieces, Site::carried_frame_store, StoreKind::cached);
    frontiers_.publish(place.lsn, draw.lines, false);
    count({0, 0, draw.bytes()});
    return Lsn{place.lsn};
}

// The usual append makes no Result of its parts: one takes 88 bytes, and to make, move and destroy
// it would cost more than all else here. False: catch_up() must follow.
template <World W>
[[gnu::always_inline]] inline bool StreamCore<W>::write_forced(const Place& place,
                                                               const Frame& frame,
                                                               std::span<const Bytes> pieces,
                                                               CounterStripes::Work& work) {
    const bool cached = page_domain_ || mode_.forced_cached;
    store(place, frame, pieces, Site::forced_frame_store,
          cached ? StoreKind::cached : StoreKind::non_temporal);
    return finish_forced(place, cached, work);
}

template <World W>
[[gnu::always_inline]] inline bool StreamCore<W>::write_lazy(const Place& place, const Frame& frame,
                                                             std::span<const Bytes> pieces) {
    constexpr Mutant mutant = Mutant::published_before_stored;
    if (M::mutant(mutant)) frontiers_.publish(place.lsn, place.lines, false);
    store(place, frame, pieces, Site::lazy_frame_store, StoreKind::cached);
    if (!M::mutant(mutant)) frontiers_.publish(place.lsn, place.lines, false);
    return page_domain_ || frontiers_.durable() + kUnflushedMax >= place.end();
}

// What is left to do for an append whose frame is written: others come first, or much was left
// unflushed. A forcer must not find a mountain of that: lazy writers clear it as they go.
template <World W>
Result<void> StreamCore<W>::catch_up(uint64_t end, bool forced) {
    CounterStripes::Work work;
    auto done = forced ? settle(end, work) : force_published(work);
    if (forced)
        counters_.add(work);
    else
        count({work.fences, work.lines, 0});
    return done;
}

// Reads a byte of every page of the source: if that faults, it faults before space is taken, and
// no hole is left that nobody can fill (trap L13).
template <World W>
[[gnu::always_inline]] inline void StreamCore<W>::touch(std::span<const Bytes> pieces) {
    for (const Bytes& piece : pieces) {
        for (size_t at = 0; at < piece.size(); at += format::kPageBytes)
            (void)*static_cast<const volatile std::byte*>(&piece[at]);
        if (!piece.empty()) (void)*static_cast<const volatile std::byte*>(&piece.back());
    }
}

// How many lines a transaction's previous record is back from a record at `lsn`.
template <World W>
Result<uint32_t> StreamCore<W>::back_to(Lsn previous, uint64_t lsn) {
    const uint64_t back = (lsn - previous.value) / format::kLineBytes;
    if (previous.value < lsn && previous.value % format::kLineBytes == 0 && back <= UINT32_MAX / 2)
        return static_cast<uint32_t>(back);
    return fail(Errc::invalid_argument,
                "previous = " + std::to_string(previous.value) +
                    " is not an earlier LSN within 2^31 lines of this record at " +
                    std::to_string(lsn));
}

// Space for a frame of `lines` where nothing stands in the way.
template <World W>
[[gnu::always_inline]] inline bool StreamCore<W>::try_take(uint64_t lines, Place& place) {
    W::point();
    const uint64_t word = tail_.load(std::memory_order_acquire);
    if (line_of(word) + lines > segment_lines_) return false;
    const uint64_t lsn = lsn_of(word);
    W::point();
    if (!frontiers_.in_window(lsn) || !advance_tail(word, lines)) return false;
    place = {&live(ordinal_of(word)), lsn, lines};
    return true;
}

template <World W>
[[gnu::always_inline]] inline bool StreamCore<W>::advance_tail(uint64_t word, uint64_t lines) {
    if (!many_ || M::mutant(Mutant::space_without_exchange)) {
        tail_.store(word + lines, std::memory_order_release);
        return true;
    }
    W::point();
    return tail_.compare_exchange_strong(word, word + lines, std::memory_order_acq_rel,
                                         std::memory_order_relaxed);
}

template <World W>
[[gnu::always_inline]] inline format::FrameHeader StreamCore<W>::header(const Place& place,
                                                                        const Frame& frame) const {
    const uint64_t durable =
        M::mutant(Mutant::testimony_too_great) ? place.lsn : frontiers_.durable();
    CNB_CHECK(durable <= place.lsn, {"durable", durable}, {"lsn", place.lsn});
    const uint64_t distance = (place.lsn - durable) / format::kLineBytes;
    format::FrameHeader header;
    header.generation = static_cast<uint32_t>(place.live->generation);
    header.length_and_flags = format::length_and_flags(frame.type, frame.forced,
                                                       static_cast<uint32_t>(frame.payload_bytes));
    header.distance_lines =
        distance < format::kNoTestimony ? static_cast<uint32_t>(distance) : format::kNoTestimony;
    header.lsn = place.lsn;
    header.service = frame.service;
    header.kind = frame.kind;
    header.back_lines = frame.back_lines;
    return header;
}

template <World W>
[[gnu::always_inline]] inline void StreamCore<W>::store(const Place& place, const Frame& frame,
                                                        std::span<const Bytes> pieces, Site site,
                                                        StoreKind kind) {
    raw_.store_frame(site, place.bytes(), FrameWords{format::words_of(header(place, frame))},
                     pieces, place.live->seed, kind);
}

// Makes a stored frame durable and publishes it: one fence, and a second one, in settle(), only if
// lazy predecessors were published after the first (trap L3). True: it is durable with everything
// before it; false: settle() must follow.
template <World W>
[[gnu::always_inline]] inline bool StreamCore<W>::finish_forced(const Place& place, bool cached,
                                                                CounterStripes::Work& work) {
    work.forces = 1;
    if (page_domain_) {
        frontiers_.publish(place.lsn, place.lines, false);
        return false;
    }
    const uint64_t from = frontiers_.durable();
    const uint64_t below = std::min(frontiers_.published(), place.lsn);
    if (cached)
        raw_.flush(Site::forced_frame_flush, place.bytes(), place.lines * format::kLineBytes);
    if (from < below) work.lines += flush_range(Site::forcer_flush, from, below);
    if (M::mutant(Mutant::durable_before_fence)) frontiers_.raise_durable(below);
    raw_.fence(Site::forced_fence);
    work.fences = 1;
    work.lines += place.lines;
    if (from < below) frontiers_.raise_durable(below);
    frontiers_.publish(place.lsn, place.lines, true);
    return M::mutant(Mutant::early_acknowledgement) || durable() >= place.end();
}

// Returns when everything below `end` is durable; all of it has been or is being written.
template <World W>
Result<void> StreamCore<W>::settle(uint64_t end, CounterStripes::Work& work) {
    frontiers_.wait([&] { return frontiers_.published() >= end; });
    if (page_domain_) return sync_to(end, work);
    if (M::mutant(Mutant::second_look_left_out) || durable() >= end) return {};
    return force_published(work);
}

// Flushes and fences whatever is published. Not in the page domain.
template <World W>
Result<void> StreamCore<W>::force_published(CounterStripes::Work& work) {
    const uint64_t from = frontiers_.durable();
    const uint64_t to = frontiers_.published();
    if (from >= to) return {};
    const bool last_alone = M::mutant(Mutant::predecessors_not_forced);
    work.lines += flush_range(Site::second_flush, last_alone ? to - format::kLineBytes : from, to);
    raw_.fence(Site::second_fence);
    ++work.fences;
    frontiers_.raise_durable(to);
    return {};
}

// Page domain: everything below `end` is published or about to be.
template <World W>
Result<void> StreamCore<W>::sync_to(uint64_t end, CounterStripes::Work& work) {
    frontiers_.wait([&] { return frontiers_.published() >= end; });
    return medium_.lead_sync([&](M& medium) -> Result<void> {
        const uint64_t from = durable();
        if (from >= end) return {};  // an earlier leader's write-back held it
        const uint64_t to = frontiers_.published();
        Result<void> synced;
        for_each_piece(from, to, [&](const std::byte* bytes, uint64_t length) {
            if (!synced) return;
            synced = medium.sync(Site::page_sync, bytes, length);
            ++work.fences;
            work.lines += length / format::kLineBytes;
        });
        if (synced) frontiers_.raise_durable(to);
        return synced;
    });
}

// Returns how many lines that were.
template <World W>
uint64_t StreamCore<W>::flush_range(Site site, uint64_t from, uint64_t to) {
    uint64_t lines = 0;
    for_each_piece(from, to, [&](const std::byte* bytes, uint64_t length) {
        raw_.flush(site, bytes, length);
        lines += length / format::kLineBytes;
    });
    return lines;
}

// The bytes of [from, to), segment by segment, without the links, which have been durable since
// they were attached. A forcer of a shared stream comes here with a frontier that others may have
// overtaken since: they may have raised durable, released, and put another life into the place of a
// segment. Nothing is left to flush there.
template <World W>
template <class Piece>
void StreamCore<W>::for_each_piece(uint64_t from, uint64_t to, Piece&& piece) const {
    while (from < to) {
        W::point();
        const uint64_t base_lsn = from / span_ * span_;
        const uint64_t end = std::min(to, base_lsn + span_);
        const uint64_t begin = std::max(from, base_lsn + format::kLineBytes);
        const std::byte* base = base_if_live(base_lsn);
        if (base == nullptr)
            CNB_CHECK(end <= durable(), {"end", end}, {"durable", durable()});
        else if (begin < end)
            piece(base + format::kFramesOffset + (begin - base_lsn), end - begin);
        from = end;
    }
}

// The segment that begins at `base_lsn`; nullptr where its place has passed to another one. Read in
// the order reverse to that of put_live.
template <World W>
const std::byte* StreamCore<W>::base_if_live(uint64_t base_lsn) const {
    Live& segment = const_cast<Live&>(live(base_lsn / span_));
    std::byte* const base = std::atomic_ref(segment.base).load(std::memory_order_acquire);
    return std::atomic_ref(segment.base_lsn).load(std::memory_order_relaxed) == base_lsn ? base
                                                                                         : nullptr;
}

template <World W>
Error StreamCore<W>::never_appended(Lsn lsn) const {
    return {Errc::never_appended,
            "LSN " + std::to_string(lsn.value) + " of stream '" + name() +
                "' was never appended: the stream ends at " + std::to_string(appended()) +
                "; use an LSN that append returned",
            lsn, std::nullopt};
}

template <World W>
Result<void> StreamCore<W>::force(Lsn lsn) {
    if (auto ok = writable(); !ok) return ok;
    if (lsn.value >= appended()) return fail(never_appended(lsn));
    if (durable() > lsn.value) return {};
    CounterStripes::Work work;
    work.forces = 1;
    auto done = settle(lsn.value + 1, work);
    counters_.add(work);
    return done;
}

template <World W>
Result<void> StreamCore<W>::wait_durable(Lsn lsn, std::optional<std::chrono::nanoseconds> timeout) {
    if (auto ok = usable(); !ok) return ok;
    if (lsn.value >= appended()) return fail(never_appended(lsn));
    const auto over = [&] {
        return durable() > lsn.value || medium_.failed() || closed_.load(std::memory_order_acquire);
    };
    if (!frontiers_.wait(over, timeout))
        return fail(Errc::timed_out, "LSN " + std::to_string(lsn.value) + " of stream '" + name() +
                                         "' is not durable yet: nobody forced it in time");
    if (durable() > lsn.value) return {};
    return usable();
}

template <World W>
Result<void> StreamCore<W>::on_durable(Lsn lsn, std::function<void(Result<Lsn>)> call) {
    if (auto ok = usable(); !ok) return ok;
    if (!call) return fail(Errc::invalid_argument, "on_durable: there is no function to call");
    if (lsn.value >= appended()) return fail(never_appended(lsn));
    frontiers_.announce_at(lsn.value, std::move(call));
    // Whoever failed or closed meanwhile may have looked at the list before.
    if (auto ok = usable(); !ok) frontiers_.give_up(ok.error());
    return {};
}

template <World W>
Counters StreamCore<W>::counters() const {
    Counters sum = counters_.sum();
    if (!is_alive()) return sum;
    std::lock_guard lock(mutex_);
    sum.maintenance_fences = maintenance_.fences;
    sum.maintenance_lines = maintenance_.lines;
    sum.maintenance_bytes = maintenance_.bytes;
    return sum;
}

}  // namespace cinnabar::log
