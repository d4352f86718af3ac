#include "crash/file_before.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include "explain/image_file.hpp"

namespace cinnabar::crash {

FileBefore::FileBefore(const std::string& path) : path_(path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (status.type() == std::filesystem::file_type::not_found) can_be_put_back_ = true;
    if (!std::filesystem::is_regular_file(status)) return;
    std::ifstream file(path, std::ios::binary);
    bytes_.emplace(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    can_be_put_back_ =
        !file.bad() && bytes_->size() == std::filesystem::file_size(path, error) && !error;
}

Result<void> FileBefore::put_back() const {
    if (!can_be_put_back_)
        return fail(Errc::invalid_argument, "what '" + path_ +
                                                "' was cannot be put back: it is a folder, or "
                                                "cannot be read");
    if (bytes_) return explain::write_image(path_, std::as_bytes(std::span(*bytes_)));
    std::error_code error;
    std::filesystem::remove(path_, error);
    if (error) return fail(Errc::io, "'" + path_ + "' cannot be removed: " + error.message());
    return {};
}

}  // namespace cinnabar::crash
