#include "sim/crash_medium.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.hpp"
#include "base/crc32c.hpp"
#include "sim/explore.hpp"
#include "sim/image.hpp"
#include "sim/scheduler.hpp"

namespace cinnabar::sim {

namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kHeaderBytes = sizeof(FrameWords);

}  // namespace

CrashMedium::CrashMedium(std::span<std::byte> live, Domain domain)
    : live_(live), domain_(domain), asked_for_(live.size() / kLineBytes) {
    CNB_CHECK(reinterpret_cast<uintptr_t>(live.data()) % kPageBytes == 0);
    CNB_CHECK(live.size() % kLineBytes == 0, {"size", live.size()});
}

CrashMedium::CrashMedium(std::span<std::byte> live, const CrashMedium& killed)
    : CrashMedium(live, killed.domain_) {
    CNB_CHECK(std::ranges::equal(live, killed.live_));
    pending_ = killed.pending_;
    sequence_ = killed.sequence_;
    kill();
}

// Whoever stores here from now on knows nothing of what went before.
void CrashMedium::forget_process() {
    sealed_.clear();
    asked_for_.assign(asked_for_.size(), false);
    asked_for_more_ = false;
}

void CrashMedium::kill() {
    forget_process();
    // The end of a thread empties its core's write-combining buffers.
    for (auto at = pending_.begin(); at != pending_.end();) {
        PendingLine& pending = at->second;
        pending.flushed.clear();
        const std::vector<Unit> units = pending.units;
        for (const Unit& unit : units)
            if (unit.kind == Unit::Kind::non_temporal) settle(pending, 0, unit.thread);
        at = pending.units.empty() ? pending_.erase(at) : std::next(at);
    }
}

void CrashMedium::drop_unwritten_pages(std::mt19937_64& random) {
    std::erase_if(pending_, [&](const auto& entry) {
        const auto& [line, pending] = entry;
        if (pending.written_off) put_line(live_, line, pending.drawn(random));
        return pending.written_off;
    });
}

std::vector<std::byte> CrashMedium::image_of_power_loss(std::mt19937_64& random) const {
    std::vector<std::byte> image(live_.begin(), live_.end());
    for (const auto& [line, pending] : pending_) put_line(image, line, pending.drawn(random));
    return image;
}

void CrashMedium::lose_power(std::mt19937_64& random) {
    go_back_to(image_of_power_loss(random));
}

void CrashMedium::go_back_to(std::span<const std::byte> image) {
    std::ranges::copy(image, live_.begin());
    pending_.clear();
    forget_process();
}

void CrashMedium::begin_here() {
    pending_.clear();
}

// All of them, or these words alone.
void CrashMedium::store_words(Site site, Unit::Kind kind, std::byte* to, const std::byte* from,
                              size_t length, const std::vector<bool>* words) {
    switch_point();
    if (is_dropped(site)) return;
    // A page of a file is written back by msync alone, whichever way it was stored to.
    if (domain_ == Domain::page && kind == Unit::Kind::non_temporal) kind = Unit::Kind::bag;
    ++counts_.stores;
    const uint64_t offset = static_cast<uint64_t>(to - live_.data());
    CNB_CHECK(to >= live_.data() && offset + length <= live_.size(), {"offset", offset});
    CNB_CHECK(offset % 8 == 0 && length % 8 == 0, {"offset", offset}, {"length", length});
    if (on_store_) on_store_(offset, {from, length});
    const uint64_t call = sequence_;
    for (uint64_t at = offset; at < offset + length;) {
        const uint64_t line = at / kLineBytes;
        const uint64_t end = std::min((line + 1) * kLineBytes, offset + length);
        if (sealed_.contains(line))
            break_rule(std::string(name_of(site)) + " stores to what is acknowledged, at byte " +
                       std::to_string(at));
        Unit unit;
        unit.kind = kind;
        unit.site = site;
        unit.thread = current_thread();
        unit.sequence = sequence_++;
        unit.call = call;
        for (; at < end; at += 8) {
            if (words != nullptr && !(*words)[(at - offset) / 8]) continue;
            const size_t word = at % kLineBytes / 8;
            unit.mask = static_cast<uint8_t>(unit.mask | 1u << word);
            std::memcpy(&unit.value[word], from + (at - offset), 8);
        }
        if (unit.mask == 0) continue;
        const auto [place, is_new] = pending_.try_emplace(line);
        PendingLine& pending = place->second;
        Line value = line_at(live_, line);
        if (is_new) pending.durable = value;
        unit.apply_to(value);
        put_line(live_, line, value);
        asked_for_[line] = false;
        dirty_page(line);
        if (std::ranges::any_of(pending.units, [&](const Unit& other) {
                return (other.kind == Unit::Kind::non_temporal) !=
                       (kind == Unit::Kind::non_temporal);
            })) {
            ++counts_.mixed[site];
            if (finders_)
                break_rule_of_the_whole(
                    std::string(name_of(site)) +
                    " stores to a line on which others are pending that went the other "
                    "way, past the caches or not, at byte " +
                    std::to_string(line * kLineBytes));
        }
        pending.units.push_back(unit);
    }
    if (trace_ != nullptr) tell(Trace::Kind::store, site, to, length);
    if (forced_ && *forced_ == site) force(site, to, length);
}

