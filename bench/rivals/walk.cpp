// The proof of a log that several threads share.
#include "rivals/walk.hpp"

#include <cstring>
#include <string>

namespace cinnabar::bench {

Result<void> Walk::take(Bytes stored) {
    while (!stored.empty()) {
        Records::Name name;
        const bool named =
            stored.size() >= kRecordBytesMin && records_.name_of(stored.data(), name);
        const Bytes wanted = named ? records_.at(name.thread, name.place) : Bytes();
        auto* last = named ? &last_[name.thread] : nullptr;
        if (!named || (*last && (**last + 1) % records_.cycle() != name.place) ||
            stored.size() < wanted.size() ||
            std::memcmp(stored.data(), wanted.data(), wanted.size()) != 0) {
            return fail(Errc::corrupt, "record " + std::to_string(taken_) +
                                           " of the log, at byte " + std::to_string(bytes_) +
                                           " of its records, is not what was appended there");
        }
        *last = name.place;
        ++taken_;
        bytes_ += wanted.size();
        stored = stored.subspan(wanted.size());
    }
    return {};
}

Result<void> Walk::ends_at(unsigned thread, uint64_t appended) const {
    const auto& last = last_[thread];
    if (last && (*last + 1) % records_.cycle() != appended % records_.cycle()) {
        return fail(Errc::corrupt,
                    "the last records of thread " + std::to_string(thread) + " are missing");
    }
    return {};
}

}  // namespace cinnabar::bench
