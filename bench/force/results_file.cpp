// The file that a run's results go to.
#include "force/results_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "rivals/mapping.hpp"

namespace cinnabar::bench {

namespace {

constexpr mode_t kMode = 0666;  // less the umask

Error cannot_write(const std::string& path) {
    return {Errc::io, errno_text("cannot write the results to '" + path + "'"), {}, {}};
}

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = ::write(fd, text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        text.remove_prefix(static_cast<size_t>(n));
    }
    return true;
}

// Room first, where the file system can give it; then the bytes; what the old content had more is
// cut off at the end.
bool replace_content(int fd, off_t old_bytes, std::string_view text) {
    const auto bytes = static_cast<off_t>(text.size());
    const bool full =
        ::fallocate(fd, 0, 0, bytes) != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG);
    if (full) {
        const int code = errno;
        const int kept = ::ftruncate(fd, old_bytes);
        errno = kept == 0 ? code : errno;
        return false;
    }
    return write_all(fd, text) && ::ftruncate(fd, bytes) == 0;
}

}  // namespace

Result<void> check_results_file(const std::string& path) {
    struct stat s;
    if (::lstat(path.c_str(), &s) == 0) {
        if (::stat(path.c_str(), &s) != 0) return {};  // a link to a file that is yet to be made
        if (!S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode)) return {};
        const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
        if (fd < 0) return fail(cannot_write(path));
        ::close(fd);
        return {};
    }
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode);
    if (fd < 0) return fail(cannot_write(path));
    ::close(fd);
    ::unlink(path.c_str());
    return {};
}

Result<void> write_results_file(const std::string& path, std::string_view text) {
    struct stat s;
    const bool is_new = ::lstat(path.c_str(), &s) != 0;  // a link is the user's
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kMode);
    if (fd < 0) return fail(cannot_write(path));
    const bool regular = ::fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
    bool written = regular ? replace_content(fd, s.st_size, text) : write_all(fd, text);
    const int code = errno;
    if (::close(fd) == 0 && written) return {};
    if (!written) errno = code;
    Error error = cannot_write(path);
    if (is_new) ::unlink(path.c_str());
    return fail(std::move(error));
}

}  // namespace cinnabar::bench
