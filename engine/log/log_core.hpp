// A log over a pool file: the pool, its medium, and the engine that runs on it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/fork_guard.hpp"
#include "cinnabar/log.hpp"
#include "log/engine.hpp"
#include "pool/pool.hpp"

namespace cinnabar {

class LogCore {
  public:
    static Result<std::shared_ptr<LogCore>> open(const std::filesystem::path& path,
                                                 const OpenOptions& options);
    virtual ~LogCore() = default;

    const OpenReport& report() const { return report_; }
    pool::Pool& pool() { return pool_; }
    const pool::Pool& pool() const { return pool_; }
    log::EngineBase& engine() { return *engine_; }
    const log::EngineBase& engine() const { return *engine_; }

    // Not in a child after fork. There it is not destroyed either: other threads of the parent may
    // have been changing what it holds, in the middle of which the child has it. leave() unmaps.
    bool is_own() const { return alive_word().load(std::memory_order_relaxed) == life_; }
    void leave();

    // Errors that any call gives first: forked, failed (closed), and read_only where it writes.
    Result<void> usable() const;
    Result<void> writable() const;

    Result<pool::StreamInfo> find_stream(std::string_view name) const;
    Result<pool::ServiceInfo> find_service(ServiceId service) const;
    Result<void> close();

  protected:
    LogCore(pool::Pool pool, bool read_only) : pool_(std::move(pool)), read_only_(read_only) {}
    Result<void> start(Result<std::unique_ptr<log::EngineBase>> engine);

    pool::Pool pool_;
    OpenReport report_;

  private:
    const bool read_only_;
    const uint32_t life_ = begin_life();
    bool closed_ = false;
    std::unique_ptr<log::EngineBase> engine_;
};

}  // namespace cinnabar