// Not an error that a scenario has the next sync report: that is for the engine to meet.
void CrashMedium::force(Site site, const std::byte* from, size_t length) {
    const bool fail_sync = std::exchange(fail_sync_, false);
    const Counts counts = counts_;
    if (domain_ == Domain::page) {
        CNB_CHECK(sync(site, from, length).has_value());
    } else {
        flush(site, from, length);
        fence(site);
    }
    fail_sync_ = fail_sync;
    counts_ = counts;
}

void CrashMedium::tell(Trace::Kind kind, Site site, const std::byte* from, size_t length) const {
    std::vector<uint64_t> lines;
    if (length > 0)
        for (auto [line, last] = lines_of(from, length); line <= last; ++line)
            lines.push_back(line);
    trace_->add(kind, std::string(name_of(site)), std::move(lines), pending_, domain_);
}

// A store makes its whole page count as dirty again.
void CrashMedium::dirty_page(uint64_t line) {
    constexpr uint64_t lines = kPageBytes / kLineBytes;
    const uint64_t first = line / lines * lines;
    for (auto at = pending_.lower_bound(first); at != pending_.end() && at->first < first + lines;
         ++at)
        at->second.written_off = false;
}

void CrashMedium::store8(Site site, uint64_t* word, uint64_t value) {
    std::byte bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    store_words(site, Unit::Kind::word, reinterpret_cast<std::byte*>(word), bytes, sizeof value);
}

void CrashMedium::copy(Site site, std::byte* to, const std::byte* from, size_t length) {
    store_words(site, Unit::Kind::bag, to, from, length);
}

void CrashMedium::copy_nt(Site site, std::byte* to, const std::byte* from, size_t length) {
    store_words(site, Unit::Kind::non_temporal, to, from, length);
}

void CrashMedium::copy_some(std::byte* to, Bytes from, const std::vector<bool>& words) {
    CNB_CHECK(words.size() * 8 == from.size(), {"words", words.size()}, {"bytes", from.size()});
    store_words(Site::none, Unit::Kind::bag, to, from.data(), from.size(), &words);
}

void CrashMedium::zero(Site site, std::byte* to, size_t length) {
    const std::vector<std::byte> zeros(length);
    store_words(site, Unit::Kind::bag, to, zeros.data(), length);
}

void CrashMedium::store_frame(Site site, std::byte* to, const FrameWords& header,
                              std::span<const Bytes> parts, uint32_t seed, StoreKind kind) {
    std::vector<std::byte> frame(kHeaderBytes);
    std::memcpy(frame.data(), header.word.data(), kHeaderBytes);
    for (const Bytes& part : parts) frame.insert(frame.end(), part.begin(), part.end());
    frame.resize((frame.size() + kLineBytes - 1) / kLineBytes * kLineBytes);
    const uint32_t sum = crc32c(seed, frame.data(), frame.size());
    std::memcpy(frame.data() + sizeof(uint64_t), &sum, sizeof sum);
    if (swapped_ && *swapped_ == site)
        kind = kind == StoreKind::cached ? StoreKind::non_temporal : StoreKind::cached;
    store_words(site, kind == StoreKind::cached ? Unit::Kind::bag : Unit::Kind::non_temporal, to,
                frame.data(), frame.size());
}

