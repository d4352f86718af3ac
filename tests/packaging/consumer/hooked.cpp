// Two plain stores to one line, on the installed package: in the order of the program a crash
// leaves no second one without the first.
#include <cinnabar/crash.hpp>
#include <cstdint>

namespace {

namespace crash = cinnabar::crash;

bool is_clean(size_t first, size_t second) {
    auto region = crash::Region::create(4096, cinnabar::Domain::cache_line);
    auto* words = reinterpret_cast<uint64_t*>(region->bytes().data());
    crash::Test test;
    test.workload = [&](crash::History&) {
        words[first] = 1;
        words[second] = 1;
        region->persist(words, 16);
    };
    test.recover = [](std::span<std::byte> image) {
        const auto* word = reinterpret_cast<const uint64_t*>(image.data());
        return std::string(word[1] == 1 && word[0] == 0 ? "torn" : "");
    };
    test.check = [](std::string_view digest, const crash::History&) { return std::string(digest); };
    return crash::run(*region, test)->clean();
}

}  // namespace

int main() {
    return is_clean(0, 1) && !is_clean(1, 0) ? 0 : 1;
}
