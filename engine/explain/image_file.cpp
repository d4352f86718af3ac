#include "explain/image_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace cinnabar::explain {

namespace {

// False: errno says why.
bool write_pages(int file, std::span<const std::byte> image) {
    constexpr size_t page_bytes = 4096;
    if (::ftruncate(file, static_cast<off_t>(image.size())) != 0) return false;
    for (size_t at = 0; at < image.size(); at += page_bytes) {
        const auto page = image.subspan(at, std::min(page_bytes, image.size() - at));
        if (std::ranges::all_of(page, [](std::byte byte) { return byte == std::byte{}; })) continue;
        errno = ENOSPC;  // where a part of the page is written
        if (::pwrite(file, page.data(), page.size(), static_cast<off_t>(at)) !=
            static_cast<ssize_t>(page.size()))
            return false;
    }
    return true;
}

}  // namespace

Error cannot_be_written(const std::string& path) {
    return {Errc::io, "'" + path + "' cannot be written: " + std::strerror(errno), {}, {}};
}

Result<void> write_image(const std::string& path, std::span<const std::byte> image) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return fail(cannot_be_written(path));
    if (!write_pages(file, image)) {
        auto error = cannot_be_written(path);
        ::close(file);
        return fail(std::move(error));
    }
    if (::close(file) != 0) return fail(cannot_be_written(path));
    return {};
}

void move_file(std::string& path, const std::string& folder, size_t number, const char* ending) {
    if (path.empty()) return;
    const std::string to = folder + "/violation-" + std::to_string(number + 1) + ending;
    std::error_code error;
    std::filesystem::rename(path, to, error);
    if (error) std::filesystem::copy_file(path, to, error);
    path = error ? "" : to;
}

void remove_violations(const std::string& folder, const std::string& ending) {
    if (folder.empty()) return;
    std::error_code ignored;
    for (uint64_t number = 1;; ++number) {
        const std::string name = "violation-" + std::to_string(number) + ending;
        if (!std::filesystem::remove(folder + "/" + name, ignored)) return;
    }
}

}  // namespace cinnabar::explain
