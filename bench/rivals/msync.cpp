// A mapped file, copied to and msynced: a force writes the pages of the records since the last one.
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "rivals/lane_engine.hpp"
#include "rivals/registry.hpp"

namespace cinnabar::bench {

namespace {

constexpr uint64_t kPage = 4096;

class MsyncWorker {
  public:
    MsyncWorker(std::byte* area, Lane lane) : area_(area), lane_(lane) {}

    void append(Bytes record, bool force) {
        const uint64_t at = lane_.take(record.size());
        std::memcpy(area_ + at, record.data(), record.size());
        // A lane that started over leaves records behind at its end: sync them where they are.
        if (at < from_ && from_ != to_) sync(from_, to_);
        if (from_ == to_ || at < from_) from_ = at;
        to_ = at + record.size();
        if (!force) return;
        sync(from_, to_);
        from_ = to_;
    }

    uint64_t fits(uint64_t bytes) const { return lane_.left() / bytes; }
    const std::optional<Error>& error() const { return error_; }
    Work work() const { return work_; }
    Lane& lane() { return lane_; }

  private:
    void sync(uint64_t from, uint64_t to) {
        const uint64_t begin = from / kPage * kPage;
        const uint64_t length = (to - begin + kPage - 1) / kPage * kPage;
        if (::msync(area_ + begin, length, MS_SYNC) != 0) {
            error_ = Error{Errc::io, errno_text("msync"), {}, {}};
        }
        ++work_.fences;
        work_.medium_bytes += length;
    }

    std::byte* area_;
    Lane lane_;
    uint64_t from_ = 0;  // not yet forced: [from_, to_)
    uint64_t to_ = 0;
    Work work_;
    std::optional<Error> error_;
};

class MsyncEngine final : public LaneEngine<MsyncWorker> {
  public:
    MsyncEngine() : LaneEngine({}) {}

    Result<Taken> open(const Setup& setup) override {
        file_.own(setup.path);
        auto fd = create_written_file(setup.path, setup.area_bytes, 0);
        if (!fd) return fail(fd.error());
        ::close(*fd);
        if (auto mapped = mapping_.open(setup.path); !mapped) return fail(mapped.error());
        prefault(mapping_.data(), mapping_.size());
        area_bytes_ = setup.area_bytes;
        Taken taken;
        taken.domain = Domain::page;
        taken.counts = Counts::counted;
        taken.say("memcpy, msync");
        return taken;
    }

  protected:
    Result<MsyncWorker> make_worker(Lane lane) override {
        return MsyncWorker(mapping_.data(), lane);
    }
    Result<const std::byte*> reopen() override { return reopen_mapping(mapping_, file_.path()); }

  private:
    FileGuard file_;
    Mapping mapping_;
};

}  // namespace

std::unique_ptr<Engine> make_msync() {
    return std::make_unique<MsyncEngine>();
}

}  // namespace cinnabar::bench
