// The smallest program on the installed package. It opens a pool that is not there, which links
// every room of the engine; public headers only.
#include <cinnabar/log.hpp>
#include <cstdio>

int main() {
    const auto log = cinnabar::Log::open("no/such/pool");
    if (log || log.error().code != cinnabar::Errc::not_found) return 1;
    const std::string_view name = cinnabar::name_of(log.error().code);
    std::printf("%.*s\n", static_cast<int>(name.size()), name.data());
    return 0;
}
