// What the benchmark and its worker processes say to each other.
#include "force/wire.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <type_traits>

namespace cinnabar::bench {

static_assert(std::is_trivially_copyable_v<Order> && std::is_trivially_copyable_v<Reply>);

void Reply::set_error(const Error& error) {
    code = static_cast<int32_t>(error.code);
    put_text(message, error.message);
}

Error Reply::error() const {
    return {static_cast<Errc>(code), message.data(), {}, {}};
}

bool send_all(int socket, const void* from, size_t bytes) {
    const char* at = static_cast<const char*>(from);
    while (bytes > 0) {
        const ssize_t n = ::send(socket, at, bytes, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        bytes -= static_cast<size_t>(n);
    }
    return true;
}

bool receive_all(int socket, void* to, size_t bytes) {
    char* at = static_cast<char*>(to);
    while (bytes > 0) {
        const ssize_t n = ::recv(socket, at, bytes, MSG_WAITALL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        bytes -= static_cast<size_t>(n);
    }
    return true;
}

}  // namespace cinnabar::bench
