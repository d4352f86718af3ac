#include "explain/image_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace cinnabar::explain {

bool write_image(const std::string& path, std::span<const std::byte> image) {
    constexpr size_t page_bytes = 4096;
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return false;
    bool good = ::ftruncate(file, static_cast<off_t>(image.size())) == 0;
    for (size_t at = 0; good && at < image.size(); at += page_bytes) {
        const auto page = image.subspan(at, std::min(page_bytes, image.size() - at));
        if (std::ranges::all_of(page, [](std::byte byte) { return byte == std::byte{}; })) continue;
        good = ::pwrite(file, page.data(), page.size(), static_cast<off_t>(at)) ==
               static_cast<ssize_t>(page.size());
    }
    ::close(file);
    return good;
}

}  // namespace cinnabar::explain
