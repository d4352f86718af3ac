// What a file was before a workload, to make it that again before the workload runs once more.
#pragma once

#include <optional>
#include <string>

#include "cinnabar/result.hpp"

namespace cinnabar::crash {

class FileBefore {
  public:
    // The file, which is kept in memory, or that there is none.
    explicit FileBefore(const std::string& path);

    // The same bytes in the same file, where it is still there: written over what differs, so that
    // a full disk takes nothing away that is there. Errors: invalid_argument (it is a folder, or
    // could not be read), io.
    Result<void> put_back() const;

    // Another for other bytes, in all likelihood; nothing where there is no file.
    std::string mark() const;
    static std::string mark_of(const std::string& path, const std::string& bytes);

    // For another process: in this folder, which is made, a note of which file it is and whether it
    // was there ("of.txt"), and a copy ("copy") if so. Nothing where it cannot be put back. Errors:
    // io.
    Result<void> keep_in(const std::string& folder) const;
    // What was kept there of that file; nothing: nothing was. Errors: io (the copy is gone, or
    // cannot be read).
    static Result<std::optional<FileBefore>> kept_in(const std::string& folder,
                                                     const std::string& path);
    static void forget(const std::string& folder);

  private:
    std::string path_;
    std::optional<std::string> bytes_;  // nothing: there was no file
    bool can_be_put_back_ = false;
};

}  // namespace cinnabar::crash
