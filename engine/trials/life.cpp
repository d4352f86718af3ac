#include "trials/life.hpp"

#include <algorithm>
#include <array>
#include <cstring>

template class cinnabar::log::Engine<cinnabar::sim::SimWorld>;

namespace cinnabar::trials {

std::vector<std::byte> record_bytes(uint64_t number, size_t length) {
    std::vector<std::byte> bytes(std::max(length, sizeof number));
    std::memcpy(bytes.data(), &number, sizeof number);
    uint64_t word = number;
    for (size_t at = sizeof number; at < bytes.size(); at += sizeof word) {
        word = (word + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
        word ^= word >> 29;
        std::memcpy(bytes.data() + at, &word, std::min(sizeof word, bytes.size() - at));
    }
    return bytes;
}

namespace {

// In pieces, of which the second may be empty.
std::array<Bytes, 3> gathered(Bytes bytes) {
    const size_t first = bytes.size() / 3;
    const size_t second = first + std::min(bytes.size() - first, bytes.size() % 24);
    return {bytes.first(first), bytes.subspan(first, second - first), bytes.subspan(second)};
}

}  // namespace

Life::Life(SimPool& pool, const Options& options)
    : pool_(pool), options_(options), medium_(pool.bytes(), options.domain) {
    mutate();
}

Life::Life(SimPool& pool, const Options& options, sim::Image& image) : Life(pool, options) {
    options_.appends = nullptr;
    medium_.on_store(
        [&image](uint64_t offset, Bytes value) { image.stored(offset, value.size()); });
}

Life::Life(SimPool& pool, const Life& killed)
    : pool_(pool),
      options_(killed.options_),
      medium_(pool.bytes(), killed.medium_),
      trace_(killed.trace_) {
    options_.appends = nullptr;
    mutate();
}

void Life::mutate() {
    // Recovery cannot know what of it an earlier life made durable; a pad's page was synced with
    // the lazy frames on it.
    medium_.hold_to_all_rules({Site::accept_flush, Site::accept_fence, Site::erase_flush,
                               Site::erase_fence, Site::page_sync});
    if (options_.dropped) medium_.drop(*options_.dropped);
    if (options_.swapped) medium_.swap_kind(*options_.swapped);
    if (options_.doubled) medium_.call_twice(*options_.doubled);
    if (options_.fenced) medium_.force_behind(*options_.fenced);
    if (options_.traced) medium_.trace(trace_);
}

void Life::kill() {
    engine_.reset();
    sealed_to_.clear();
    medium_.kill();
}

void Life::lose_power(std::mt19937_64& random) {
    go_back_to(medium_.image_of_power_loss(random));
}

void Life::go_back_to(std::span<const std::byte> image) {
    engine_.reset();
    sealed_to_.clear();
    medium_.go_back_to(image);
}

Result<void> Life::open(bool read_only) {
    log::EngineOptions options;
    options.read_only = read_only;
    options.spares_max = options_.spares;
    options.forced_cached = options_.forced_cached;
    options.parallel_for = sim::run_serially;
    report_ = {};
    const CrashMedium::Counts& counts = medium_.counts();
    const Work before{counts.stores, counts.fences};
    auto engine = Engine<SimWorld>::open(pool_.space(), medium_, options, report_);
    work_of_open_ = {counts.stores - before.stores, counts.fences - before.fences};
    if (!engine) return fail(engine.error());
    engine_ = std::move(*engine);
    return {};
}

Result<Lsn> Life::append(History& history, const std::string& stream, size_t length,
                         Durability durability) {
    return append(history, stream, length, AppendOptions{.durability = durability});
}

namespace {

AppendOptions made_up(AppendOptions options, const StreamHistory& past) {
    const uint64_t number = past.last_number;
    if (options.kind == 0) options.kind = static_cast<uint16_t>(number * 257);
    if (options.service.value == 0) options.service.value = static_cast<uint16_t>(number % 5);
    const bool first = past.appended.empty() || past.appended.back().in_flight;
    if (!first && !options.previous && number % 3 != 0)
        options.previous = past.appended[past.appended.size() * (number % 7) / 7].lsn;
    return options;
}

}  // namespace

Result<Lsn> Life::append(History& history, const std::string& stream, size_t length,
                         const AppendOptions& wanted) {
    if (options_.appends != nullptr) ++*options_.appends;
    StreamHistory& past = history[stream];
    const uint64_t number = ++past.last_number;
    const std::vector<std::byte> bytes = record_bytes(number, length);
    const AppendOptions options = made_up(wanted, past);
    auto core = engine_->stream(stream);
    // A crash inside the call may keep the record: the history has it from its start.
    past.appended.push_back(
        {number,
         bytes.size(),
         Lsn{core->appended()},
         true,
         {options.durability, options.service, options.kind, options.previous}});
    tell(sim::Trace::Kind::begin, past.appended.back(), stream);
    const std::array<Bytes, 3> pieces = gathered(bytes);
    auto lsn = core->append(pieces, bytes.size(), options);
    if (!lsn) {
        if (Lsn{core->appended()} > past.appended.back().lsn) return lsn;  // it may survive
        past.appended.pop_back();
        --past.last_number;
        return lsn;
    }
    past.appended.back().lsn = *lsn;
    past.appended.back().in_flight = false;
    past.acknowledged = std::max(past.acknowledged, core->durable());
    seal(past, stream);
    return lsn;
}

void Life::tell(sim::Trace::Kind kind, const Appended& record, const std::string& stream) {
    if (!options_.traced) return;
    const bool begins = kind == sim::Trace::Kind::begin;
    trace_.add(kind,
               std::string(begins ? "begin of" : "acknowledged") + " stream " + stream +
                   ", record " + std::to_string(record.number),
               {}, medium_.pending(), medium_.domain());
}

template <class Call>
void Life::for_bytes(const std::string& stream, const Appended& record, Call&& call) {
    const auto core = engine_->stream(stream);
    const auto pinned = core->pin(record.lsn.value);
    if (!pinned) return;
    const std::byte* frame =
        pool_.space().segments[pinned->life.segment] + pinned->life.offset_of(record.lsn.value);
    call(frame, format::padded_bytes(record.length));
    core->unpin(pinned->ordinal);
}

void Life::seal(const StreamHistory& past, const std::string& stream) {
    uint64_t& sealed = sealed_to_[stream];
    auto record = past.appended.end();
    while (record != past.appended.begin() && std::prev(record)->lsn.value >= sealed) --record;
    for (; record != past.appended.end(); ++record) {
        if (record->lsn.value >= past.acknowledged) break;
        tell(sim::Trace::Kind::acknowledge, *record, stream);
        for_bytes(stream, *record,
                  [&](const std::byte* from, size_t length) { medium_.seal(from, length); });
    }
    sealed = std::max(sealed, past.acknowledged);
}

void Life::note_durable(History& history, const std::string& stream) {
    StreamHistory& past = history[stream];
    past.acknowledged = std::max(past.acknowledged, engine_->stream(stream)->durable());
    seal(past, stream);
}

namespace {

uint64_t lowest(const std::map<uint16_t, Mark>& marks, uint64_t Mark::*which) {
    uint64_t value = UINT64_MAX;
    for (const auto& [service, mark] : marks) value = std::min(value, mark.*which);
    return value;
}

}  // namespace

Result<void> Life::release(History& history, ServiceId service, Lsn to, const std::string& stream) {
    StreamHistory& past = history[stream];
    Mark& mark = past.marks[service.value];
    mark.asked = std::max(mark.asked, to.value);
    past.low_water = std::max(past.low_water, lowest(past.marks, &Mark::asked));
    for (auto record = past.appended.rbegin(); record != past.appended.rend(); ++record) {
        if (record->lsn.value < past.released) break;
        if (record->lsn.value < past.low_water)
            for_bytes(stream, *record,
                      [&](const std::byte* from, size_t length) { medium_.unseal(from, length); });
    }
    auto released = engine_->release(service, to);
    if (!released) return released;
    mark.released = mark.asked;
    past.released = std::max(past.released, lowest(past.marks, &Mark::released));
    return released;
}

Result<Records> Life::read(const std::string& stream) {
    auto reader = ReaderCore::open(engine_->stream(stream), std::nullopt, Frontier::durable);
    if (!reader) return fail(reader.error());
    Records records;
    for (;;) {
        auto record = (*reader)->next();
        if (!record) return fail(record.error());
        if (!*record) return records;
        const Bytes payload = (*record)->payload;
        records.push_back({(*record)->lsn, told_of(**record), {payload.begin(), payload.end()}});
    }
}

}  // namespace cinnabar::trials
