// What a service that carries records forward must find in its log: each record that it still needs
// is delivered once, as it was appended, wherever a copy of it stands (trap L18).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "trials/one_stream.hpp"

namespace cinnabar::trials {

class Carried {
  public:
    explicit Carried(OneStream& setup) : setup_(setup) {}

    // Of a life that has recovered. Empty, or what is wrong.
    std::string compare(Life& life) const;
    // The same of each image of a crash.
    Explorer::Check check() const;
    // The same of the setup's own next life, which goes on with what it was given.
    std::string deliver();

    // Appends the next record. It is needed from its acknowledgement on.
    Result<Lsn> append(size_t length, const AppendOptions& options);
    // What is undecided in the oldest segment, to the end of the log.
    Result<void> carry_oldest();
    // The oldest segment, once what is undecided there was carried.
    Result<void> release_oldest(ServiceId keeper);

    // What a power failure takes back. The history is with the setup.
    struct State {
        std::set<uint64_t> needed;          // origins that were acknowledged and not released
        std::map<uint64_t, Lsn> undecided;  // where it stands now, by origin
        std::set<uint64_t> marks = {0};     // one of these is the low-water mark
    };
    State state = {};

  private:
    std::string compare_with_origin(const Record& record) const;
    Result<std::string> read(Life& life, std::map<uint64_t, Lsn>& found) const;
    void forget_what_is_gone(const std::map<uint64_t, Lsn>& found, Lsn end);
    void note_durable();

    OneStream& setup_;
};

}  // namespace cinnabar::trials
