// A libpmemobj transaction per force, used as a log in its cheaper way: the space is allocated
// beforehand, the record is copied behind the tail (nothing there needs an undo copy) and the
// transaction covers the tail alone.
#include <libpmemobj.h>

#include <cstring>

#include "rivals/lane_engine.hpp"
#include "rivals/registry.hpp"

namespace cinnabar::bench {

namespace {

constexpr const char* kLayout = "cinnabar-bench";
constexpr uint64_t kPoolOverhead = uint64_t{kTxBeside_mib} << 20;  // lanes, heap headers, root

struct alignas(64) Tail {
    uint64_t bytes;
};

struct Root {
    PMEMoid area;
    Tail tails[kThreadsMax];
};

class TxWorker {
  public:
    TxWorker(PMEMobjpool* pool, std::byte* area, Tail* tail, Lane lane)
        : pool_(pool), area_(area), tail_(tail), lane_(lane) {}

    void append(Bytes record, bool force) {
        if (!open_ && !begin()) return;
        const uint64_t at = lane_.take(record.size());
        pmemobj_memcpy(pool_, area_ + at, record.data(), record.size(), PMEMOBJ_F_MEM_NODRAIN);
        bytes_ += record.size();
        if (!force) return;
        tail_->bytes = at + record.size();
        pmemobj_tx_commit();
        if (pmemobj_tx_end() != 0) refuse();
        open_ = false;
    }

    uint64_t fits(uint64_t bytes) const { return lane_.left() / bytes; }
    const std::optional<Error>& error() const { return error_; }
    Work work() const {
        Work work;
        work.medium_bytes = bytes_;
        return work;
    }
    Lane& lane() { return lane_; }

  private:
    bool begin() {
        if (pmemobj_tx_begin(pool_, nullptr, TX_PARAM_NONE) != 0 ||
            pmemobj_tx_add_range_direct(tail_, sizeof tail_->bytes) != 0) {
            pmemobj_tx_end();
            refuse();
            return false;
        }
        open_ = true;
        return true;
    }
    void refuse() {
        error_ = Error{Errc::io, std::string("transaction: ") + pmemobj_errormsg(), {}, {}};
    }

    PMEMobjpool* pool_;
    std::byte* area_;
    Tail* tail_;
    Lane lane_;
    uint64_t bytes_ = 0;
    bool open_ = false;
    std::optional<Error> error_;
};

class TxEngine final : public LaneEngine<TxWorker> {
  public:
    TxEngine() : LaneEngine({}) {}
    ~TxEngine() override {
        if (pool_ != nullptr) pmemobj_close(pool_);
    }

    Result<Taken> open(const Setup& setup) override {
        file_.own(setup.path);
        pool_bytes_ = setup.area_bytes + kPoolOverhead;
        pool_ = pmemobj_create(setup.path.c_str(), kLayout, pool_bytes_, 0600);
        if (pool_ == nullptr) return fail(errc_of_errno(), pmemobj_errormsg());
        prefault(pool_, pool_bytes_);
        if (auto made = allocate(setup.area_bytes); !made) return fail(made.error());
        area_bytes_ = setup.area_bytes;
        const bool lines = is_pmem_file(setup.path);
        Taken taken;
        taken.domain = lines ? Domain::cache_line : Domain::page;
        taken.emulated = lines && setup.emulate != Emulate::no;
        taken.say(lines ? "libpmemobj transaction, flushes" : "libpmemobj transaction, msync");
        return taken;
    }

  protected:
    Result<TxWorker> make_worker(Lane lane) override {
        Tail* tail = &root_->tails[this->seats_.size()];
        return TxWorker(pool_, area(), tail, lane);
    }
    Result<const std::byte*> reopen() override {
        pmemobj_close(pool_);
        pool_ = pmemobj_open(file_.path().c_str(), kLayout);
        if (pool_ == nullptr) return fail(Errc::corrupt, pmemobj_errormsg());
        prefault(pool_, pool_bytes_);
        find_root();
        return area();
    }

  private:
    void find_root() {
        root_ = static_cast<Root*>(pmemobj_direct(pmemobj_root(pool_, sizeof(Root))));
    }
    std::byte* area() { return static_cast<std::byte*>(pmemobj_direct(root_->area)); }

    Result<void> allocate(uint64_t bytes) {
        find_root();
        if (pmemobj_alloc(pool_, &root_->area, bytes, 0, nullptr, nullptr) != 0) {
            return fail(Errc::disk_full, pmemobj_errormsg());
        }
        return {};
    }

    FileGuard file_;
    PMEMobjpool* pool_ = nullptr;
    uint64_t pool_bytes_ = 0;
    Root* root_ = nullptr;
};

}  // namespace

std::unique_ptr<Engine> make_pmemobj_tx() {
    return std::make_unique<TxEngine>();
}

}  // namespace cinnabar::bench