// Once more, where that is asked for.
template <class Call>
void CrashMedium::repeat(Site site, Call&& call) {
    if (doubled_ != site) return;
    doubled_.reset();
    call();
    doubled_ = site;
}

void CrashMedium::flush(Site site, const std::byte* from, size_t length) {
    CNB_CHECK(domain_ != Domain::page);
    switch_point();
    ++counts_.flushes;
    if (is_dropped(site)) return;
    const auto [first, last] = lines_of(from, length);
    const bool is_first = ask_for({first, last});
    asked_for_more_ = asked_for_more_ || is_first;
    if (domain_ == Domain::byte) return;
    bool idle = true;
    for (auto at = pending_.lower_bound(first); at != pending_.end() && at->first <= last; ++at) {
        idle = idle && at->second.unflushed(current_thread()) == nullptr;
        at->second.flushed[current_thread()] = at->second.units.size();
    }
    if (idle) note_idle(counts_.idle_flushes, site, "flush", is_first);
    if (trace_ != nullptr) tell(Trace::Kind::flush, site, from, length);
    repeat(site, [&] { flush(site, from, length); });
}

CrashMedium::Lines CrashMedium::lines_of(const std::byte* from, size_t length) const {
    const auto offset = static_cast<uint64_t>(from - live_.data());
    return {offset / kLineBytes, (offset + length - 1) / kLineBytes};
}

void CrashMedium::seal(const std::byte* from, size_t length) {
    const auto [first, last] = lines_of(from, length);
    const auto pending = pending_.lower_bound(first);
    if (pending != pending_.end() && pending->first <= last)
        break_rule("acknowledged while a " +
                   std::string(name_of(pending->second.units.front().site)) +
                   " is pending, at byte " + std::to_string(pending->first * kLineBytes));
    for (uint64_t line = first; line <= last; ++line) sealed_.insert(line);
}

// Whether any of them was not asked for by this process since it was last stored to.
bool CrashMedium::ask_for(Lines lines) {
    const auto begin = asked_for_.begin() + static_cast<std::ptrdiff_t>(lines.first);
    const auto end = asked_for_.begin() + static_cast<std::ptrdiff_t>(lines.last + 1);
    if (std::find(begin, end, false) == end) return false;
    std::fill(begin, end, true);
    return true;
}

void CrashMedium::note_idle(std::map<Site, uint64_t>& counts, Site site, const char* what,
                            bool is_first) {
    ++counts[site];
    if (finders_ && !(is_first && finders_->contains(site)))
        break_rule_of_the_whole(std::string(name_of(site)) + " is a " + what +
                                " with nothing to do");
}

void CrashMedium::break_rule(const std::string& words) {
    if (broken_rule_.empty()) broken_rule_ = words;
}

void CrashMedium::break_rule_of_the_whole(const std::string& words) {
    const bool is_changed = dropped_ || swapped_ || forced_ || switched_on_ != Mutant::none;
    if (!is_changed && !is_interleaved()) break_rule(words);
}

void CrashMedium::unseal(const std::byte* from, size_t length) {
    const auto [first, last] = lines_of(from, length);
    sealed_.erase(sealed_.lower_bound(first), sealed_.upper_bound(last));
}

bool CrashMedium::has_on_its_way(size_t thread) const {
    return std::ranges::any_of(pending_, [&](const auto& entry) {
        const PendingLine& pending = entry.second;
        return domain_ != Domain::cache_line || pending.flushed.contains(thread) ||
               std::ranges::any_of(pending.units, [&](const Unit& unit) {
                   return unit.kind == Unit::Kind::non_temporal && unit.thread == thread;
               });
    });
}

void CrashMedium::crash_point(Site site) {
    if (!on_crash_point_ || in_crash_point_) return;
    // Also where an exception ends it: who catches that meets the next crash point.
    struct Inside {
        explicit Inside(bool& is) : is_(is) { is_ = true; }
        ~Inside() { is_ = false; }
        bool& is_;
    };
    const Inside inside(in_crash_point_);
    const Standstill standstill;
    on_crash_point_(site);
}

