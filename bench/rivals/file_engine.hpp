// Engines that write to an open file, not to a mapping.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "rivals/lane_engine.hpp"

namespace cinnabar::bench {

inline constexpr uint64_t kFileBlock = 4096;

// What the device is given to keep when [at, at + length) is written.
constexpr uint64_t blocks_bytes(uint64_t at, uint64_t length) {
    return (at + length + kFileBlock - 1) / kFileBlock * kFileBlock - at / kFileBlock * kFileBlock;
}

template <class Worker>
class FileEngine : public LaneEngine<Worker> {
  public:
    // `flags`: of open, beside O_RDWR. `how`: in words.
    FileEngine(int flags, const char* how) : LaneEngine<Worker>({}), flags_(flags), how_(how) {}
    ~FileEngine() override {
        if (fd_ >= 0) ::close(fd_);
    }

    Result<Taken> open(const Setup& setup) override {
        file_.own(setup.path);
        auto fd = create_written_file(setup.path, setup.area_bytes, flags_);
        if (!fd) return fail(fd.error());
        fd_ = *fd;
        this->area_bytes_ = setup.area_bytes;
        Taken taken;
        taken.domain = Domain::page;
        taken.counts = Counts::counted;
        taken.say(how_);
        return taken;
    }

  protected:
    Result<void> start_area() override {
        if (fd_ >= 0) return {};
        mapping_.unmap();
        fd_ = ::open(file_.path().c_str(), O_RDWR | O_CLOEXEC | flags_);
        if (fd_ < 0) return fail(errc_of_errno(), errno_text(file_.path()));
        return {};
    }
    Result<const std::byte*> reopen() override {
        ::close(fd_);
        fd_ = -1;
        mapping_.unmap();
        if (auto mapped = mapping_.open(file_.path()); !mapped) return fail(mapped.error());
        return mapping_.data();
    }
    int fd() const { return fd_; }

  private:
    int flags_;
    const char* how_;
    FileGuard file_;
    Mapping mapping_;  // for verify alone
    int fd_ = -1;
};

}  // namespace cinnabar::bench
