// What a process of its own has to say to the one that started it, however it ends.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "base/check.hpp"

namespace cinnabar::trials {

// What a process puts here last can be read by the one that started it.
class Letter {
  public:
    Letter() : file_(::memfd_create("letter", MFD_CLOEXEC)) { CNB_CHECK(file_ >= 0); }
    Letter(const Letter&) = delete;
    Letter& operator=(const Letter&) = delete;
    ~Letter() { ::close(file_); }

    void write(std::string_view text) const {
        CNB_CHECK(::ftruncate(file_, 0) == 0);
        for (size_t at = 0; at < text.size();) {
            const ssize_t done =
                ::pwrite(file_, text.data() + at, text.size() - at, static_cast<off_t>(at));
            CNB_CHECK(done > 0);
            at += static_cast<size_t>(done);
        }
    }
    std::string read() const {
        std::string text(static_cast<size_t>(::lseek(file_, 0, SEEK_END)), '\0');
        for (size_t at = 0; at < text.size();) {
            const ssize_t done =
                ::pread(file_, text.data() + at, text.size() - at, static_cast<off_t>(at));
            CNB_CHECK(done > 0);
            at += static_cast<size_t>(done);
        }
        return text;
    }

  private:
    int file_;
};

}  // namespace cinnabar::trials
