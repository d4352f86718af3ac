#include "crash/file_before.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <span>
#include <string_view>

#include "explain/image_file.hpp"
#include "explain/replay.hpp"

namespace cinnabar::crash {

namespace {

constexpr size_t kChunkBytes = 4096;

// In a folder: the copy, if there was a file; and whether there was, and of which file it is.
std::string copy_in(const std::string& folder) {
    return folder + "/copy";
}
std::string note_in(const std::string& folder) {
    return folder + "/of.txt";
}

constexpr std::string_view kFile = "file ", kNoFile = "no file ";

Result<void> write_bytes(const std::string& path, const std::string& bytes) {
    return explain::write_image(path, std::as_bytes(std::span(bytes)));
}

// All of the file, or nothing.
std::optional<std::string> read_all(const std::string& path, size_t length) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return std::nullopt;
    std::string bytes(length, '\0');
    size_t at = 0;
    while (at < length) {
        const ssize_t read = ::read(file, bytes.data() + at, length - at);
        if (read <= 0) break;
        at += static_cast<size_t>(read);
    }
    ::close(file);
    return at == length ? std::optional(bytes) : std::nullopt;
}

// What is there already, a hole for zeros too, is not written. False: errno says why.
bool write_over(int file, std::string_view bytes) {
    std::array<char, kChunkBytes> there;
    for (size_t at = 0; at < bytes.size(); at += kChunkBytes) {
        const std::string_view chunk = bytes.substr(at, kChunkBytes);
        there = {};  // as behind the file's end
        if (::pread(file, there.data(), chunk.size(), static_cast<off_t>(at)) < 0) return false;
        if (std::ranges::equal(chunk, std::string_view(there.data(), chunk.size()))) continue;
        errno = ENOSPC;  // where a part of the chunk is written
        if (::pwrite(file, chunk.data(), chunk.size(), static_cast<off_t>(at)) !=
            static_cast<ssize_t>(chunk.size()))
            return false;
    }
    return ::ftruncate(file, static_cast<off_t>(bytes.size())) == 0;
}

Result<void> write_back(const std::string& path, std::string_view bytes) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return fail(explain::cannot_be_written(path));
    if (!write_over(file, bytes)) {
        auto error = explain::cannot_be_written(path);
        ::close(file);
        return fail(std::move(error));
    }
    if (::close(file) != 0) return fail(explain::cannot_be_written(path));
    return {};
}

}  // namespace

FileBefore::FileBefore(const std::string& path) : path_(path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (status.type() == std::filesystem::file_type::not_found) can_be_put_back_ = true;
    if (!std::filesystem::is_regular_file(status)) return;
    const auto length = std::filesystem::file_size(path, error);
    if (!error) bytes_ = read_all(path, length);
    can_be_put_back_ = bytes_.has_value();
}

Result<void> FileBefore::put_back() const {
    if (!can_be_put_back_)
        return fail(Errc::invalid_argument, "what '" + path_ +
                                                "' was cannot be put back: it is a folder, or "
                                                "cannot be read");
    if (bytes_) return write_back(path_, *bytes_);
    std::error_code error;
    std::filesystem::remove(path_, error);
    if (error) return fail(Errc::io, "'" + path_ + "' cannot be removed: " + error.message());
    return {};
}

std::string FileBefore::mark() const {
    return bytes_ ? mark_of(path_, *bytes_) : "";
}

std::string FileBefore::mark_of(const std::string& path, const std::string& bytes) {
    return path + " " + std::to_string(bytes.size()) + " " +
           std::to_string(explain::sum_of(std::as_bytes(std::span(bytes))));
}

Result<void> FileBefore::keep_in(const std::string& folder) const {
    forget(folder);
    if (!can_be_put_back_) return {};
    std::error_code failed;
    std::filesystem::create_directory(folder, failed);
    if (bytes_)
        if (auto written = write_bytes(copy_in(folder), *bytes_); !written) return written;
    return write_bytes(note_in(folder), std::string(bytes_ ? kFile : kNoFile) + path_);
}

Result<std::optional<FileBefore>> FileBefore::kept_in(const std::string& folder,
                                                      const std::string& path) {
    const std::optional<std::string> note = FileBefore(note_in(folder)).bytes_;
    const bool was_there = note == std::string(kFile) + path;
    if (!was_there && note != std::string(kNoFile) + path) return std::nullopt;
    FileBefore kept(was_there ? copy_in(folder) : note_in(folder));
    if (!was_there)
        kept.bytes_.reset();
    else if (!kept.bytes_)
        return fail(Errc::io, "'" + kept.path_ + "', the copy of what '" + path +
                                  "' was, is gone or cannot be read: make the file again what it "
                                  "was before that run, and remove '" +
                                  note_in(folder) + "'");
    kept.path_ = path;
    return kept;
}

void FileBefore::forget(const std::string& folder) {
    for (const std::string& path : {copy_in(folder), note_in(folder)}) ::unlink(path.c_str());
    ::rmdir(folder.c_str());
}

}  // namespace cinnabar::crash
