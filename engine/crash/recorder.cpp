#include "crash/recorder.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/check.hpp"
#include "base/crc32c.hpp"
#include "sim/scheduler.hpp"

namespace cinnabar::crash {

namespace {

using sim::kLineBytes;
using sim::Trace;
using sim::Unit;

constexpr size_t kPageBytes = 4096;
constexpr size_t kPlacesMax = 0xFFFF;

// A copy for the medium to work on.
std::byte* copy_of(std::span<const std::byte> bytes) {
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(kPageBytes, bytes.size()));
    CNB_CHECK(memory != nullptr, {"bytes", bytes.size()});
    std::memcpy(memory, bytes.data(), bytes.size());
    return memory;
}

}  // namespace

void Recorder::Free::operator()(std::byte* memory) const {
    std::free(memory);
}

Recorder::Recorder(std::span<const std::byte> memory, std::span<const std::byte> before,
                   Domain domain)
    : memory_(memory), seen_(copy_of(before)), medium_({seen_.get(), before.size()}, domain) {
    CNB_CHECK(memory.size() == before.size());
    shape_ = crc32c(shape_, before.data(), before.size());
}

Site Recorder::place(const std::string& text) {
    const auto known = place_of_.find(text);
    if (known != place_of_.end()) return known->second;
    if (places_.size() > kPlacesMax) return Site::none;
    places_.push_back(text);
    return place_of_[text] = static_cast<Site>(places_.size() - 1);
}

void Recorder::notice(Site place) {
    if (readable_ && !readable_()) return;
    if (before_notice_) before_notice_();
    std::vector<Range> changes;
    for (uint64_t page = 0; page < memory_.size(); page += kPageBytes) {
        const size_t length = std::min(kPageBytes, memory_.size() - page);
        if (std::memcmp(seen_.get() + page, memory_.data() + page, length) != 0)
            find_changes({page, length}, changes);
    }
    if (!changes.empty()) noticed(std::move(changes), place);
}

void Recorder::stored_plainly(uint64_t offset, size_t length, Site place) {
    if (readable_ && !readable_()) return;
    std::vector<Range> changes;
    find_changes({offset, length}, changes);
    if (changes.empty()) return;
    note_stored(changes, place);
    store(changes, Kind::bag, place);
    if (is_fixed(place)) force_inserted(changes, place);
}

void Recorder::noticed(std::vector<Range> changes, Site place) {
    const Site before = this->place("before " + text_of(place));
    note_stored(changes, before);
    std::vector<Range> later;
    if (is_fixed(before)) {
        const auto comes_first = [&](const Range& range) {
            return !fix_->lines_after.contains(range.offset / kLineBytes);
        };
        const auto middle = std::stable_partition(changes.begin(), changes.end(), comes_first);
        later.assign(middle, changes.end());
        changes.erase(middle, changes.end());
    }
    store(changes, Kind::bag, before);
    if (is_fixed(before)) force_inserted(changes, before);
    if (!later.empty()) store(later, Kind::bag, before);
}

void Recorder::find_changes(Range range, std::vector<Range>& changes) const {
    for (uint64_t line = range.offset / kLineBytes * kLineBytes; line < range.offset + range.length;
         line += kLineBytes) {
        const std::byte* now = memory_.data() + line;
        const std::byte* before = seen_.get() + line;
        size_t first = 0, end = kLineBytes;  // of the words that differ
        while (first < end && std::memcmp(now + first, before + first, 8) == 0) first += 8;
        while (first < end && std::memcmp(now + end - 8, before + end - 8, 8) == 0) end -= 8;
        if (first < end) changes.push_back({line + first, end - first});
    }
}

void Recorder::stored(uint64_t offset, size_t length, Kind kind, Site place) {
    if (length == 0) return;
    note_stored({{offset, length}}, place);
    store({{offset, length}}, kind, place);
    if (is_fixed(place)) force_inserted({{offset, length}}, place);
}

void Recorder::note_stored(const std::vector<Range>& ranges, Site place) {
    const std::string& text = text_of(place);
    lines_stored_ = crc32c(lines_stored_, text.data(), text.size());
    for (const Range& range : ranges) {
        for (uint64_t line = range.offset / kLineBytes;
             line * kLineBytes < range.offset + range.length; ++line)
            lines_stored_ = crc32c(lines_stored_, &line, sizeof line);
        values_stored_ = crc32c(values_stored_, &range, sizeof range);
        values_stored_ = crc32c(values_stored_, memory_.data() + range.offset, range.length);
    }
}

void Recorder::store(const std::vector<Range>& ranges, Kind kind, Site place) {
    for (const Range& range : ranges) {
        const uint64_t first = range.offset / 8 * 8;
        store_to_medium({first, (range.offset + range.length + 7) / 8 * 8 - first}, kind, place);
    }
    tell(Trace::Kind::store, ranges, place);
}

