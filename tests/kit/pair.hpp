// Two words in one line, of which the second says that the first is there.
#pragma once

#include <cinnabar/crash.hpp>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace kit_test {

struct Pair {
    uint64_t first;
    uint64_t second;
};

inline std::string recover_pair(std::span<std::byte> image) {
    const Pair& pair = *reinterpret_cast<const Pair*>(image.data());
    return std::to_string(pair.first) + std::to_string(pair.second);
}

inline std::string check_pair(std::string_view digest, const cinnabar::crash::History&) {
    return digest == "01" ? "torn" : "";
}

// Of a pair that `store` stores and nobody forces.
inline cinnabar::crash::Report pair_report(
    const std::function<void(cinnabar::crash::Region&, Pair&)>& store) {
    namespace crash = cinnabar::crash;
    crash::Region region = crash::Region::create(4096, cinnabar::Domain::cache_line).value();
    const auto workload = [&](crash::History&) {
        store(region, *reinterpret_cast<Pair*>(region.bytes().data()));
    };
    const crash::Test test{workload, recover_pair, {}, check_pair};
    return crash::run(region, test).value();
}

}  // namespace kit_test
