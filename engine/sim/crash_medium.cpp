#include "sim/crash_medium.hpp"

#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "base/crc32c.hpp"
#include "sim/scheduler.hpp"

namespace cinnabar::sim {

namespace {

constexpr size_t kLineBytes = 64;
constexpr size_t kPageBytes = 4096;
constexpr size_t kHeaderBytes = sizeof(FrameWords);

void apply(std::array<uint64_t, kWordsPerLine>& line, const Unit& unit, uint8_t mask) {
    for (size_t word = 0; word < kWordsPerLine; ++word)
        if (unit.mask & mask & (1u << word)) line[word] = unit.value[word];
}

void put(std::vector<std::byte>& image, uint64_t line,
         const std::array<uint64_t, kWordsPerLine>& value) {
    std::memcpy(image.data() + line * kLineBytes, value.data(), kLineBytes);
}

}  // namespace

CrashMedium::CrashMedium(std::span<std::byte> live, Domain domain)
    : live_(live), domain_(domain), durable_(live.begin(), live.end()) {
    CNB_CHECK(reinterpret_cast<uintptr_t>(live.data()) % kPageBytes == 0);
    CNB_CHECK(live.size() % kLineBytes == 0, {"size", live.size()});
}

CrashMedium::CrashMedium(std::span<std::byte> live, const CrashMedium& killed)
    : CrashMedium(live, killed.domain_) {
    CNB_CHECK(std::ranges::equal(live, killed.live_));
    durable_ = killed.durable_;
    pending_ = killed.pending_;
    // The end of a thread empties its core's write-combining buffers.
    for (auto at = pending_.begin(); at != pending_.end();) {
        PendingLine& pending = at->second;
        pending.flushed.clear();
        const std::vector<Unit> units = pending.units;
        for (const Unit& unit : units)
            if (unit.kind == Unit::Kind::non_temporal) settle(at->first, pending, 0, unit.thread);
        at = pending.units.empty() ? pending_.erase(at) : std::next(at);
    }
}

void CrashMedium::begin_here() {
    durable_.assign(live_.begin(), live_.end());
    pending_.clear();
}

void CrashMedium::store_words(Site site, Unit::Kind kind, std::byte* to, const std::byte* from,
                              size_t length) {
    switch_point();
    if (is_dropped(site)) return;
    ++counts_.stores;
    const uint64_t offset = static_cast<uint64_t>(to - live_.data());
    CNB_CHECK(to >= live_.data() && offset + length <= live_.size(), {"offset", offset});
    CNB_CHECK(offset % 8 == 0 && length % 8 == 0, {"offset", offset}, {"length", length});
    std::memmove(to, from, length);
    for (uint64_t at = offset; at < offset + length;) {
        const uint64_t line = at / kLineBytes;
        const uint64_t end = std::min((line + 1) * kLineBytes, offset + length);
        Unit unit;
        unit.kind = kind;
        unit.site = site;
        unit.thread = current_thread();
        unit.sequence = sequence_++;
        for (; at < end; at += 8) {
            const size_t word = at % kLineBytes / 8;
            unit.mask = static_cast<uint8_t>(unit.mask | 1u << word);
            std::memcpy(&unit.value[word], live_.data() + at, 8);
        }
        PendingLine& pending = pending_[line];
        dirty_page(line);
        const bool non_temporal = kind == Unit::Kind::non_temporal;
        for (const Unit& other : pending.units)
            if ((other.kind == Unit::Kind::non_temporal) != non_temporal) ++counts_.lines_mixed;
        pending.units.push_back(unit);
    }
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

void CrashMedium::flush(Site site, const std::byte* from, size_t length) {
    CNB_CHECK(domain_ != Domain::page);
    switch_point();
    ++counts_.flushes;
    if (is_dropped(site) || domain_ == Domain::byte) return;
    const uint64_t first = static_cast<uint64_t>(from - live_.data()) / kLineBytes;
    const uint64_t last = (static_cast<uint64_t>(from - live_.data()) + length - 1) / kLineBytes;
    for (auto at = pending_.lower_bound(first); at != pending_.end() && at->first <= last; ++at)
        at->second.flushed[current_thread()] = at->second.units.size();
}

void CrashMedium::crash_point(Site site) {
    if (!on_crash_point_ || in_crash_point_) return;
    in_crash_point_ = true;
    const Standstill standstill;
    on_crash_point_(site);
    in_crash_point_ = false;
}

// The first `units` stores of a line are durable if they were cached, and the thread's own if they
// were not.
void CrashMedium::settle(uint64_t line, PendingLine& pending, size_t units, size_t thread) {
    Line value = durable_line(line);
    std::vector<Unit> left;
    for (size_t i = 0; i < pending.units.size(); ++i) {
        const Unit& unit = pending.units[i];
        const bool fenced =
            unit.kind == Unit::Kind::non_temporal ? unit.thread == thread : i < units;
        if (fenced)
            apply(value, unit, 0xFF);
        else
            left.push_back(unit);
    }
    put(durable_, line, value);
    const size_t settled = pending.units.size() - left.size();
    pending.units = std::move(left);
    for (auto& [other, flushed] : pending.flushed) flushed -= std::min(flushed, settled);
    pending.flushed.erase(thread);
}

void CrashMedium::fence(Site site) {
    switch_point();
    ++counts_.fences;
    crash_point(site);
    if (is_dropped(site)) return;
    const size_t thread = current_thread();
    for (auto at = pending_.begin(); at != pending_.end();) {
        PendingLine& pending = at->second;
        const auto flushed = pending.flushed.find(thread);
        size_t units = flushed == pending.flushed.end() ? 0 : flushed->second;
        if (domain_ == Domain::byte) units = pending.units.size();
        settle(at->first, pending, units, thread);
        at = pending.units.empty() ? pending_.erase(at) : std::next(at);
    }
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
    auto at = pending_.lower_bound(first);
    while (at != pending_.end() && at->first <= last) {
        PendingLine& pending = at->second;
        if (!pending.written_off)
            settle(at->first, pending, pending.units.size(), current_thread());
        at = pending.units.empty() ? pending_.erase(at) : std::next(at);
    }
    return {};
}

Result<void> CrashMedium::report_write_back_error() {
    fail_sync_ = false;
    for (auto& [line, pending] : pending_) pending.written_off = true;
    switch_point();
    return fail(Errc::io, "msync: Input/output error (simulated)");
}

CrashMedium::Line CrashMedium::durable_line(uint64_t line) const {
    Line value;
    std::memcpy(value.data(), durable_.data() + line * kLineBytes, kLineBytes);
    return value;
}

CrashMedium::Line CrashMedium::prefix(uint64_t line, const PendingLine& pending,
                                      size_t units) const {
    Line value = durable_line(line);
    for (size_t i = 0; i < units; ++i) apply(value, pending.units[i], 0xFF);
    return value;
}

// Everything one line can hold after a crash, as far as the single-line images go.
std::vector<CrashMedium::Line> CrashMedium::alternatives(uint64_t line,
                                                         const PendingLine& pending) const {
    std::vector<Line> all;
    for (size_t units = 0; units <= pending.units.size(); ++units)
        all.push_back(prefix(line, pending, units));
    for (size_t i = 0; i < pending.units.size(); ++i) {
        const Unit& unit = pending.units[i];
        if (unit.kind == Unit::Kind::word) continue;
        for (size_t word = 0; word < kWordsPerLine; ++word) {
            const uint8_t only = static_cast<uint8_t>(1u << word);
            for (const uint8_t mask : {only, static_cast<uint8_t>(~only)}) {
                Line value = prefix(line, pending, i);
                apply(value, unit, mask);
                all.push_back(value);
            }
        }
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

// Every prefix in store order; the first is "nothing", the last "everything", left in `image`.
bool CrashMedium::visit_prefixes(Image& image, const Visit& visit) const {
    struct Store {
        uint64_t line;
        const Unit* unit;
    };
    std::vector<Store> stores;
    for (const auto& [line, pending] : pending_)
        for (const Unit& unit : pending.units) stores.push_back({line, &unit});
    std::sort(stores.begin(), stores.end(),
              [](const Store& a, const Store& b) { return a.unit->sequence < b.unit->sequence; });
    if (!visit(image)) return false;
    for (const Store& store : stores) {
        Line value;
        std::memcpy(value.data(), image.data() + store.line * kLineBytes, kLineBytes);
        apply(value, *store.unit, 0xFF);
        put(image, store.line, value);
        if (!visit(image)) return false;
    }
    return true;
}

bool CrashMedium::visit_single_lines(const Image& background, const Visit& visit) const {
    Image image = background;
    for (const auto& [line, pending] : pending_) {
        for (const Line& value : alternatives(line, pending)) {
            put(image, line, value);
            if (!visit(image)) return false;
        }
        std::memcpy(image.data() + line * kLineBytes, background.data() + line * kLineBytes,
                    kLineBytes);
    }
    return true;
}

bool CrashMedium::visit_pairs(const Image& background, const Visit& visit) const {
    if (pending_.size() > kPairLinesMax) return true;
    Image image = background;
    for (auto one = pending_.begin(); one != pending_.end(); ++one) {
        for (auto two = std::next(one); two != pending_.end(); ++two) {
            const std::vector<Line> values = alternatives(two->first, two->second);
            for (const Line& first : alternatives(one->first, one->second)) {
                put(image, one->first, first);
                for (const Line& second : values) {
                    put(image, two->first, second);
                    if (!visit(image)) return false;
                }
            }
            image = background;
        }
    }
    return true;
}

uint64_t CrashMedium::visit_images(
    const std::function<bool(std::span<const std::byte>)>& visit) const {
    uint64_t visited = 0;
    const Visit show = [&](const Image& image) {
        ++visited;
        return visit(image);
    };
    const Image none(durable_.begin(), durable_.end());
    Image everything = none;
    const bool all = visit_prefixes(everything, show) && visit_single_lines(none, show) &&
                     visit_single_lines(everything, show) && visit_pairs(none, show) &&
                     visit_pairs(everything, show);
    (void)all;
    return visited;
}

}  // namespace cinnabar::sim
