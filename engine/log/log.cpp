// The public face of the log: cinnabar/log.hpp in terms of LogCore, StreamCore and ReaderCore.
#include "cinnabar/log.hpp"

#include <unistd.h>

#include "log/log_core.hpp"
#include "log/reader_core.hpp"

namespace cinnabar {

// --- Reader -------------------------------------------------------------------------------------
Reader::Reader(std::unique_ptr<ReaderCore> core) : core_(std::move(core)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Result<std::optional<Record>> Reader::next() {
    return core_->next();
}
Lsn Reader::position() const {
    return Lsn{core_->position()};
}

// --- Stream -------------------------------------------------------------------------------------
Stream::Stream(std::shared_ptr<StreamCoreBase> core) : core_(std::move(core)) {}

const std::string& Stream::name() const {
    return core_->name();
}
Writers Stream::writers() const {
    return core_->writers();
}

Result<Lsn> Stream::append(Bytes record, const AppendOptions& options) {
    return core_->append({&record, 1}, record.size(), options);
}

Result<Lsn> Stream::append(std::span<const Bytes> pieces, const AppendOptions& options) {
    uint64_t size = 0;
    for (const Bytes& piece : pieces) size += piece.size();
    return core_->append(pieces, size, options);
}

Result<Reservation> Stream::reserve(uint64_t record_bytes, uint32_t records) {
    return StreamCoreBase::reserve(core_, record_bytes, records, false);
}

Result<Reservation> Stream::reserve_again(uint64_t record_bytes, uint32_t records) {
    return StreamCoreBase::reserve(core_, record_bytes, records, true);
}

Result<std::vector<Lsn>> Stream::carry_forward(std::span<const Lsn> records,
                                               std::optional<Lsn> release_to) {
    return core_->copies().carry_forward(core_, records, release_to);
}

Lsn Stream::oldest_end() const {
    return Lsn{core_->oldest_end()};
}

Result<Lsn> Stream::locate(Lsn origin) const {
    return core_->copies().locate(core_, origin);
}

Result<void> Stream::force(Lsn lsn) {
    return core_->force(lsn);
}

Result<void> Stream::wait_durable(Lsn lsn, std::optional<std::chrono::nanoseconds> timeout) {
    return core_->wait_durable(lsn, timeout);
}

Result<void> Stream::on_durable(Lsn lsn, std::function<void(Result<Lsn>)> callback) {
    return core_->on_durable(lsn, std::move(callback));
}

Result<void> Stream::signal_durable(Lsn lsn, int event_fd) {
    return core_->on_durable(lsn, [event_fd](Result<Lsn>) {
        const uint64_t one = 1;
        // A full counter is readable already: nothing is lost when the write is refused.
        [[maybe_unused]] const ssize_t written = ::write(event_fd, &one, sizeof one);
    });
}

Lsn Stream::durable() const {
    return Lsn{core_->durable()};
}
Lsn Stream::published() const {
    return Lsn{core_->published()};
}
Lsn Stream::appended() const {
    return Lsn{core_->appended()};
}
Lsn Stream::low_water() const {
    return Lsn{core_->low_water()};
}
uint64_t Stream::record_bytes_max() const {
    return core_->record_bytes_max();
}
Counters Stream::counters() const {
    return core_->counters();
}

Result<Reader> Stream::read(std::optional<Lsn> from, Frontier frontier) const {
    auto core = ReaderCore::open(core_, from, frontier);
    if (!core) return fail(std::move(core.error()));
    return Reader(std::move(*core));
}

// --- Log ----------------------------------------------------------------------------------------
Log::Log(std::shared_ptr<LogCore> core) : core_(std::move(core)) {}
Log::Log(Log&&) noexcept = default;

Log& Log::operator=(Log&& other) noexcept {
    if (this != &other) {
        if (core_) (void)core_->close();
        core_ = std::move(other.core_);
    }
    return *this;
}

Log::~Log() {
    if (core_) (void)core_->close();
}

Result<void> Log::create(const std::filesystem::path& path, const CreateOptions& options) {
    return pool::Pool::create(path, {options.pool_bytes, options.segment_bytes});
}

Result<Log> Log::open(const std::filesystem::path& path, const OpenOptions& options) {
    auto core = LogCore::open(path, options);
    if (!core) return fail(std::move(core.error()));
    return Log(std::move(*core));
}

const OpenReport& Log::report() const {
    return core_->report();
}
const MediumInfo& Log::medium() const {
    return core_->pool().medium();
}
uint64_t Log::segment_bytes() const {
    return core_->pool().space().segment_bytes;
}
uint32_t Log::segments_free() const {
    return core_->usable() ? core_->engine().segments_free() : 0;
}

uint32_t Log::segments_kept_back() const {
    return core_->usable() ? core_->engine().segments_kept_back() : 0;
}

uint64_t Log::pool_bytes() const {
    return core_->pool().file_bytes();
}

uint32_t Log::segments_total() const {
    return static_cast<uint32_t>(core_->pool().space().segments.size());
}

Result<Stream> Log::add_stream(std::string_view name, Writers writers, Reserve reserve) {
    if (auto ok = core_->writable(); !ok) return fail(std::move(ok.error()));
    auto added = core_->engine().add_stream({0, std::string(name), writers, reserve}, [&] {
        return core_->pool().add_stream(name, writers == Writers::many, reserve == Reserve::yes);
    });
    if (!added) return fail(std::move(added.error()));
    return stream(name);
}

Result<void> Log::remove_stream(std::string_view name) {
    if (auto ok = core_->writable(); !ok) return ok;
    auto info = core_->find_stream(name);
    if (!info) return fail(std::move(info.error()));
    return core_->engine().remove_stream(info->name,
                                         [&] { return core_->pool().remove_stream(info->stream); });
}

Result<Stream> Log::stream(std::string_view name) {
    if (auto ok = core_->usable(); !ok) return fail(std::move(ok.error()));
    auto core = core_->engine().stream(std::string(name));
    if (!core)
        return fail(Errc::not_found, "no stream named '" + std::string(name) +
                                         "' in this pool; add it, or see which there are");
    // The stream lives in the log's insides: whoever holds it holds them.
    struct Held {
        std::shared_ptr<LogCore> log;
        std::shared_ptr<StreamCoreBase> stream;
    };
    auto held = std::make_shared<Held>(Held{core_, std::move(core)});
    StreamCoreBase* const at = held->stream.get();
    return Stream(std::shared_ptr<StreamCoreBase>(std::move(held), at));
}

std::vector<StreamInfo> Log::streams() const {
    std::vector<StreamInfo> streams;
    if (!core_->usable()) return streams;
    for (const pool::StreamInfo& info : core_->pool().streams())
        streams.push_back({info.name, info.shared ? Writers::many : Writers::one,
                           info.reserve ? Reserve::yes : Reserve::no});
    return streams;
}

Result<ServiceId> Log::add_service(std::string_view stream, std::string_view name) {
    if (auto ok = core_->writable(); !ok) return fail(std::move(ok.error()));
    auto info = core_->find_stream(stream);
    if (!info) return fail(std::move(info.error()));
    return core_->engine().add_service(info->stream, [&](uint64_t mark) {
        return core_->pool().add_service(info->stream, name, mark);
    });
}

Result<void> Log::remove_service(ServiceId service) {
    if (auto ok = core_->writable(); !ok) return ok;
    auto info = core_->find_service(service);
    if (!info) return fail(std::move(info.error()));
    return core_->engine().remove_service(info->stream, service,
                                          [&] { return core_->pool().remove_service(service); });
}

std::vector<ServiceInfo> Log::services() const {
    std::vector<ServiceInfo> services;
    if (!core_->usable()) return services;
    for (const pool::ServiceInfo& info : core_->pool().services()) {
        ServiceInfo service{info.service, info.name, "", core_->engine().mark(info.service)};
        for (const pool::StreamInfo& stream : core_->pool().streams())
            if (stream.stream == info.stream) service.stream = stream.name;
        services.push_back(std::move(service));
    }
    return services;
}

Result<void> Log::release(ServiceId service, Lsn to) {
    if (auto ok = core_->writable(); !ok) return ok;
    if (auto info = core_->find_service(service); !info) return fail(std::move(info.error()));
    return core_->engine().release(service, to);
}

Result<std::vector<Damage>> Log::check() const {
    if (auto ok = core_->usable(); !ok) return fail(std::move(ok.error()));
    return core_->engine().check();
}

Result<void> Log::close() {
    return core_->close();
}

}  // namespace cinnabar
