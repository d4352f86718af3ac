// An image as a worker sees it: memory, or a file, that recovery may write to, and that is as the
// crash left it again after renew(). Throws Unavailable where there is no memory or room for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cinnabar/crash.hpp"

namespace cinnabar::crash {

// A private mapping of the shared image, kept from one image to the next: a page that recovery
// wrote to is a copy until it is dropped; all others show what stands in the shared image now.
class ImageMemory {
  public:
    ImageMemory(int shared_image, size_t bytes);

    std::span<std::byte> bytes() const { return bytes_; }
    // Has recovery written to it? Where it has unmapped a part nobody knows, and the answer is no.
    // What it has protected is as accessible as before in any case, here and by renew().
    bool written() { return make_accessible() && drop_copies(false); }
    void renew();

  private:
    bool make_accessible();
    bool drop_copies(bool drop);

    const int shared_image_;
    int pages_ = -1;  // the kernel's table of this process's pages
    std::span<std::byte> bytes_;
    std::vector<uint64_t> entries_;
};

// A file of its own. What differs from the shared image is copied before each recovery.
class ImageFile {
  public:
    // In the folder, or in memory where that is empty.
    ImageFile(int shared_image, size_t bytes, const std::string& folder);

    const std::string& path() const { return path_; }
    bool written();
    void renew();

  private:
    void open();
    bool is_there() const;

    std::span<const std::byte> image_;
    const std::string folder_;
    std::string path_;
    int file_ = -1;
    std::span<std::byte> bytes_;
};

// The image in the form that the test's recovery takes, and that recovery.
class Recovery {
  public:
    Recovery(int shared_image, const Test& test, const std::string& folder);

    void renew() { memory_ ? memory_->renew() : file_->renew(); }
    bool written() { return memory_ ? memory_->written() : file_->written(); }
    std::string run() const {
        return memory_ ? test_.recover(memory_->bytes()) : test_.recover_file(file_->path());
    }
    // One of the two.
    const std::optional<ImageMemory>& memory() const { return memory_; }
    const std::optional<ImageFile>& file() const { return file_; }

  private:
    const Test& test_;
    std::optional<ImageMemory> memory_;
    std::optional<ImageFile> file_;
};

}  // namespace cinnabar::crash
