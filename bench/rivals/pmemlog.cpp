// libpmemlog: one log, a lock around it, the payload and then the tail made durable. All threads
// share the log. "libpmemlog" appends record by record, whatever the cell's group is: each append
// is a force. "libpmemlog_appendv" hands a group over in one call.
#include <libpmemlog.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <numeric>

#include "rivals/mapping.hpp"
#include "rivals/registry.hpp"
#include "rivals/walk.hpp"

namespace cinnabar::bench {

namespace {

constexpr uint64_t kLine = 64;

struct SharedLog {
    PMEMlogpool* pool = nullptr;
    uint64_t usable_bytes = 0;
    std::mutex rewinding;

    // Rewinds unless another thread just did.
    void rewind_if_full(uint64_t bytes) {
        const std::lock_guard lock(rewinding);
        if (left() < bytes) pmemlog_rewind(pool);
    }
    uint64_t left() const { return usable_bytes - static_cast<uint64_t>(pmemlog_tell(pool)); }
};

class PmemlogWorker {
  public:
    PmemlogWorker(SharedLog* log, bool grouped, unsigned threads)
        : log_(log), grouped_(grouped), threads_(threads) {}

    void append(Bytes record, bool force) {
        bytes_ += record.size();
        if (!grouped_) {
            ++calls_;
            if (pmemlog_append(log_->pool, record.data(), record.size()) != 0) [[unlikely]] {
                again(record.size(),
                      [&] { return pmemlog_append(log_->pool, record.data(), record.size()); });
            }
            return;
        }
        pieces_.push_back({const_cast<std::byte*>(record.data()), record.size()});
        group_bytes_ += record.size();
        if (!force) return;
        ++calls_;
        const int count = static_cast<int>(pieces_.size());
        if (pmemlog_appendv(log_->pool, pieces_.data(), count) != 0) [[unlikely]] {
            again(group_bytes_, [&] { return pmemlog_appendv(log_->pool, pieces_.data(), count); });
        }
        pieces_.clear();
        group_bytes_ = 0;
    }

    uint64_t fits(uint64_t bytes) const { return log_->left() / bytes / threads_; }
    const std::optional<Error>& error() const { return error_; }
    // Stated, not counted: a call flushes the lines it touched and the tail's, with a fence for
    // each of the two; a run of `n` bytes at any multiple of g = gcd(n, 64) touches (n - g) / 64 +
    // 1 lines on average.
    Work work() const {
        Work work;
        work.fences = 2 * calls_;
        const uint64_t n = calls_ == 0 ? 0 : bytes_ / calls_;
        const uint64_t g = std::gcd(n, kLine);
        work.lines = calls_ == 0 ? 0 : calls_ * (n - g + kLine) / kLine + calls_;
        work.medium_bytes = bytes_ + calls_ * sizeof(uint64_t);
        return work;
    }

  private:
    template <class Append>
    void again(uint64_t bytes, Append append) {
        while (errno == ENOSPC) {
            log_->rewind_if_full(bytes);
            if (append() == 0) return;
        }
        error_ = Error{Errc::io, std::string("pmemlog_append: ") + pmemlog_errormsg(), {}, {}};
    }

    SharedLog* log_;
    bool grouped_;
    unsigned threads_;
    std::vector<iovec> pieces_;
    uint64_t group_bytes_ = 0;
    uint64_t bytes_ = 0;
    uint64_t calls_ = 0;
    std::optional<Error> error_;
};

class PmemlogEngine final : public EngineOf<PmemlogWorker> {
  public:
    explicit PmemlogEngine(bool grouped) : grouped_(grouped) {}
    ~PmemlogEngine() override {
        if (log_.pool != nullptr) pmemlog_close(log_.pool);
    }

    Result<Taken> open(const Setup& setup) override {
        file_.own(setup.path);
        pool_bytes_ = std::max<uint64_t>(setup.area_bytes, PMEMLOG_MIN_POOL);
        log_.pool = pmemlog_create(setup.path.c_str(), pool_bytes_, 0600);
        if (log_.pool == nullptr) return fail(errc_of_errno(), pmemlog_errormsg());
        prefault(log_.pool, pool_bytes_);
        log_.usable_bytes = pmemlog_nbyte(log_.pool);
        const bool lines = is_pmem_file(setup.path);
        Taken taken;
        taken.domain = lines ? Domain::cache_line : Domain::page;
        taken.emulated = lines && setup.emulate != Emulate::no;
        taken.counts = lines ? Counts::stated : Counts::none;
        taken.say(lines ? "libpmemlog, flushes" : "libpmemlog, msync");
        return taken;
    }

    Result<void> configure(const Cell& cell, const Records& records) override {
        start_cell(cell, records);
        const uint64_t group = uint64_t{records.bytes_max()} * cell.records_per_force;
        if (log_.usable_bytes / 4 / cell.threads < group) {
            return fail(Errc::disk_full, "the log is too small for the groups of this cell");
        }
        pmemlog_rewind(log_.pool);
        for (unsigned thread = 0; thread < cell.threads; ++thread) {
            add_seat(PmemlogWorker(&log_, grouped_, cell.threads));
        }
        return {};
    }

    Result<void> prepare() override {
        if (log_.left() < log_.usable_bytes / 4) pmemlog_rewind(log_.pool);
        return {};
    }

    Result<void> verify() override {
        pmemlog_close(log_.pool);
        log_.pool = pmemlog_open(file_.path().c_str());
        if (log_.pool == nullptr) return fail(Errc::corrupt, pmemlog_errormsg());
        prefault(log_.pool, pool_bytes_);
        struct Pass {
            Walk walk;
            Result<void> result;
        } pass{Walk(*records_), {}};
        const auto take = [](const void* bytes, size_t length, void* arg) {
            auto& p = *static_cast<Pass*>(arg);
            p.result = p.walk.take({static_cast<const std::byte*>(bytes), length});
            return 0;
        };
        pmemlog_walk(log_.pool, 0, take, &pass);
        if (!pass.result) return pass.result;
        for (unsigned thread = 0; thread < seats_.size(); ++thread) {
            auto ends = pass.walk.ends_at(thread, seats_[thread]->cursor.index());
            if (!ends) return ends;
        }
        return pass.walk.records() != 0 ? Result<void>{} : fail(Errc::corrupt, "the log is empty");
    }

  private:
    bool grouped_;
    FileGuard file_;
    uint64_t pool_bytes_ = 0;
    SharedLog log_;
};

}  // namespace

std::unique_ptr<Engine> make_pmemlog(bool grouped) {
    return std::make_unique<PmemlogEngine>(grouped);
}

}  // namespace cinnabar::bench
