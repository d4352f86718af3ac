// What most logs do today: one write at a known place of a file that was written before, and
// fdatasync; or the same through a descriptor opened with O_DSYNC.
#include "rivals/file_engine.hpp"
#include "rivals/gather.hpp"
#include "rivals/registry.hpp"

namespace cinnabar::bench {

namespace {

class FileWorker {
  public:
    FileWorker(int fd, FileSync sync, Lane lane) : fd_(fd), sync_(sync), lane_(lane) {}

    void append(Bytes record, bool force) {
        gather_.add(record);
        if (!force) return;
        const uint64_t at = lane_.take(gather_.size(), gather_.records());
        const ssize_t n = ::pwrite(fd_, gather_.data(), gather_.size(), static_cast<off_t>(at));
        if (n != static_cast<ssize_t>(gather_.size())) {
            error_ = Error{Errc::io, errno_text("pwrite"), {}, {}};
        }
        if (sync_ == FileSync::fdatasync && ::fdatasync(fd_) != 0) {
            error_ = Error{Errc::io, errno_text("fdatasync"), {}, {}};
        }
        ++work_.fences;
        work_.medium_bytes += blocks_bytes(at, gather_.size());
        gather_.clear();
    }

    uint64_t fits(uint64_t bytes) const { return lane_.left() / bytes; }
    const std::optional<Error>& error() const { return error_; }
    Work work() const { return work_; }
    Lane& lane() { return lane_; }

  private:
    int fd_;
    FileSync sync_;
    Lane lane_;
    Gather gather_;
    Work work_;
    std::optional<Error> error_;
};

class SyncedFileEngine final : public FileEngine<FileWorker> {
  public:
    explicit SyncedFileEngine(FileSync sync)
        : FileEngine(sync == FileSync::o_dsync ? O_DSYNC : 0,
                     sync == FileSync::o_dsync ? "pwrite with O_DSYNC" : "pwrite, fdatasync"),
          sync_(sync) {}

  protected:
    Result<FileWorker> make_worker(Lane lane) override { return FileWorker(fd(), sync_, lane); }

  private:
    FileSync sync_;
};

}  // namespace

std::unique_ptr<Engine> make_file(FileSync sync) {
    return std::make_unique<SyncedFileEngine>(sync);
}

}  // namespace cinnabar::bench
