#include "exit_code.hpp"

namespace cinnabar::tool {

// Without a default, so that a new code does not compile before it has its place here.
ExitCode exit_code_of(Errc code) {
    switch (code) {
        case Errc::invalid_argument: return ExitCode::usage;
        case Errc::not_found:
        case Errc::permission:
        case Errc::io:
        case Errc::disk_full:
        case Errc::cannot_map:
        case Errc::not_a_pool:
        case Errc::wrong_layout:
        case Errc::never_appended:
        case Errc::below_low_water:
        case Errc::failed: return ExitCode::not_found_or_io;
        case Errc::truncated:
        case Errc::corrupt: return ExitCode::corrupt;
        case Errc::locked: return ExitCode::locked;
        case Errc::unsupported_version: return ExitCode::unsupported_version;
        case Errc::already_exists:
        case Errc::full:
        case Errc::record_too_large:
        case Errc::read_only:
        case Errc::wrong_thread:
        case Errc::forked:
        case Errc::timed_out:
        case Errc::pinned: return ExitCode::refused;
        case Errc::gap: return ExitCode::salvaged_with_gaps;
    }
    return ExitCode::not_found_or_io;
}

}  // namespace cinnabar::tool
