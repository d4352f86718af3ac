#include "log/log_core.hpp"

#include <chrono>
#include <type_traits>

#include "log/parallel.hpp"
#include "log/pmem_world.hpp"

namespace cinnabar {

namespace {

// Which forms are in use where the kernel lacks what the usual ones need.
std::vector<std::string> notes_of_fall_backs() {
    std::vector<std::string> notes;
    if (!log::FutexPark::can_fence_others())
        notes.emplace_back(
            "this system has no membarrier: streams of one writer publish with a locked "
            "instruction, which costs some nanoseconds a record");
    if (!wiped_on_fork())
        notes.emplace_back(
            "this system cannot wipe memory on fork: a handler tells children of fork() that the "
            "log is not theirs, and a child of a bare clone() is not told");
    return notes;
}

template <class W>
class LogCoreOn final : public LogCore {
  public:
    template <class... Args>
    LogCoreOn(pool::Pool pool, bool read_only, Args&&... of_medium)
        : LogCore(std::move(pool), read_only), medium_(std::forward<Args>(of_medium)...) {}

    Result<void> recover(log::EngineOptions options) {
        const bool read_only = options.read_only;
        const auto begin = std::chrono::steady_clock::now();
        report_.notes = notes_of_fall_backs();
        report_.notes.insert(report_.notes.end(), pool_.notes().begin(), pool_.notes().end());
        auto engine = log::Engine<W>::open(pool_.space(), medium_, std::move(options), report_);
        report_.recovery_ns = static_cast<uint64_t>(
            std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count());
        if (!engine) return fail(std::move(engine.error()));
        if (!read_only)
            if (auto kept = pool_.keep_medium(); !kept) return kept;
        return start(std::unique_ptr<log::EngineBase>(std::move(*engine)));
    }

  private:
    typename W::Medium medium_;
};

template <class W, class... Args>
Result<std::shared_ptr<LogCore>> open_on(pool::Pool pool, const OpenOptions& options,
                                         Args&&... of_medium) {
    log::EngineOptions engine;
    engine.read_only = options.read_only;
    engine.forced_cached = options.forced_cached;
    engine.spares_max = options.spare_segments;
    engine.low_space_segments = options.low_space_segments;
    engine.on_low_space = options.on_low_space;
    engine.prefault = pool::prefault;
    engine.find_unreadable = pool::find_unreadable;
    engine.parallel_for = log::parallel_for;
    std::shared_ptr<LogCoreOn<W>> core(
        new LogCoreOn<W>(std::move(pool), options.read_only, std::forward<Args>(of_medium)...),
        [](LogCoreOn<W>* ends) {
            if (ends->is_own())
                delete ends;
            else
                ends->leave();
        });
    if (auto recovered = core->recover(std::move(engine)); !recovered)
        return fail(std::move(recovered.error()));
    return core;
}

}  // namespace

Result<std::shared_ptr<LogCore>> LogCore::open(const std::filesystem::path& path,
                                               const OpenOptions& options) {
    pool::OpenOptions pool_options;
    pool_options.read_only = options.read_only;
    pool_options.emulate = options.emulate;
    pool_options.modelled = options.modelled;
    pool_options.lock_timeout = options.lock_timeout;
    auto pool = pool::Pool::open(path, pool_options);
    if (!pool) return fail(std::move(pool.error()));
    const Domain domain = pool->medium().domain;
    if (options.modelled.any())
        return open_on<log::ModelledWorld>(std::move(*pool), options, options.modelled, domain);
    return open_on<log::PmemWorld>(std::move(*pool), options, domain);
}

Result<void> LogCore::start(Result<std::unique_ptr<log::EngineBase>> engine) {
    if (!engine) return fail(std::move(engine.error()));
    engine_ = std::move(*engine);
    return {};
}

Result<void> LogCore::usable() const {
    if (!is_own())
        return fail(
            Errc::forked,
            "the log was opened before fork: the child opens it anew once the parent closed it");
    if (closed_) return fail(Errc::failed, "the log was closed; open it again");
    return {};
}

Result<void> LogCore::writable() const {
    if (auto ok = usable(); !ok) return ok;
    if (read_only_)
        return fail(Errc::read_only, "the log was opened read-only; open it for writing");
    return engine_->healthy();
}

Result<pool::StreamInfo> LogCore::find_stream(std::string_view name) const {
    for (const pool::StreamInfo& stream : pool_.streams())
        if (stream.name == name) return stream;
    return fail(Errc::not_found, "no stream named '" + std::string(name) +
                                     "' in this pool; add it, or see which there are");
}

Result<pool::ServiceInfo> LogCore::find_service(ServiceId service) const {
    for (const pool::ServiceInfo& info : pool_.services())
        if (info.service == service) return info;
    return fail(Errc::not_found, "no service with number " + std::to_string(service.value) +
                                     " in this pool; add it, or see which there are");
}

void LogCore::leave() {
    (void)pool_.close();
}

Result<void> LogCore::close() {
    if (closed_) return {};
    if (!is_own()) return usable();
    closed_ = true;
    auto done = engine_->close();
    auto unmapped = pool_.close();
    return done ? unmapped : done;
}

}  // namespace cinnabar
