// io_uring: a write and an fdatasync linked behind it, submitted and awaited in one system call.
#include <liburing.h>

#include <cstring>

#include "rivals/file_engine.hpp"
#include "rivals/gather.hpp"
#include "rivals/registry.hpp"

namespace cinnabar::bench {

namespace {

struct RingDeleter {
    void operator()(io_uring* ring) const {
        io_uring_queue_exit(ring);
        delete ring;
    }
};
using Ring = std::unique_ptr<io_uring, RingDeleter>;

Result<Ring> make_ring() {
    auto raw = std::make_unique<io_uring>();
    const int code = io_uring_queue_init(8, raw.get(), 0);
    if (code < 0) {
        return fail(Errc::permission,
                    std::string("the kernel refuses io_uring: ") + std::strerror(-code));
    }
    return Ring(raw.release());
}

class UringWorker {
  public:
    UringWorker(int fd, Ring ring, Lane lane) : fd_(fd), ring_(std::move(ring)), lane_(lane) {}

    void append(Bytes record, bool force) {
        gather_.add(record);
        if (!force) return;
        const uint64_t at = lane_.take(gather_.size(), gather_.records());
        io_uring_sqe* write = io_uring_get_sqe(ring_.get());
        io_uring_prep_write(write, fd_, gather_.data(), static_cast<unsigned>(gather_.size()), at);
        write->flags |= IOSQE_IO_LINK;
        io_uring_sqe* sync = io_uring_get_sqe(ring_.get());
        io_uring_prep_fsync(sync, fd_, IORING_FSYNC_DATASYNC);
        await_two();
        ++work_.fences;
        work_.medium_bytes += blocks_bytes(at, gather_.size());
        gather_.clear();
    }

    uint64_t fits(uint64_t bytes) const { return lane_.left() / bytes; }
    const std::optional<Error>& error() const { return error_; }
    Work work() const { return work_; }
    Lane& lane() { return lane_; }

  private:
    void await_two() {
        int code = io_uring_submit_and_wait(ring_.get(), 2);
        for (int i = 0; code >= 0 && i < 2; ++i) {
            io_uring_cqe* done = nullptr;
            code = io_uring_wait_cqe(ring_.get(), &done);
            if (code < 0) break;
            code = done->res;
            if (i == 0 && code >= 0 && static_cast<size_t>(code) != gather_.size()) code = -EIO;
            io_uring_cqe_seen(ring_.get(), done);
        }
        if (code < 0) {
            error_ = Error{Errc::io, std::string("io_uring: ") + std::strerror(-code), {}, {}};
        }
    }

    int fd_;
    Ring ring_;
    Lane lane_;
    Gather gather_;
    Work work_;
    std::optional<Error> error_;
};

class UringEngine final : public FileEngine<UringWorker> {
  public:
    UringEngine() : FileEngine(0, "io_uring write linked to fdatasync") {}

    Result<Taken> open(const Setup& setup) override {
        if (auto ring = make_ring(); !ring) return fail(ring.error());
        return FileEngine::open(setup);
    }

  protected:
    Result<UringWorker> make_worker(Lane lane) override {
        auto ring = make_ring();
        if (!ring) return fail(ring.error());
        return UringWorker(fd(), std::move(*ring), lane);
    }
};

}  // namespace

std::unique_ptr<Engine> make_io_uring() {
    return std::make_unique<UringEngine>();
}

}  // namespace cinnabar::bench