// The first `units` stores of a line are durable if they were cached, and the thread's own if they
// were not. A non-temporal one has thrown the line out of the caches: what an older cached one left
// in the same words cannot come later.
void CrashMedium::settle(PendingLine& pending, size_t units, size_t thread) {
    const std::vector<Unit> before = std::move(pending.units);
    const auto is_settled = [&](size_t i) {
        return before[i].kind == Unit::Kind::non_temporal ? before[i].thread == thread : i < units;
    };
    std::vector<size_t> places;  // of those that stay
    pending.units.clear();
    for (size_t i = 0; i < before.size(); ++i) {
        if (is_settled(i)) {
            before[i].apply_to(pending.durable);
            continue;
        }
        Unit unit = before[i];
        for (size_t later = i + 1; later < before.size(); ++later)
            if (unit.kind != Unit::Kind::non_temporal &&
                before[later].kind == Unit::Kind::non_temporal && is_settled(later))
                unit.mask = static_cast<uint8_t>(unit.mask & ~before[later].mask);
        if (unit.mask == 0) continue;
        pending.units.push_back(unit);
        places.push_back(i);
    }
    pending.flushed.erase(thread);
    for (auto& [other, flushed] : pending.flushed)
        flushed = static_cast<size_t>(std::ranges::lower_bound(places, flushed) - places.begin());
}

void CrashMedium::fence(Site site) {
    switch_point();
    ++counts_.fences;
    crash_point(site);
    if (is_dropped(site)) return;
    const size_t thread = current_thread();
    if (!has_on_its_way(thread)) note_idle(counts_.idle_fences, site, "fence", asked_for_more_);
    asked_for_more_ = false;
    for (auto at = pending_.begin(); at != pending_.end();) {
        PendingLine& pending = at->second;
        const auto flushed = pending.flushed.find(thread);
        size_t units = flushed == pending.flushed.end() ? 0 : flushed->second;
        if (domain_ == Domain::byte) units = pending.units.size();
        settle(pending, units, thread);
        at = pending.units.empty() ? pending_.erase(at) : std::next(at);
    }
    if (trace_ != nullptr) tell(Trace::Kind::fence, site, nullptr, 0);
    repeat(site, [&] { fence(site); });
}

Result<void> CrashMedium::sync(Site site, const std::byte* from, size_t length) {
    CNB_CHECK(domain_ == Domain::page);
    switch_point();
    ++counts_.fences;
    crash_point(site);
    if (is_dropped(site)) return {};
    if (fail_sync_) return report_write_back_error();
    const uint64_t begin = static_cast<uint64_t>(from - live_.data());
    const uint64_t first = begin / kPageBytes * (kPageBytes / kLineBytes);
    const uint64_t last =
        (begin + length - 1) / kPageBytes * (kPageBytes / kLineBytes) + kPageBytes / kLineBytes - 1;
    const bool is_first = ask_for(lines_of(from, length));
    auto at = pending_.lower_bound(first);
    if (at == pending_.end() || at->first > last)
        note_idle(counts_.idle_fences, site, "sync", is_first);
    while (at != pending_.end() && at->first <= last) {
        PendingLine& pending = at->second;
        if (!pending.written_off) settle(pending, pending.units.size(), current_thread());
        at = pending.units.empty() ? pending_.erase(at) : std::next(at);
    }
    if (trace_ != nullptr) tell(Trace::Kind::sync, site, nullptr, 0);
    Result<void> done;
    repeat(site, [&] { done = sync(site, from, length); });
    return done;
}

Result<void> CrashMedium::report_write_back_error() {
    fail_sync_ = false;
    for (auto& [line, pending] : pending_) pending.written_off = true;
    switch_point();
    return fail(Errc::io, "msync: Input/output error (simulated)");
}

std::vector<std::byte> CrashMedium::durable_image() const {
    std::vector<std::byte> image(live_.begin(), live_.end());
    for (const auto& [line, pending] : pending_) put_line(image, line, pending.durable);
    return image;
}

uint64_t CrashMedium::visit_images(
    const std::function<bool(std::span<const std::byte>)>& visit) const {
    Image image(live_.size());
    return explore(live_, pending_, image, {}, [&] { return visit(image.image()); }).images;
}

}  // namespace cinnabar::sim
