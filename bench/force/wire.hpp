// What the benchmark and its worker processes say to each other: one fixed struct each way, over a
// socket pair.
#pragma once

#include <array>
#include <cstdint>

#include "rivals/engine.hpp"

namespace cinnabar::bench {

enum class Verb : uint32_t { open, configure, slice, verify, quit };

struct Order {
    Verb verb = Verb::quit;
    // open
    std::array<char, 32> engine = {};
    std::array<char, 1024> path = {};
    uint64_t area_bytes = 0;
    Emulate emulate = Emulate::no;
    ModelledLatency modelled;
    // configure
    Cell cell;
    uint32_t size_count = 0;
    std::array<uint32_t, kTraceCycle> sizes = {};
    // slice
    Slice slice;
};

struct Reply {
    int32_t code = 0;  // an Errc; 0: it went well
    std::array<char, 512> message = {};
    Taken taken;  // open
    // slice
    Work work;
    double thread_ns = 0;
    Histogram force_ns;

    void set_error(const Error& error);
    Error error() const;
};

// Whole structs; false: the other side is gone.
bool send_all(int socket, const void* from, size_t bytes);
bool receive_all(int socket, void* to, size_t bytes);

template <size_t N>
void put_text(std::array<char, N>& to, std::string_view text) {
    to = {};
    text.copy(to.data(), N - 1);
}

}  // namespace cinnabar::bench
