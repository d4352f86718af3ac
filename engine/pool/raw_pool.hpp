// A pool file as its bytes stand, mapped for reading without libpmemobj: what a salvage reads. No
// byte of libpmemobj's own is looked at, and no log of it applied; the catalogue is found by the
// search of FORMAT.md 3.1.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cinnabar/result.hpp"
#include "pool/bus_error.hpp"
#include "pool/space.hpp"
#include "pool/system.hpp"

namespace cinnabar::pool {

class RawPool {
  public:
    // Locks the file as Pool::open does, for as long as this object lives.
    // Errors: not_found, permission, not_a_pool, wrong_layout, unsupported_version, cannot_map,
    // locked, io. Where no superblock verifies: corrupt if the file begins as a pool does, else
    // what the beginning is, not_a_pool as a rule.
    static Result<RawPool> open(const std::filesystem::path& path,
                                std::chrono::milliseconds lock_timeout);

    // For reading alone: a store ends the process. Where the file ends too early there are zeros,
    // and where its pages cannot be read.
    const Space& space() const { return space_; }
    uint64_t file_bytes() const { return file_bytes_; }        // as it should be
    uint64_t bytes_missing() const { return bytes_missing_; }  // of these
    const std::vector<std::string>& notes() const { return notes_; }

  private:
    // A mapping that is given back.
    class Mapping {
      public:
        Mapping() = default;
        Mapping(void* at, size_t length) : at_(static_cast<std::byte*>(at)), length_(length) {}
        Mapping(Mapping&& other) noexcept { *this = std::move(other); }
        Mapping& operator=(Mapping&& other) noexcept {
            std::swap(at_, other.at_);
            std::swap(length_, other.length_);
            return *this;
        }
        ~Mapping();
        std::byte* at() const { return at_; }

      private:
        std::byte* at_ = nullptr;
        size_t length_ = 0;
    };

    explicit RawPool(Descriptor file) : file_(std::move(file)) {}
    Result<void> lock(const std::string& name, std::chrono::milliseconds timeout) const;
    Result<void> map(const std::string& name, uint64_t present_bytes, uint64_t wanted_bytes);
    Result<bool> lay_out(const std::string& name, uint64_t present_bytes);

    Descriptor file_;
    Mapping mapping_;
    std::unique_ptr<KnownMapping> known_;
    Space space_;
    uint64_t file_bytes_ = 0;
    uint64_t bytes_missing_ = 0;
    uint64_t unreadable_bytes_ = 0;
    std::vector<std::string> notes_;
};

}  // namespace cinnabar::pool