void Recorder::store_to_medium(Range words, Kind kind, Site place) {
    std::byte* to = seen_.get() + words.offset;
    const std::byte* from = memory_.data() + words.offset;
    if (kind == Kind::non_temporal) return medium_.copy_nt(place, to, from, words.length);
    if (kind == Kind::bag || words.length != 8) return medium_.copy(place, to, from, words.length);
    uint64_t value = 0;
    std::memcpy(&value, from, sizeof value);
    medium_.store8(place, reinterpret_cast<uint64_t*>(to), value);
}

void Recorder::force_inserted(const std::vector<Range>& ranges, Site place) {
    fix_was_made_ = is_inserting_ = true;
    for (const Range& range : ranges) {
        const std::byte* at = seen_.get() + range.offset;
        if (medium_.domain() == Domain::page)
            (void)medium_.sync(place, at, range.length);
        else
            medium_.flush(place, at, range.length);
    }
    if (medium_.domain() != Domain::page) medium_.fence(place);
    is_inserting_ = false;
}

void Recorder::tell(Trace::Kind kind, const std::vector<Range>& ranges, Site place) {
    const std::string& text = text_of(place);
    std::vector<uint64_t> lines;
    shape_ = crc32c(shape_, &kind, sizeof kind);
    shape_ = crc32c(shape_, text.data(), text.size());
    for (const Range& range : ranges) {
        shape_ = crc32c(shape_, &range, sizeof range);
        for (uint64_t line = range.offset / kLineBytes;
             line * kLineBytes < range.offset + range.length; ++line)
            lines.push_back(line);
    }
    if (trace_ != nullptr) trace_->add(kind, text, lines, medium_.pending(), medium_.domain());
}

void Recorder::flush(uint64_t offset, size_t length, Site place) {
    notice(place);
    if (length == 0) return;
    medium_.flush(place, seen_.get() + offset, length);
    tell(Trace::Kind::flush, {{offset, length}}, place);
}

void Recorder::fence(Site place) {
    notice(place);
    medium_.fence(place);
    tell(Trace::Kind::fence, {}, place);
}

void Recorder::sync(uint64_t offset, size_t length, Site place) {
    notice(place);
    if (length == 0) return;
    (void)medium_.sync(place, seen_.get() + offset, length);  // fails only where it is told to
    tell(Trace::Kind::sync, {}, place);
}

void Recorder::begun(Site place) {
    notice(place);
    tell(Trace::Kind::begin, {}, place);
}

void Recorder::acknowledged(Site place) {
    notice(place);
    tell(Trace::Kind::acknowledge, {}, place);
    for (const auto& [line, pending] : medium_.pending()) {
        const Unit* newest = &pending.units.back();
        if (medium_.domain() == Domain::page)
            remark("acknowledged and not synced", newest->site);
        else if (medium_.domain() == Domain::byte)
            remark("acknowledged without a fence", newest->site);
        else if (const Unit* unit = pending.unflushed(sim::current_thread()))
            remark("acknowledged and not flushed", unit->site);
        else
            remark("acknowledged, flushed, and no fence", newest->site);
    }
}

void Recorder::printed(const std::string& text) {
    if (trace_ != nullptr)
        trace_->add(Trace::Kind::print, text, {}, medium_.pending(), medium_.domain());
}

bool Recorder::is_owner() {
    if (::getpid() != process_) return false;
    uint64_t owner = 0;
    if (owner_.compare_exchange_strong(owner, this_thread()) || owner == this_thread()) return true;
    other_thread_ = true;
    return false;
}

uint64_t Recorder::this_thread() {
    static std::atomic<uint64_t> last = 0;
    static thread_local const uint64_t number = ++last;
    return number;
}

std::vector<std::string> Recorder::misuses() const {
    std::vector<std::string> all = misuses_;
    if (other_thread_)
        all.emplace_back("a second thread stored, flushed or fenced: it is not seen");
    return all;
}

void Recorder::on_fence(std::function<void(Site)> call) {
    medium_.on_crash_point(std::move(call));
}

std::vector<Remark> Recorder::remarks() const {
    std::vector<Remark> all;
    for (const auto& [rule, times] : remarks_)
        all.push_back({std::string(rule.first), text_of(rule.second), times});
    const auto add = [&](const char* rule, const std::map<Site, uint64_t>& places) {
        for (const auto& [place, times] : places) all.push_back({rule, text_of(place), times});
    };
    const sim::CrashMedium::Counts& counts = medium_.counts();
    add("cached and non-temporal stores pending on one line", counts.mixed);
    add("flush of lines that need none", counts.idle_flushes);
    add(medium_.domain() == Domain::page ? "sync with nothing to write"
                                         : "fence with nothing to wait for",
        counts.idle_fences);
    if (counts.fences == 0) all.push_back({nothing_forces_, "", 1});
    return all;
}

}  // namespace cinnabar::crash
