#include "cinnabar/result.hpp"

#include <iterator>

namespace cinnabar {

std::string_view name_of(Errc code) {
    switch (code) {
        case Errc::invalid_argument: return "invalid_argument";
        case Errc::not_found: return "not_found";
        case Errc::already_exists: return "already_exists";
        case Errc::permission: return "permission";
        case Errc::io: return "io";
        case Errc::disk_full: return "disk_full";
        case Errc::cannot_map: return "cannot_map";
        case Errc::locked: return "locked";
        case Errc::not_a_pool: return "not_a_pool";
        case Errc::wrong_layout: return "wrong_layout";
        case Errc::truncated: return "truncated";
        case Errc::unsupported_version: return "unsupported_version";
        case Errc::corrupt: return "corrupt";
        case Errc::full: return "full";
        case Errc::record_too_large: return "record_too_large";
        case Errc::read_only: return "read_only";
        case Errc::never_appended: return "never_appended";
        case Errc::below_low_water: return "below_low_water";
        case Errc::wrong_thread: return "wrong_thread";
        case Errc::forked: return "forked";
        case Errc::failed: return "failed";
        case Errc::timed_out: return "timed_out";
        case Errc::pinned: return "pinned";
        case Errc::gap: return "gap";
    }
    return "unknown";
}

std::string size_text(uint64_t bytes) {
    static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (unit + 1 < std::size(kUnits) && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        ++unit;
    }
    return std::to_string(bytes) + " " + kUnits[unit];
}

std::string_view name_of(Domain domain) {
    switch (domain) {
        case Domain::byte: return "byte";
        case Domain::cache_line: return "cache_line";
        case Domain::page: return "page";
    }
    return "unknown";
}

}  // namespace cinnabar
